/** Index arithmetic of values in rows, which lowerings share. */
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

export interface JoinedAxis {
  length: number;
  /** One for each operand. */
  strides: number[];
}

/** Axes innermost first, those of length 1 left out and neighbours joined where all operands run through them in one stride. */
export function joinAxes(shape: readonly number[], strides: readonly (readonly number[])[]): JoinedAxis[] {
  const axes: JoinedAxis[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const length = shape[axis];
    if (length === 1) continue;
    const own = strides.map((s) => s[axis]);
    const inner = axes[axes.length - 1];
    if (inner !== undefined && own.every((s, i) => s === inner.strides[i] * inner.length)) inner.length *= length;
    else axes.push({ length, strides: own });
  }
  return axes.length > 0 ? axes : [{ length: 1, strides: strides.map(() => 0) }];
}
