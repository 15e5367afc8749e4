/** conv2dFilterGrad: the gradient of conv2d by its filter. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { conv2dOp } from './conv2d.ts';
import { conv2dInputGradOp } from './conv2d-input-grad.ts';
import * as cpu from './cpu/conv.ts';
import * as cuda from './cuda/conv-filter-grad.ts';
import { checkConvGradient, convCases, convFlop, convOutputShape, forEachTap } from './support/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { mergedFilterGrads } from './support/siblings.ts';
import * as gpuConvFilterGrad from './webgpu/conv-filter-grad.ts';

export type Conv2dFilterGradAttrs = ConvAttrs & { readonly filterShape: Shape };

export const conv2dFilterGradOp: DifferentiableOp<Conv2dFilterGradAttrs> = defineOp<Conv2dFilterGradAttrs>({
  name: 'conv2dFilterGrad',
  inputs: ['x', 'dy'],
  infer([x, dy]: readonly TensorType[], attrs) {
    const dfilter: TensorType = { shape: attrs.filterShape, dtype: 'float32' };
    checkConvGradient('conv2dFilterGrad', dy, x, dfilter, attrs);
    return [dfilter];
  },
  // bilinear in x and dy: against g, a gradient shaped like a filter, x's adjoint is the input gradient, dy's the convolution
  gradient({ attrs, inputs: [x, dy], grads: [g], needs }) {
    if (g === undefined) return [undefined, undefined];
    const { filterShape: _, ...conv } = attrs;
    return [
      needs[0] ? apply1(conv2dInputGradOp, [dy, g], { ...conv, inputShape: x.shape }) : undefined,
      needs[1] ? apply1(conv2dOp, [x, g], { ...conv, activation: 'none' }) : undefined,
    ];
  },
  reference([x, dy]: readonly HostTensor[], attrs) {
    const [k, r, s, c] = attrs.filterShape;
    const dfilter = new Float64Array(sizeOf(attrs.filterShape));
    forEachTap(x.shape, attrs.filterShape, dy.shape, attrs, (o, i, tap) => {
      for (let kk = 0; kk < k; kk++) {
        const g = dy.data[o + kk];
        const f = kk * r * s * c + tap;
        for (let cc = 0; cc < c; cc++) dfilter[f + cc] += g * x.data[i + cc];
      }
    });
    return [dfilter];
  },
  kernels: { cpu: cpu.conv2dFilterGradLowering, webgpu: gpuConvFilterGrad.conv2dFilterGradLowering, cuda: cuda.conv2dFilterGradLowering },
  precision: 'matrix',
  float16: { inputs: [0, 1] },
  reductionLength: ([, dy]) => dy.shape[0] * dy.shape[1] * dy.shape[2],
  cost: (inputs, outputs) => ({ flop: convFlop(inputs[1].shape, outputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<Conv2dFilterGradAttrs>[] {
    return convCases().map(({ x, filter, attrs, note }) => {
      const y = convOutputShape('conv2d', { shape: x, dtype: 'float32' }, { shape: filter, dtype: 'float32' }, attrs);
      return { inputs: [f32(x), f32(y)], attrs: { ...attrs, filterShape: filter }, note };
    });
  },
  rewrites: [mergedFilterGrads],
});
