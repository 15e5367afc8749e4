/** maxPool2d and its gradient. */
import { sizeOf } from '../device/types.ts';
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/pool.ts';
import * as cuda from './cuda/pool.ts';
import { bytesTouched } from './support/cost.ts';
import { forEachWindow, poolAttrs, poolCases, poolOutputShape } from './support/pool.ts';
import type { PoolAttrs, PoolOptions } from './support/pool.ts';
import { f32, given, scrambled } from './support/samples.ts';
import { checkFloat, checkSameShape, named, sameShape, shapeError, show } from './support/shapes.ts';
import * as gpuPool from './webgpu/pool.ts';

export const maxPool2dOp: DifferentiableOp<PoolAttrs> = defineOp<PoolAttrs>({
  name: 'maxPool2d',
  inputs: ['x'],
  infer([x]: readonly TensorType[], attrs) {
    checkFloat('maxPool2d', ['x'], [x]);
    return [{ shape: poolOutputShape('maxPool2d', x, attrs), dtype: 'float32' }];
  },
  // the maximum is one of the elements: its gradient goes to that one, the first of equals in row-major order of the window
  gradient: ({ attrs, inputs: [x], outputs: [y], grads: [dy] }) => [dy && apply1(maxPool2dGradOp, [dy, x, y], attrs)],
  reference([x]: readonly HostTensor[], attrs, [out]) {
    const y = new Float64Array(sizeOf(out.shape));
    forEachWindow(x.shape, out.shape, attrs, (o, inputs) => {
      y[o] = Math.max(...inputs.map((i) => x.data[i]));
    });
    return [y];
  },
  kernels: { cpu: cpu.maxPoolLowering, webgpu: gpuPool.maxPoolLowering, cuda: cuda.maxPoolLowering },
  recompute: true,
  precision: 'follow',
  float16: { inputs: 'all', outputs: 'all' },
  cost: (inputs, outputs, { size }) => ({
    flop: sizeOf(outputs[0].shape) * size[0] * size[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples: (): Sample<PoolAttrs>[] => poolCases().map(({ x, attrs, note }) => ({ inputs: [f32(x, { distinct: true })], attrs, note })),
});

const gradNames = ['dy', 'x', 'y'] as const;

/** dx[i] = sum of dy over the windows whose first maximum is x[i]. It has no gradient itself. */
export const maxPool2dGradOp: DifferentiableOp<PoolAttrs> = defineOp<PoolAttrs>({
  name: 'maxPool2dGrad',
  inputs: gradNames,
  infer(inputs: readonly TensorType[], attrs) {
    checkFloat('maxPool2dGrad', gradNames, inputs);
    const [dy, x, y] = inputs;
    checkSameShape('maxPool2dGrad', 'dy', dy, 'y', y);
    const shape = poolOutputShape('maxPool2dGrad', x, attrs);
    if (!sameShape(shape, y.shape)) shapeError('maxPool2dGrad', `${named('y', y)} should be ${show(shape)}, for ${named('x', x)}`);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  reference([dy, x, y]: readonly HostTensor[], attrs) {
    const dx = new Float64Array(x.data.length);
    forEachWindow(x.shape, y.shape, attrs, (o, inputs) => {
      const first = inputs.find((i) => x.data[i] === y.data[o]);
      if (first !== undefined) dx[first] += dy.data[o];
    });
    return [dx];
  },
  kernels: { cpu: cpu.maxPoolGradLowering, webgpu: gpuPool.maxPoolGradLowering, cuda: cuda.maxPoolGradLowering },
  precision: 'follow',
  float16: { inputs: 'all', outputs: 'all' },
  reductionLength: (_inputs, { size, stride }) => Math.ceil(size[0] / stride[0]) * Math.ceil(size[1] / stride[1]),
  // sums of dy alone: x and y only choose
  magnitude: ([dy, x, y], attrs, outputs) =>
    maxPool2dGradOp.reference!([{ ...dy, data: dy.data.map(Math.abs) }, x, y], attrs, outputs),
  cost: (inputs, outputs, { size }) => ({
    flop: sizeOf(inputs[0].shape) * size[0] * size[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples(): Sample<PoolAttrs>[] {
    // few levels, so that windows hold equal maxima
    return poolCases().map(({ x: shape, attrs, note }, i) => {
      const x = scrambled(shape, i + 1, i % 2 === 0 ? 4 : 1024);
      const type: TensorType = { shape: poolOutputShape('maxPool2d', x, attrs), dtype: 'float32' };
      const [data] = maxPool2dOp.reference!([x], attrs, [type]);
      return { inputs: [f32(type.shape, { differentiable: false }), given(x), given({ ...type, data })], attrs, note };
    });
  },
});

/**
 * Largest element of every window of x [N,H,W,C]; the padding never wins. Throws ShapeError where a window is larger than the
 * padded image or lies wholly in the padding.
 */
export function maxPool2d(x: TensorLike, options: PoolOptions): Tensor {
  return apply1(maxPool2dOp, [x], poolAttrs('maxPool2d', options));
}
