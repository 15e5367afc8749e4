/** conv2dInputGrad: the gradient of conv2d by its image; also the transposed convolution. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { conv2dOp } from './conv2d.ts';
import { conv2dFilterGradOp } from './conv2d-filter-grad.ts';
import * as cpu from './cpu/conv.ts';
import * as cuda from './cuda/conv.ts';
import { checkConvGradient, convCases, convFlop, convOutputShape, forEachTap } from './support/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { mergedInputGrads } from './support/siblings.ts';
import * as gpuConv from './webgpu/conv.ts';

export type Conv2dInputGradAttrs = ConvAttrs & { readonly inputShape: Shape };

export const conv2dInputGradOp: DifferentiableOp<Conv2dInputGradAttrs> = defineOp<Conv2dInputGradAttrs>({
  name: 'conv2dInputGrad',
  inputs: ['dy', 'filter'],
  infer([dy, filter]: readonly TensorType[], attrs) {
    const dx: TensorType = { shape: attrs.inputShape, dtype: 'float32' };
    checkConvGradient('conv2dInputGrad', dy, dx, filter, attrs);
    return [dx];
  },
  // dx = T(filter) dy is linear in both; its adjoint in dy is the convolution itself, in the filter the correlation of g with dy
  gradient({ attrs, inputs: [dy, filter], grads: [g], needs }) {
    if (g === undefined) return [undefined, undefined];
    const { inputShape: _, ...conv } = attrs;
    return [
      needs[0] ? apply1(conv2dOp, [g, filter], { ...conv, activation: 'none' }) : undefined,
      needs[1] ? apply1(conv2dFilterGradOp, [g, dy], { ...conv, filterShape: filter.shape }) : undefined,
    ];
  },
  reference([dy, filter]: readonly HostTensor[], attrs) {
    const [k, r, s, c] = filter.shape;
    const dx = new Float64Array(sizeOf(attrs.inputShape));
    forEachTap(attrs.inputShape, filter.shape, dy.shape, attrs, (o, i, tap) => {
      for (let kk = 0; kk < k; kk++) {
        const g = dy.data[o + kk];
        const f = kk * r * s * c + tap;
        for (let cc = 0; cc < c; cc++) dx[i + cc] += g * filter.data[f + cc];
      }
    });
    return [dx];
  },
  kernels: { cpu: cpu.conv2dInputGradLowering, webgpu: gpuConv.conv2dInputGradLowering, cuda: cuda.conv2dInputGradLowering },
  precision: 'matrix',
  float16: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([, filter]) => filter.shape[0] * filter.shape[1] * filter.shape[2],
  cost: (inputs, outputs) => ({ flop: convFlop(inputs[0].shape, inputs[1].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<Conv2dInputGradAttrs>[] {
    return convCases().map(({ x, filter, attrs, note }) => {
      const y = convOutputShape('conv2d', { shape: x, dtype: 'float32' }, { shape: filter, dtype: 'float32' }, attrs);
      return { inputs: [f32(y), f32(filter)], attrs: { ...attrs, inputShape: x }, note };
    });
  },
  rewrites: [mergedInputGrads],
});
