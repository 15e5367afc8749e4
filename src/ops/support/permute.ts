import type { Shape } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { forEachIndex, stridesOf } from './shapes.ts';

/** For every element of `out`, which element of the input `at(index)` names; -1 for none. */
export function indexMap(out: Shape, input: Shape, at: (index: readonly number[]) => readonly number[] | undefined): Int32Array {
  const strides = stridesOf(input);
  const map = new Int32Array(sizeOf(out));
  forEachIndex(out, (index, flat) => {
    const from = at(index);
    map[flat] = from === undefined ? -1 : from.reduce((sum, i, axis) => sum + i * strides[axis], 0);
  });
  return map;
}

/** The elements that a map names, `fill` where it names none. */
export function take(data: Float64Array, map: Int32Array, fill = 0): Float64Array {
  return Float64Array.from(map, (at) => (at < 0 ? fill : data[at]));
}
