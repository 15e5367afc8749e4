/** gather: slices of a tensor picked by index, and its gradient. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, i32 } from './support/samples.ts';
import { checkAxes, checkDType, named, normalizeAxis, sameShape, shapeError, show } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

export type GatherAttrs = { readonly axis: number };
export type GatherGradAttrs = GatherAttrs & { readonly inputShape: Shape };

function gatheredShape(x: Shape, indices: Shape, axis: number): number[] {
  return [...x.slice(0, axis), ...indices, ...x.slice(axis + 1)];
}

/** Calls `visit(out, input)` for every element of the result and the element of x that it comes from; indices are clipped. */
function forEachGathered(x: Shape, indices: HostTensor, axis: number, visit: (out: number, input: number) => void): void {
  const outer = sizeOf(x.slice(0, axis));
  const inner = sizeOf(x.slice(axis + 1));
  const count = indices.data.length;
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < count; k++) {
      const index = Math.min(Math.max(indices.data[k], 0), x[axis] - 1);
      for (let i = 0; i < inner; i++) visit((o * count + k) * inner + i, (o * x[axis] + index) * inner + i);
    }
  }
}

export const gatherOp: DifferentiableOp<GatherAttrs> = defineOp<GatherAttrs>({
  name: 'gather',
  inputs: ['x', 'indices'],
  infer([x, indices]: readonly TensorType[], { axis }) {
    checkDType('gather', 'x', x, 'float32', 'int32');
    checkDType('gather', 'indices', indices, 'int32');
    checkAxes('gather', 'x', x, [axis]);
    if (x.shape[axis] === 0) shapeError('gather', `${named('x', x)} has nothing along axis ${axis}`);
    return [{ shape: gatheredShape(x.shape, indices.shape, axis), dtype: x.dtype }];
  },
  gradient: ({ attrs, inputs: [x, indices], grads: [dy] }) => [
    dy && apply1(gatherGradOp, [dy, indices], { ...attrs, inputShape: x.shape }),
    undefined,
  ],
  reference([x, indices]: readonly HostTensor[], { axis }, [out]) {
    const y = new Float64Array(sizeOf(out.shape));
    forEachGathered(x.shape, indices, axis, (o, i) => {
      y[o] = x.data[i];
    });
    return [y];
  },
  kernels: { cpu: cpu.gatherLowering, webgpu: gpuMovement.gatherLowering, cuda: cuda.gatherLowering },
  precision: 'follow',
  cost: elementwiseCost(0),
  samples(): Sample<GatherAttrs>[] {
    return [
      { inputs: [f32([5]), i32([3], 5)], attrs: { axis: 0 } },
      { inputs: [f32([5, 8]), i32([7], 5)], attrs: { axis: 0 } },
      { inputs: [f32([3, 5]), i32([2, 3], 5)], attrs: { axis: 1 } },
      { inputs: [f32([2, 4, 3]), i32([], 4)], attrs: { axis: 1 } },
      { inputs: [f32([4, 3]), { shape: [3], dtype: 'int32', values: [-2, 9, 1], differentiable: false }], attrs: { axis: 0 }, note: 'clipped' },
      { inputs: [i32([6, 2], 50), i32([4], 6)], attrs: { axis: 0 } },
    ];
  },
});

export const gatherGradOp: DifferentiableOp<GatherGradAttrs> = defineOp<GatherGradAttrs>({
  name: 'gatherGrad',
  inputs: ['dy', 'indices'],
  infer([dy, indices]: readonly TensorType[], { axis, inputShape }) {
    checkDType('gatherGrad', 'dy', dy, 'float32');
    checkDType('gatherGrad', 'indices', indices, 'int32');
    const shape = gatheredShape(inputShape, indices.shape, axis);
    if (!sameShape(shape, dy.shape)) shapeError('gatherGrad', `${named('dy', dy)} should be ${show(shape)}`);
    return [{ shape: inputShape, dtype: 'float32' }];
  },
  gradient: ({ attrs: { axis }, inputs: [, indices], grads: [g] }) => [g && apply1(gatherOp, [g, indices], { axis }), undefined],
  // what was picked several times gets the sum
  reference([dy, indices]: readonly HostTensor[], { axis, inputShape }) {
    const dx = new Float64Array(sizeOf(inputShape));
    forEachGathered(inputShape, indices, axis, (o, i) => {
      dx[i] += dy.data[o];
    });
    return [dx];
  },
  // the indices are not terms
  magnitude: ([dy, indices], attrs, outputs) =>
    gatherGradOp.reference!([{ ...dy, data: dy.data.map(Math.abs) }, indices], attrs, outputs),
  kernels: { cpu: cpu.gatherGradLowering, webgpu: gpuMovement.gatherGradLowering, cuda: cuda.gatherGradLowering },
  precision: 'keep',
  reductionLength: ([, indices]) => Math.max(sizeOf(indices.shape), 1),
  cost: elementwiseCost(1),
  samples(): Sample<GatherGradAttrs>[] {
    return [
      { inputs: [f32([3]), i32([3], 5)], attrs: { axis: 0, inputShape: [5] } },
      { inputs: [f32([7, 8]), i32([7], 3)], attrs: { axis: 0, inputShape: [3, 8] } },
      { inputs: [f32([3, 2, 3]), i32([2, 3], 5)], attrs: { axis: 1, inputShape: [3, 5] } },
      { inputs: [f32([2, 3]), i32([], 4)], attrs: { axis: 1, inputShape: [2, 4, 3] } },
    ];
  },
});

/**
 * Slices of x at int32 `indices` along `axis`: shape x.shape[..axis] + indices.shape + x.shape[axis+1..].
 * An index outside of the axis takes its nearest end.
 */
export function gather(x: TensorLike, indices: TensorLike, axis = 0): Tensor {
  const t = toTensor(x);
  return apply1(gatherOp, [t, indices], { axis: normalizeAxis('gather', axis, t.shape.length) });
}
