/** Copies of strided values. */
import { bytesPerElement, sizeOf } from '../types.ts';
import type { CudaLaunch, Placed } from '../types.ts';
import { at, BLOCK, linearGrid, vectorizable } from './launch.ts';

const words: Readonly<Record<number, string>> = { 1: 'u8', 2: 'u16', 4: 'u32' };

/** Copies `from` to `to`, element by element in row-major order: same dtype and number of elements, any rows, channels and strides. */
export function copyLaunch(from: Placed, to: Placed): CudaLaunch {
  const vector = vectorizable([from, to]);
  const unit = vector ? 4 : 1;
  const word = words[bytesPerElement[from.dtype]];
  const total = sizeOf(from.shape) / unit;
  return {
    kernel: 'copy',
    define: { WORD: vector ? `Vec4<${word}>` : word },
    args: [at(from), at(to), total, from.channels / unit, from.stride / unit, to.channels / unit, to.stride / unit],
    grid: linearGrid(total),
    block: BLOCK,
    label: 'copy',
  };
}
