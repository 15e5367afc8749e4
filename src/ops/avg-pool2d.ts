/** avgPool2d and its gradient. */
import { sizeOf } from '../device/types.ts';
import type { Shape, TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/pool.ts';
import * as cuda from './cuda/pool.ts';
import { bytesTouched } from './support/cost.ts';
import { forEachWindow, poolAttrs, poolCases, poolOutputShape } from './support/pool.ts';
import type { PoolAttrs, PoolOptions } from './support/pool.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, named, sameShape, shapeError, show } from './support/shapes.ts';
import * as gpuPool from './webgpu/pool.ts';

export type AvgPoolAttrs = PoolAttrs & {
  /** Divides by all places of the window within the padded image, padding counted as zeros; else by its elements alone. */
  readonly countPadding: boolean;
};
export type AvgPoolGradAttrs = AvgPoolAttrs & { readonly inputShape: Shape };

export const avgPool2dOp: DifferentiableOp<AvgPoolAttrs> = defineOp<AvgPoolAttrs>({
  name: 'avgPool2d',
  inputs: ['x'],
  infer([x]: readonly TensorType[], attrs) {
    checkFloat('avgPool2d', ['x'], [x]);
    return [{ shape: poolOutputShape('avgPool2d', x, attrs), dtype: 'float32' }];
  },
  // linear: every element of a window gets the window's gradient over its divisor
  gradient: ({ attrs, inputs: [x], grads: [dy] }) => [dy && apply1(avgPool2dGradOp, [dy], { ...attrs, inputShape: x.shape })],
  reference([x]: readonly HostTensor[], attrs, [out]) {
    const y = new Float64Array(sizeOf(out.shape));
    forEachWindow(x.shape, out.shape, attrs, (o, inputs, padded) => {
      const total = inputs.reduce((sum, i) => sum + x.data[i], 0);
      y[o] = total / (attrs.countPadding ? padded : inputs.length);
    });
    return [y];
  },
  kernels: { cpu: cpu.avgPoolLowering, webgpu: gpuPool.avgPoolLowering, cuda: cuda.avgPoolLowering },
  recompute: true,
  precision: 'follow',
  float16: { inputs: 'all', outputs: 'all' },
  reductionLength: (_inputs, { size }) => size[0] * size[1],
  cost: (inputs, outputs, { size }) => ({
    flop: sizeOf(outputs[0].shape) * size[0] * size[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples: (): Sample<AvgPoolAttrs>[] =>
    poolCases().flatMap(({ x, attrs, note }) =>
      [true, false].map((countPadding) => ({ inputs: [f32(x)], attrs: { ...attrs, countPadding }, note })),
    ),
});

export const avgPool2dGradOp: DifferentiableOp<AvgPoolGradAttrs> = defineOp<AvgPoolGradAttrs>({
  name: 'avgPool2dGrad',
  inputs: ['dy'],
  infer([dy]: readonly TensorType[], attrs) {
    checkFloat('avgPool2dGrad', ['dy'], [dy]);
    const x: TensorType = { shape: attrs.inputShape, dtype: 'float32' };
    const shape = poolOutputShape('avgPool2dGrad', x, attrs);
    if (!sameShape(shape, dy.shape)) shapeError('avgPool2dGrad', `${named('dy', dy)} should be ${show(shape)}, for ${named('x', x)}`);
    return [x];
  },
  // the adjoint of the adjoint
  gradient({ attrs, grads: [g] }) {
    const { inputShape: _, ...pool } = attrs;
    return [g && apply1(avgPool2dOp, [g], pool)];
  },
  reference([dy]: readonly HostTensor[], attrs) {
    const dx = new Float64Array(sizeOf(attrs.inputShape));
    forEachWindow(attrs.inputShape, dy.shape, attrs, (o, inputs, padded) => {
      for (const i of inputs) dx[i] += dy.data[o] / (attrs.countPadding ? padded : inputs.length);
    });
    return [dx];
  },
  kernels: { cpu: cpu.avgPoolGradLowering, webgpu: gpuPool.avgPoolGradLowering, cuda: cuda.avgPoolGradLowering },
  precision: 'follow',
  float16: { inputs: 'all', outputs: 'all' },
  reductionLength: (_inputs, { size, stride }) => Math.ceil(size[0] / stride[0]) * Math.ceil(size[1] / stride[1]),
  cost: (inputs, outputs, { size }) => ({
    flop: sizeOf(inputs[0].shape) * size[0] * size[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples: (): Sample<AvgPoolGradAttrs>[] =>
    poolCases().flatMap(({ x, attrs, note }) =>
      [true, false].map((countPadding) => ({
        inputs: [f32(poolOutputShape('avgPool2d', { shape: x, dtype: 'float32' }, attrs))],
        attrs: { ...attrs, countPadding, inputShape: x },
        note,
      })),
    ),
});

export interface AvgPoolOptions extends PoolOptions {
  /** Counts the padding as zeros, as MXNet does; default true. */
  readonly countPadding?: boolean;
}

/**
 * Mean of every window of x [N,H,W,C]. With `ceil`, the part of a window that hangs over the padded image is not counted.
 * Throws ShapeError where a window is larger than the padded image or lies wholly in the padding.
 */
export function avgPool2d(x: TensorLike, options: AvgPoolOptions): Tensor {
  return apply1(avgPool2dOp, [x], { ...poolAttrs('avgPool2d', options), countPadding: options.countPadding ?? true });
}
