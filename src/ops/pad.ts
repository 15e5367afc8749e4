/** pad: a tensor with borders, of one value or of its own edge. */
import type { Shape, TensorType } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { sum } from './reduce.ts';
import { slice } from './slice.ts';
import { elementwiseCost } from './support/cost.ts';
import { indexMap, take } from './support/permute.ts';
import { f32 } from './support/samples.ts';
import { checkDType, checkPositiveIntegers, named, shapeError, show } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

export type PadAttrs = {
  readonly before: Shape;
  readonly after: Shape;
  readonly mode: 'constant' | 'edge';
  /** In mode `constant`. */
  readonly value: number;
};

export const padOp: DifferentiableOp<PadAttrs> = defineOp<PadAttrs>({
  name: 'pad',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { before, after, mode }) {
    checkDType('pad', 'x', x, 'float32');
    if (before.length !== x.shape.length || after.length !== x.shape.length) {
      shapeError('pad', `${named('x', x)} needs a width for each axis, got before ${show(before)} and after ${show(after)}`);
    }
    checkPositiveIntegers('pad', 'before', before, 0);
    checkPositiveIntegers('pad', 'after', after, 0);
    if (mode !== 'constant' && mode !== 'edge') {
      throw new OptionError(`pad: mode "${String(mode)}" should be constant or edge`);
    }
    if (mode === 'edge' && x.shape.includes(0)) shapeError('pad', `${named('x', x)} has no edge to repeat`);
    return [{ shape: x.shape.map((d, i) => d + before[i] + after[i]), dtype: 'float32' }];
  },
  // the adjoint of a constant border forgets it; that of a repeated edge adds the border up at the edge, axis by axis
  gradient({ attrs: { before, after, mode }, inputs: [x], grads: [dy] }) {
    if (dy === undefined) return [undefined];
    if (mode === 'constant') return [slice(dy, before, x.shape)];
    let g = dy;
    x.shape.forEach((n, axis) => {
      g = foldEdges(g, axis, n, before[axis], after[axis]);
    });
    return [g];
  },
  reference([x]: readonly HostTensor[], { before, mode, value }, [out]) {
    const map = indexMap(out.shape, x.shape, (index) => {
      const at = index.map((i, axis) => i - before[axis]);
      if (mode === 'edge') return at.map((i, axis) => Math.min(Math.max(i, 0), x.shape[axis] - 1));
      return at.every((i, axis) => i >= 0 && i < x.shape[axis]) ? at : undefined;
    });
    return [take(x.data, map, value)];
  },
  kernels: { cpu: cpu.padLowering, webgpu: gpuMovement.padLowering, cuda: cuda.padLowering },
  precision: 'follow',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<PadAttrs>[] {
    const cases: [Shape, Shape, Shape][] = [
      [[5], [2], [1]],
      [[3, 4], [0, 4], [0, 4]],
      [[2, 3, 5, 3], [0, 1, 0, 0], [0, 2, 3, 0]],
      [[2, 3, 8], [1, 0, 2], [0, 1, 0]],
      [[1, 1], [3, 3], [2, 2]],
    ];
    return cases.flatMap(([shape, before, after]): Sample<PadAttrs>[] => [
      { inputs: [f32(shape)], attrs: { before, after, mode: 'constant', value: 0 } },
      { inputs: [f32(shape)], attrs: { before, after, mode: 'constant', value: 0.5 } },
      { inputs: [f32(shape)], attrs: { before, after, mode: 'edge', value: 0 } },
    ]);
  },
});

/** Cuts `before` and `after` elements off an axis, and adds their sums to its first and last of `n`. */
function foldEdges(g: Tensor, axis: number, n: number, before: number, after: number): Tensor {
  const part = (begin: number, size: number): Tensor =>
    slice(g, g.shape.map((_, i) => (i === axis ? begin : 0)), g.shape.map((d, i) => (i === axis ? size : d)));
  const at = (t: Tensor, index: number): Tensor =>
    pad(t, t.shape.map((_, i) => (i === axis ? index : 0)), t.shape.map((_, i) => (i === axis ? n - 1 - index : 0)));
  let inner = part(before, n);
  if (before > 0) inner = inner.add(at(sum(part(0, before), axis, { keepDims: true }), 0));
  if (after > 0) inner = inner.add(at(sum(part(before + n, after), axis, { keepDims: true }), n - 1));
  return inner;
}

export interface PadOptions {
  /** Default 'constant'. */
  readonly mode?: 'constant' | 'edge';
  /** Default 0. */
  readonly value?: number;
}

/** `x` with `before[i]` and `after[i]` elements more along axis i. Throws ShapeError where the widths do not fit its axes. */
export function pad(x: TensorLike, before: Shape, after: Shape, options: PadOptions = {}): Tensor {
  return apply1(padOp, [x], { before, after, mode: options.mode ?? 'constant', value: options.value ?? 0 });
}
