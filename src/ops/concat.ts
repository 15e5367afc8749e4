/** concat: tensors side by side. Along the last axis it costs nothing: the plan places the inputs in the result. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { DTypeError } from '../errors.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { slice } from './slice.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, i32 } from './support/samples.ts';
import { checkAxes, checkDType, named, normalizeAxis, shapeError } from './support/shapes.ts';

type ConcatAttrs = { readonly axis: number };

export const concatOp: DifferentiableOp<ConcatAttrs> = defineOp<ConcatAttrs>({
  name: 'concat',
  inputs: ['x...'],
  infer(inputs: readonly TensorType[], { axis }) {
    if (inputs.length === 0) shapeError('concat', 'nothing to join');
    const [first] = inputs;
    checkDType('concat', 'x[0]', first, 'float32', 'int32', 'bool');
    checkAxes('concat', 'x[0]', first, [axis]);
    inputs.forEach((t, i) => {
      const name = `x[${i}]`;
      if (t.dtype !== first.dtype) throw new DTypeError(`concat: ${named(name, t)} is ${t.dtype}, x[0] is ${first.dtype}`);
      const fits = t.shape.length === first.shape.length && t.shape.every((d, a) => a === axis || d === first.shape[a]);
      if (!fits) shapeError('concat', `${named(name, t)} and ${named('x[0]', first)} differ in more than axis ${axis}`);
    });
    const total = inputs.reduce((n, t) => n + t.shape[axis], 0);
    return [{ shape: first.shape.map((d, a) => (a === axis ? total : d)), dtype: first.dtype }];
  },
  // each input gets its slice
  gradient({ attrs: { axis }, inputs, grads: [dy], needs }) {
    let start = 0;
    return inputs.map((t, i) => {
      const begin = t.shape.map((_, a) => (a === axis ? start : 0));
      start += t.shape[axis];
      return dy !== undefined && needs[i] ? slice(dy, begin, t.shape) : undefined;
    });
  },
  reference(inputs: readonly HostTensor[], { axis }, [out]) {
    const y = new Float64Array(sizeOf(out.shape));
    const inner = sizeOf(out.shape.slice(axis + 1));
    const outer = sizeOf(out.shape.slice(0, axis));
    let start = 0;
    for (const t of inputs) {
      const run = t.shape[axis] * inner;
      for (let o = 0; o < outer; o++) {
        y.set(t.data.subarray(o * run, (o + 1) * run), (o * out.shape[axis]) * inner + start);
      }
      start += run;
    }
    return [y];
  },
  concatenates: 'axis',
  precision: 'follow',
  half: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<ConcatAttrs>[] {
    return [
      { inputs: [f32([3]), f32([5])], attrs: { axis: 0 } },
      { inputs: [f32([2, 3, 4, 8]), f32([2, 3, 4, 12]), f32([2, 3, 4, 4])], attrs: { axis: 3 } },
      { inputs: [f32([2, 3, 4, 3]), f32([2, 3, 4, 1]), f32([2, 3, 4, 5])], attrs: { axis: 3 } },
      { inputs: [f32([2, 3]), f32([1, 3])], attrs: { axis: 0 } },
      { inputs: [f32([2, 3, 4]), f32([2, 1, 4]), f32([2, 2, 4])], attrs: { axis: 1 } },
      { inputs: [f32([2, 5])], attrs: { axis: 1 } },
      { inputs: [i32([2, 3], 9), i32([2, 1], 9)], attrs: { axis: 1 } },
    ];
  },
});

/** Tensors joined along `axis` (the last by default); their other axes are equal, else ShapeError. */
export function concat(tensors: readonly TensorLike[], axis = -1): Tensor {
  const list = tensors.map(toTensor);
  const rank = list.length === 0 ? 0 : list[0].shape.length;
  return apply1(concatOp, list, { axis: normalizeAxis('concat', axis, rank) });
}
