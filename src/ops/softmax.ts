/** softmax and logSoftmax over the last axis. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/softmax.ts';
import * as cuda from './cuda/softmax.ts';
import { sum } from './reduce.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, named, rowsAndChannels, shapeError } from './support/shapes.ts';
import { exp } from './unary.ts';
import * as gpuSoftmax from './webgpu/softmax.ts';

export type NoAttrs = Record<string, never>;

export function checkClasses(op: string, name: string, x: TensorType): void {
  if (x.shape.length < 1 || x.shape[x.shape.length - 1] === 0) shapeError(op, `${named(name, x)} has no axis of classes`);
}

/** log of the sum of exponentials of row `row`, and its largest element. */
export function logSumExp(x: HostTensor, row: number): { max: number; lse: number } {
  const [, channels] = rowsAndChannels(x.shape);
  const values = x.data.subarray(row * channels, (row + 1) * channels);
  const max = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return { max, lse: max + Math.log(values.reduce((s, v) => s + Math.exp(v - max), 0)) };
}

/** f(x, log of the sum of exponentials, maximum) for every element. */
export function mapRows(x: HostTensor, f: (v: number, lse: number, max: number) => number): Float64Array {
  const [rows, channels] = rowsAndChannels(x.shape);
  const out = new Float64Array(x.data.length);
  for (let row = 0; row < rows; row++) {
    const { lse, max } = logSumExp(x, row);
    for (let i = row * channels; i < (row + 1) * channels; i++) out[i] = f(x.data[i], lse, max);
  }
  return out;
}

const shapes = [[1], [3, 2], [5, 7], [4, 12], [2, 3, 3, 5], [3, 257], [9, 1]];

function overRows(
  name: string,
  gradient: NonNullable<DifferentiableOp<NoAttrs>['gradient']>,
  value: (v: number, lse: number) => number,
  magnitude: (v: number, lse: number, max: number) => number,
): DifferentiableOp<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    inputs: ['x'],
    infer([x]: readonly TensorType[]) {
      checkFloat(name, ['x'], [x]);
      checkClasses(name, 'x', x);
      return [{ shape: x.shape, dtype: 'float32' }];
    },
    gradient,
    reference: ([x]: readonly HostTensor[]) => [mapRows(x, value)],
    magnitude: ([x]) => [mapRows(x, magnitude)],
    kernels: {
      cpu: cpu.softmaxLowering(name as 'softmax'),
      webgpu: gpuSoftmax.softmaxLowering(name === 'logSoftmax'),
      cuda: cuda.softmaxLowering(name === 'logSoftmax'),
    },
    inPlace: () => [],
    precision: 'keep',
    reductionLength: ([x]) => rowsAndChannels(x.shape)[1],
    cost: elementwiseCost(10),
    samples(): Sample<NoAttrs>[] {
      return [
        ...shapes.map((shape) => ({ inputs: [f32(shape, { low: -4, high: 4 })], attrs: {} })),
        {
          inputs: [{ shape: [3, 3], dtype: 'float32', differentiable: false, values: [1e4, -1e4, 0, 88, 89, 90, -1e30, 1e30, 0] }],
          attrs: {},
          note: 'extreme',
        },
        {
          inputs: [{ shape: [2, 5], dtype: 'float32', differentiable: false, values: [0, -1, 1, 2, 200, -3, 0, 0, 1, 1e4] }],
          attrs: {},
          note: 'the last is largest',
        },
      ];
    },
  });
}

export const softmaxOp = overRows(
  'softmax',
  // p_i = e^x_i / sum_j e^x_j:  dx = p (dy - sum_j dy_j p_j)
  ({ outputs: [p], grads: [dy] }) => [dy && p.mul(dy.sub(sum(dy.mul(p), -1, { keepDims: true })))],
  (v, lse) => Math.exp(v - lse),
  // an exponent's rounding error is relative to the exponent
  (v, lse, max) => Math.exp(v - lse) * (1 + Math.min(max - v, 100)),
);

export const logSoftmaxOp = overRows(
  'logSoftmax',
  // y_i = x_i - log sum_j e^x_j:  dx = dy - p sum_j dy_j, p = e^y
  ({ outputs: [y], grads: [dy] }) => [dy && dy.sub(exp(y).mul(sum(dy, -1, { keepDims: true })))],
  (v, lse) => v - lse,
  (v, lse, max) => max - v + (lse - max) + 1,
);

/** e^x over its sum along the last axis. */
export const softmax = (x: TensorLike): Tensor => apply1(softmaxOp, [x], {});
/** The logarithm of softmax, without underflow. */
export const logSoftmax = (x: TensorLike): Tensor => apply1(logSoftmaxOp, [x], {});

/** Rows of a [..., C] tensor. */
export function rowCount(x: TensorType): number {
  return sizeOf(x.shape.slice(0, -1));
}
