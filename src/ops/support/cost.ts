import type { TensorType } from '../../device/types.ts';
import { bytesPerElement, sizeOf } from '../../device/types.ts';

export interface Cost {
  readonly flop: number;
  readonly bytes: number;
}

/** Bytes of all inputs and outputs, each touched once. */
export function bytesTouched(inputs: readonly TensorType[], outputs: readonly TensorType[]): number {
  let bytes = 0;
  for (const t of [...inputs, ...outputs]) bytes += sizeOf(t.shape) * bytesPerElement[t.dtype];
  return bytes;
}

/** The cost of an op that does `perElement` operations for every element of its largest operand. */
export function elementwiseCost(perElement: number) {
  return (inputs: readonly TensorType[], outputs: readonly TensorType[]): Cost => ({
    flop: perElement * Math.max(...[...inputs, ...outputs].map((t) => sizeOf(t.shape))),
    bytes: bytesTouched(inputs, outputs),
  });
}
