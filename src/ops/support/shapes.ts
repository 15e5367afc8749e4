/** Checks, messages and index arithmetic that op files share. */
import type { DType, Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { DTypeError, OptionError, ShapeError } from '../../errors.ts';

export function show(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

/** `x [8,28,28,32]`: how messages speak of an input. */
export function named(name: string, type: TensorType): string {
  return `${name} ${show(type.shape)}`;
}

export function shapeError(op: string, message: string): never {
  throw new ShapeError(`${op}: ${message}`);
}

export function checkDType(op: string, name: string, type: TensorType, ...allowed: readonly DType[]): void {
  if (!allowed.includes(type.dtype)) {
    throw new DTypeError(`${op}: ${named(name, type)} is ${type.dtype}, expected ${allowed.join(' or ')}`);
  }
}

export function checkFloat(op: string, names: readonly string[], inputs: readonly TensorType[]): void {
  inputs.forEach((t, i) => checkDType(op, nameOf(names, i), t, 'float32'));
}

/** The name of input `i`, where the last name may repeat (`...`) or be optional (`?`). */
export function nameOf(names: readonly string[], i: number): string {
  const last = names[names.length - 1];
  if (last.endsWith('...') && i >= names.length - 1) return `${last.slice(0, -3)}[${i - names.length + 1}]`;
  return names[i].replace(/\?$/, '');
}

export function checkRank(op: string, name: string, type: TensorType, rank: number, meaning: string): void {
  if (type.shape.length !== rank) {
    shapeError(op, `${named(name, type)} has ${type.shape.length} axes, expected ${rank} ${meaning}`);
  }
}

export function checkVector(op: string, name: string, type: TensorType, length: number, why: string): void {
  if (type.shape.length !== 1 || type.shape[0] !== length) {
    shapeError(op, `${named(name, type)} should be [${length}], ${why}`);
  }
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

export function checkSameShape(op: string, a: string, ta: TensorType, b: string, tb: TensorType): void {
  if (!sameShape(ta.shape, tb.shape)) shapeError(op, `${named(a, ta)} and ${named(b, tb)} should have the same shape`);
}

/** Numpy's broadcasting of shapes: axes are aligned at the end, and an axis of 1 stretches. */
export function broadcastShapes(op: string, names: readonly string[], inputs: readonly TensorType[]): number[] {
  const rank = Math.max(...inputs.map((t) => t.shape.length));
  const out: number[] = new Array<number>(rank).fill(1);
  for (let axis = 0; axis < rank; axis++) {
    for (const { shape } of inputs) {
      const d = shape[axis - rank + shape.length] ?? 1;
      if (d === 1 || d === out[axis]) continue;
      if (out[axis] !== 1) {
        const all = inputs.map((t, i) => named(names[i], t)).join(' and ');
        shapeError(op, `${all} do not broadcast: axis ${axis - rank} has ${out[axis]} and ${d}`);
      }
      out[axis] = d;
    }
  }
  return out;
}

/** An axis in [0, rank), from one that may count from the end. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || a < 0 || a >= rank) {
    shapeError(op, `axis ${axis} does not exist in a tensor of ${rank} axes`);
  }
  return a;
}

/** Sorted non-negative axes; all of them when none are given. */
export function normalizeAxes(op: string, axes: readonly number[] | number | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes).map((a) => normalizeAxis(op, a, rank));
  const sorted = [...new Set(list)].sort((a, b) => a - b);
  if (sorted.length !== list.length) shapeError(op, `axes [${list.join(',')}] repeat`);
  return sorted;
}

/** For ops called with attributes made by hand: axes must be sorted, distinct and exist. */
export function checkAxes(op: string, name: string, type: TensorType, axes: readonly number[]): void {
  axes.forEach((a, i) => {
    if (!Number.isInteger(a) || a < 0 || a >= type.shape.length || (i > 0 && axes[i - 1] >= a)) {
      shapeError(op, `axes [${axes.join(',')}] are not sorted axes of ${named(name, type)}`);
    }
  });
}

export function checkPositiveIntegers(op: string, name: string, values: readonly number[], least = 1): void {
  for (const v of values) {
    if (!Number.isInteger(v) || v < least) {
      throw new OptionError(`${op}: ${name} [${values.join(',')}] should be integers of ${least} or more`);
    }
  }
}

/** Elements from one index of each axis to the next, row-major. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i];
  }
  return strides;
}

/** Calls `visit(index, flat)` for every index of the shape, row-major. The index array is reused. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], flat: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  const n = sizeOf(shape);
  for (let flat = 0; flat < n; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

/** For every element of `to`, the element of `from` that broadcasting puts there. */
export function broadcastIndex(from: Shape, to: Shape): Int32Array {
  const strides = stridesOf(from).map((s, i) => (from[i] === 1 ? 0 : s));
  const lead = to.length - from.length;
  const map = new Int32Array(sizeOf(to));
  forEachIndex(to, (index, flat) => {
    let at = 0;
    for (let i = 0; i < from.length; i++) at += index[lead + i] * strides[i];
    map[flat] = at;
  });
  return map;
}

/** Product of all axes but the last, and the last: the rows and channels of a planned value. */
export function rowsAndChannels(shape: Shape): [rows: number, channels: number] {
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  return [channels === 0 ? 0 : sizeOf(shape) / channels, channels];
}

/** A pair [h, w] from a number or a pair. */
export function pair(op: string, name: string, value: number | readonly number[], least = 1): [number, number] {
  const list = typeof value === 'number' ? [value, value] : value;
  if (list.length !== 2) throw new OptionError(`${op}: ${name} [${list.join(',')}] should be a number or [h, w]`);
  checkPositiveIntegers(op, name, list, least);
  return [list[0], list[1]];
}

export type Padding = number | readonly [number, number] | readonly [number, number, number, number];

/** [top, bottom, left, right] from one number, [h, w], or the four. */
export function padding4(op: string, value: Padding): [number, number, number, number] {
  const p = typeof value === 'number' ? [value, value, value, value] : value;
  checkPositiveIntegers(op, 'padding', p, 0);
  if (p.length === 2) return [p[0], p[0], p[1], p[1]];
  if (p.length === 4) return [p[0], p[1], p[2], p[3]];
  throw new OptionError(`${op}: padding [${p.join(',')}] should be a number, [h, w] or [top, bottom, left, right]`);
}
