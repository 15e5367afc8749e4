/** Index arithmetic that WebGPU lowerings share. */

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
