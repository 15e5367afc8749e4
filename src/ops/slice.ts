/** slice: a box of a tensor; a view where the box is a range of rows, of channels, or of both. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { pad } from './pad.ts';
import { elementwiseCost } from './support/cost.ts';
import { indexMap, take } from './support/permute.ts';
import { f32, i32 } from './support/samples.ts';
import { checkDType, named, shapeError, show, stridesOf } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

export type SliceAttrs = {
  /** First index along each axis. */
  readonly begin: Shape;
  /** How many along each axis. */
  readonly size: Shape;
};

export const sliceOp: DifferentiableOp<SliceAttrs> = defineOp<SliceAttrs>({
  name: 'slice',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { begin, size }) {
    checkDType('slice', 'x', x, 'float32', 'int32', 'bool');
    const fits = begin.length === x.shape.length && size.length === x.shape.length &&
      begin.every((b, i) => Number.isInteger(b) && Number.isInteger(size[i]) && b >= 0 && size[i] >= 0 && b + size[i] <= x.shape[i]);
    if (!fits) shapeError('slice', `${named('x', x)} has no box of size ${show(size)} at ${show(begin)}`);
    return [{ shape: size, dtype: x.dtype }];
  },
  // zeros around the box
  gradient: ({ attrs: { begin }, inputs: [x], grads: [dy] }) => [
    dy && pad(dy, begin, x.shape.map((d, i) => d - begin[i] - dy.shape[i])),
  ],
  reference: ([x]: readonly HostTensor[], { begin }, [out]) => [
    take(x.data, indexMap(out.shape, x.shape, (index) => index.map((i, axis) => i + begin[axis]))),
  ],
  kernels: { cpu: cpu.sliceLowering, webgpu: gpuMovement.sliceLowering, cuda: cuda.sliceLowering },
  // rows lie in one range where only the first of the leading axes longer than 1 is cut
  view({ shape }, { begin, size }) {
    const rows = shape.slice(0, -1);
    const last = shape.length - 1;
    if (last < 0) return { row: 0, channel: 0 };
    const firstLong = size.slice(0, last).findIndex((d) => d !== 1);
    const isRange = rows.every((d, i) => firstLong < 0 || i <= firstLong || size[i] === d);
    if (!isRange || sizeOf(size) === 0) return undefined;
    const strides = stridesOf(rows);
    return { row: rows.reduce((r, _, i) => r + begin[i] * strides[i], 0), channel: begin[last] };
  },
  precision: 'follow',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<SliceAttrs>[] {
    return [
      { inputs: [f32([9])], attrs: { begin: [3], size: [5] } },
      { inputs: [f32([4, 12])], attrs: { begin: [0, 4], size: [4, 8] } },
      { inputs: [f32([4, 7])], attrs: { begin: [1, 3], size: [2, 1] } },
      { inputs: [f32([3, 5, 4])], attrs: { begin: [1, 0, 0], size: [2, 5, 4] } },
      { inputs: [f32([3, 5, 4])], attrs: { begin: [0, 2, 1], size: [3, 2, 3] } },
      { inputs: [f32([2, 5, 6, 8])], attrs: { begin: [0, 1, 2, 0], size: [2, 3, 3, 8] } },
      { inputs: [i32([2, 3, 5], 99)], attrs: { begin: [1, 1, 2], size: [1, 2, 3] } },
    ];
  },
});

/** `size[i]` elements from `begin[i]` on along every axis; -1 takes the rest. Throws ShapeError where the box does not fit. */
export function slice(x: TensorLike, begin: Shape, size: Shape): Tensor {
  const t = toTensor(x);
  return apply1(sliceOp, [t], { begin, size: size.map((n, i) => (n === -1 ? t.shape[i] - begin[i] : n)) });
}
