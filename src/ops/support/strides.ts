import type { Placed } from '../../device/types.ts';

/** Elements from one index of each axis of `shape` to the next, 0 where the value is stretched along it. */
export function placedStrides(v: Placed, shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(0);
  const lead = shape.length - v.shape.length;
  let step = v.stride;
  for (let i = v.shape.length - 1; i >= 0; i--) {
    const last = i === v.shape.length - 1;
    strides[lead + i] = v.shape[i] === 1 && shape[lead + i] !== 1 ? 0 : last ? 1 : step;
    if (!last) step *= v.shape[i];
  }
  return strides;
}
