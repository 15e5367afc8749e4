/** where(condition, a, b): a where the condition holds, else b, with broadcasting. */
import type { TensorType } from '../device/types.ts';
import { DTypeError } from '../errors.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { whereLowering } from './cpu/elementwise.ts';
import * as cuda from './cuda/elementwise.ts';
import * as gpu from './webgpu/elementwise.ts';
import { sumTo } from './reduce.ts';
import { whereExpression } from './binary-expressions.ts';
import { elementwiseCost } from './support/cost.ts';
import { bool, f32, i32 } from './support/samples.ts';
import { broadcastIndex, broadcastShapes, checkDType, named } from './support/shapes.ts';

type NoAttrs = Record<string, never>;

const names = ['condition', 'a', 'b'] as const;

export const whereOp: DifferentiableOp<NoAttrs> = defineOp<NoAttrs>({
  name: 'where',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    const [condition, a, b] = inputs;
    checkDType('where', 'condition', condition, 'bool');
    checkDType('where', 'a', a, 'float32', 'int32');
    if (a.dtype !== b.dtype) {
      throw new DTypeError(`where: ${named('a', a)} is ${a.dtype} and ${named('b', b)} is ${b.dtype}, expected the same`);
    }
    return [{ shape: broadcastShapes('where', names, inputs), dtype: a.dtype }];
  },
  // the gradient goes to whichever was taken
  gradient({ inputs: [condition, a, b], grads: [dy], needs }) {
    if (dy === undefined) return [undefined, undefined, undefined];
    return [
      undefined,
      needs[1] ? sumTo(where(condition, dy, 0), a.shape) : undefined,
      needs[2] ? sumTo(where(condition, 0, dy), b.shape) : undefined,
    ];
  },
  reference([condition, a, b]: readonly HostTensor[], _attrs, [out]) {
    const [ic, ia, ib] = [condition, a, b].map((t) => broadcastIndex(t.shape, out.shape));
    return [
      Float64Array.from(ic, (at, i) => whereExpression.reference(condition.data[at], a.data[ia[i]], b.data[ib[i]])),
    ];
  },
  kernels: { cpu: whereLowering, webgpu: gpu.whereLowering, cuda: cuda.whereLowering },
  inPlace: () => [[0, 0], [1, 0], [2, 0]],
  recompute: true,
  precision: 'follow',
  float16: { inputs: [1, 2], outputs: 'all' },
  cost: elementwiseCost(1),
  samples(): Sample<NoAttrs>[] {
    return [
      { inputs: [bool([3, 5]), f32([3, 5]), f32([3, 5])], attrs: {} },
      { inputs: [bool([]), f32([2, 3, 8]), f32([2, 3, 8])], attrs: {} },
      { inputs: [bool([2, 1, 12]), f32([12]), f32([])], attrs: {} },
      { inputs: [bool([7]), i32([7], 5), i32([1], 5)], attrs: {} },
    ];
  },
});

/**
 * `a` where `condition` (bool) holds, else `b`; the three shapes broadcast.
 * Throws DTypeError where `a` and `b` differ in dtype, ShapeError where shapes do not broadcast.
 */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  return apply1(whereOp, [condition, a, b], {});
}
