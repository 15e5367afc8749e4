/** concatFlat and sliceFlat: tensors raveled into pieces of one flat vector, and back. Both cost nothing where the plan can place them. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkDType, checkRank, named, nameOf, shapeError, show } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

export type ConcatFlatAttrs = {
  /** First element of each input in the vector. */
  readonly starts: Shape;
  /** Length of the vector; what no input covers is zero. */
  readonly total: number;
};

export const concatFlatOp: DifferentiableOp<ConcatFlatAttrs> = defineOp<ConcatFlatAttrs>({
  name: 'concatFlat',
  inputs: ['x...'],
  infer(inputs: readonly TensorType[], { starts, total }) {
    if (starts.length !== inputs.length) {
      shapeError('concatFlat', `${inputs.length} inputs, but starts ${show(starts)} are ${starts.length}`);
    }
    let end = 0;
    inputs.forEach((t, i) => {
      const name = nameOf(['x...'], i);
      checkDType('concatFlat', name, t, 'float32');
      if (starts[i] < end) shapeError('concatFlat', `${named(name, t)} at ${starts[i]} overlaps what ends at ${end}`);
      end = starts[i] + sizeOf(t.shape);
    });
    if (end > total) shapeError('concatFlat', `inputs end at ${end}, beyond the total of ${total}`);
    return [{ shape: [total], dtype: 'float32' }];
  },
  gradient: ({ attrs: { starts }, inputs, grads: [dy], needs }) =>
    inputs.map((t, i) => (dy !== undefined && needs[i] ? sliceFlat(dy, starts[i], t.shape) : undefined)),
  reference(inputs: readonly HostTensor[], { starts, total }) {
    const y = new Float64Array(total);
    inputs.forEach((t, i) => y.set(t.data, starts[i]));
    return [y];
  },
  concatenates: 'flat',
  precision: 'keep',
  cost: elementwiseCost(0),
  samples(): Sample<ConcatFlatAttrs>[] {
    return [
      { inputs: [f32([2, 3]), f32([5])], attrs: { starts: [0, 6], total: 11 } },
      { inputs: [f32([2, 3]), f32([3, 3, 2, 4]), f32([])], attrs: { starts: [0, 64, 192], total: 256 } },
      { inputs: [f32([7])], attrs: { starts: [2], total: 12 } },
    ];
  },
});

export type SliceFlatAttrs = { readonly start: number; readonly shape: Shape };

export const sliceFlatOp: DifferentiableOp<SliceFlatAttrs> = defineOp<SliceFlatAttrs>({
  name: 'sliceFlat',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { start, shape }) {
    checkDType('sliceFlat', 'x', x, 'float32');
    checkRank('sliceFlat', 'x', x, 1, '[elements]');
    if (start < 0 || start + sizeOf(shape) > x.shape[0]) {
      shapeError('sliceFlat', `${named('x', x)} has no ${sizeOf(shape)} elements at ${start}, for shape ${show(shape)}`);
    }
    return [{ shape, dtype: 'float32' }];
  },
  gradient: ({ attrs: { start }, inputs: [x], grads: [dy] }) => [
    dy && apply1(concatFlatOp, [dy], { starts: [start], total: x.shape[0] }),
  ],
  reference: ([x]: readonly HostTensor[], { start, shape }) => [x.data.slice(start, start + sizeOf(shape))],
  kernels: { cpu: cpu.sliceFlatLowering, webgpu: gpuMovement.sliceFlatLowering, cuda: cuda.sliceFlatLowering },
  view: (_input, { start }) => ({ row: 0, channel: start, contiguous: true }),
  precision: 'keep',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<SliceFlatAttrs>[] {
    return [
      { inputs: [f32([11])], attrs: { start: 0, shape: [11] } },
      { inputs: [f32([50])], attrs: { start: 5, shape: [3, 5] } },
      { inputs: [f32([64])], attrs: { start: 16, shape: [3, 2, 8] } },
      { inputs: [f32([9])], attrs: { start: 8, shape: [] } },
    ];
  },
});

/** A vector [total] in which each tensor lies, raveled, from its start on; zero elsewhere. Starts ascend and do not overlap. */
export function concatFlat(tensors: readonly TensorLike[], starts: Shape, total: number): Tensor {
  return apply1(concatFlatOp, tensors, { starts, total });
}

/** The elements of a vector from `start` on, as a tensor of `shape`. */
export function sliceFlat(x: TensorLike, start: number, shape: Shape): Tensor {
  return apply1(sliceFlatOp, [x], { start, shape });
}
