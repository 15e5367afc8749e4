/** Sums, means and extrema over axes. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, GradientContext, TensorLike } from '../tensor/define-op.ts';
import { toTensor } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { equal, multiply } from './binary.ts';
import { broadcastTo } from './broadcast-to.ts';
import { cast } from './cast.ts';
import * as cpu from './cpu/reduce.ts';
import * as cuda from './cuda/reduce.ts';
import { reshape } from './reshape.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import {
  broadcastIndex, checkAxes, checkDType, named, normalizeAxes, normalizeAxis, shapeError,
} from './support/shapes.ts';
import * as gpuReduce from './webgpu/reduce.ts';

export type ReduceAttrs = { readonly axes: readonly number[]; readonly keepDims: boolean };

/** The shape with the reduced axes as 1. */
function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

function reducedCount(shape: Shape, axes: readonly number[]): number {
  return axes.reduce((n, a) => n * shape[a], 1);
}

interface Reduction {
  readonly name: string;
  readonly start: number;
  readonly combine: (total: number, value: number) => number;
  readonly finish?: (total: number, count: number) => number;
  readonly sums: boolean;
  readonly gradient: (dy: Tensor, context: GradientContext<ReduceAttrs>, kept: number[]) => Tensor;
}

function reduction(r: Reduction): DifferentiableOp<ReduceAttrs> {
  return defineOp<ReduceAttrs>({
    name: r.name,
    inputs: ['x'],
    infer([x]: readonly TensorType[], { axes, keepDims }) {
      checkDType(r.name, 'x', x, 'float32');
      checkAxes(r.name, 'x', x, axes);
      if (!r.sums && reducedCount(x.shape, axes) === 0) shapeError(r.name, `${named('x', x)} has nothing to reduce`);
      const shape = keepDims ? keptShape(x.shape, axes) : x.shape.filter((_, i) => !axes.includes(i));
      return [{ shape, dtype: 'float32' }];
    },
    gradient(context) {
      const dy = context.grads[0];
      return [dy && r.gradient(dy, context, keptShape(context.inputs[0].shape, context.attrs.axes))];
    },
    reference([x]: readonly HostTensor[], { axes }) {
      const kept = keptShape(x.shape, axes);
      const out = new Float64Array(sizeOf(kept)).fill(r.start);
      const target = broadcastIndex(kept, x.shape);
      x.data.forEach((v, i) => {
        out[target[i]] = r.combine(out[target[i]], v);
      });
      const count = reducedCount(x.shape, axes);
      return [r.finish ? out.map((v) => r.finish!(v, count)) : out];
    },
    kernels: {
      cpu: cpu.reduction(r.name as 'sum'),
      webgpu: gpuReduce.reduction(r.name === 'mean' ? 'sum' : (r.name as 'sum'), r.name === 'mean'),
      cuda: cuda.reduction(r.name === 'mean' ? 'sum' : (r.name as 'sum'), r.name === 'mean'),
    },
    precision: 'keep',
    float16: { inputs: 'all' },
    reductionLength: ([x], { axes }) => (r.sums ? reducedCount(x.shape, axes) : 1),
    cost: (inputs, outputs) => ({ flop: sizeOf(inputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
    samples(): Sample<ReduceAttrs>[] {
      const cases: [Shape, number[], boolean][] = [
        [[], [], false],
        [[7], [0], false],
        [[3, 5], [0], false],
        [[3, 5], [1], true],
        [[3, 5], [0, 1], false],
        [[2, 3, 4, 5], [1, 2], true],
        [[2, 3, 4, 8], [0, 1, 2], false],
        [[2, 3, 4, 12], [1, 3], false],
        [[2, 1, 3, 5], [0, 2], false],
        [[2, 3, 2, 4, 3], [0, 2, 4], false],
        [[301, 3], [0], false],
        [[2, 1031], [1], false],
        [[5, 37, 3], [1], false],
        [[40, 33], [0, 1], false],
        [[2501, 7], [0], false],
        [[70001], [0], false],
      ];
      const alike = (low: number, high: number): Sample<ReduceAttrs> => ({
        inputs: [f32([6, 7], { low, high, distinct: !r.sums })], attrs: { axes: [0], keepDims: false }, note: 'one sign',
      });
      return [
        ...cases.map(([shape, axes, keepDims]) => ({ inputs: [f32(shape, { distinct: !r.sums })], attrs: { axes, keepDims } })),
        alike(-3, -1),
        alike(1, 3),
      ];
    },
  });
}

/** Every summand has derivative 1: the gradient is spread over what was summed. */
const spread = (dy: Tensor, { inputs: [x] }: GradientContext<ReduceAttrs>, kept: number[]): Tensor =>
  broadcastTo(reshape(dy, kept), x.shape);

/** The gradient goes to the elements equal to the extremum, in full to each of several, as MXNet has it. */
const toExtremum = (dy: Tensor, { inputs: [x], outputs: [y] }: GradientContext<ReduceAttrs>, kept: number[]): Tensor =>
  multiply(cast(equal(x, reshape(y, kept)), 'float32'), reshape(dy, kept));

export const sumOp = reduction({
  name: 'sum',
  start: 0,
  combine: (total, v) => total + v,
  sums: true,
  gradient: spread,
});

export const meanOp = reduction({
  name: 'mean',
  start: 0,
  combine: (total, v) => total + v,
  finish: (total, count) => total / count,
  sums: true,
  gradient: (dy, context, kept) =>
    spread(dy.mul(1 / reducedCount(context.inputs[0].shape, context.attrs.axes)), context, kept),
});

export const maxOp = reduction({
  name: 'max',
  start: -Infinity,
  combine: Math.max,
  sums: false,
  gradient: toExtremum,
});

export const minOp = reduction({
  name: 'min',
  start: Infinity,
  combine: Math.min,
  sums: false,
  gradient: toExtremum,
});

type ArgMaxAttrs = { readonly axis: number };

/** The index of the first largest element along an axis. */
export const argMaxOp: DifferentiableOp<ArgMaxAttrs> = defineOp<ArgMaxAttrs>({
  name: 'argMax',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { axis }) {
    checkDType('argMax', 'x', x, 'float32');
    checkAxes('argMax', 'x', x, [axis]);
    if (x.shape[axis] === 0) shapeError('argMax', `${named('x', x)} has nothing along axis ${axis}`);
    return [{ shape: x.shape.filter((_, i) => i !== axis), dtype: 'int32' }];
  },
  reference([x]: readonly HostTensor[], { axis }, [out]) {
    const indices = new Float64Array(sizeOf(out.shape));
    const inner = sizeOf(x.shape.slice(axis + 1));
    const length = x.shape[axis];
    for (let o = 0; o < indices.length; o++) {
      const first = Math.floor(o / inner) * length * inner + (o % inner);
      for (let k = 1; k < length; k++) {
        if (x.data[first + k * inner] > x.data[first + indices[o] * inner]) indices[o] = k;
      }
    }
    return [indices];
  },
  kernels: { cpu: cpu.argMaxLowering, webgpu: gpuReduce.argMaxLowering, cuda: cuda.argMaxLowering },
  cost: (inputs, outputs) => ({ flop: sizeOf(inputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<ArgMaxAttrs>[] {
    return [
      { inputs: [f32([5], { differentiable: false })], attrs: { axis: 0 } },
      { inputs: [f32([3, 7], { differentiable: false })], attrs: { axis: 1 } },
      { inputs: [f32([3, 7], { differentiable: false })], attrs: { axis: 0 } },
      { inputs: [f32([2, 5, 3], { differentiable: false })], attrs: { axis: 1 } },
      {
        inputs: [{ shape: [2, 4], dtype: 'float32', values: [1, 3, 3, 0, -1, -1, -1, -2], differentiable: false }],
        attrs: { axis: 1 },
        note: 'ties: the first',
      },
    ];
  },
});

export interface ReduceOptions {
  /** Leaves reduced axes as 1. Default false. */
  readonly keepDims?: boolean;
}

function reduce(op: DifferentiableOp<ReduceAttrs>, x: TensorLike, axes?: number | readonly number[], options: ReduceOptions = {}) {
  const t = toTensor(x);
  return apply1(op, [t], { axes: normalizeAxes(op.name, axes, t.shape.length), keepDims: options.keepDims ?? false });
}

/** Sum over `axes` (all of them by default; negative ones count from the end). Throws ShapeError for an axis that does not exist. */
export const sum = (x: TensorLike, axes?: number | readonly number[], options?: ReduceOptions): Tensor =>
  reduce(sumOp, x, axes, options);
export const mean = (x: TensorLike, axes?: number | readonly number[], options?: ReduceOptions): Tensor =>
  reduce(meanOp, x, axes, options);
export const max = (x: TensorLike, axes?: number | readonly number[], options?: ReduceOptions): Tensor =>
  reduce(maxOp, x, axes, options);
export const min = (x: TensorLike, axes?: number | readonly number[], options?: ReduceOptions): Tensor =>
  reduce(minOp, x, axes, options);

/** int32 index of the first largest element along `axis` (the last by default), which the result lacks. */
export function argMax(x: TensorLike, axis = -1): Tensor {
  const t = toTensor(x);
  return apply1(argMaxOp, [t], { axis: normalizeAxis('argMax', axis, t.shape.length) });
}

/** Mean over the two image axes: [N,H,W,C] -> [N,C]. */
export const globalAvgPool = (x: TensorLike, options?: ReduceOptions): Tensor => mean(x, [1, 2], options);

/** Sums a gradient back to the shape that broadcasting stretched. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  return axes.length === 0 ? x : reshape(sum(x, axes), shape);
}
