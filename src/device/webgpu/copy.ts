/** Copies of strided values. */
import type { Placed, WebgpuLaunch } from '../types.ts';
import { isVectorizable, sizeOf } from '../types.ts';
import { boundOffset, linearGrid, read, storageType, write } from './launch.ts';

/**
 * Copies `from` to `to`, element by element in row-major order. Both have the same dtype and number of elements; rows, channels and
 * strides may differ, so this is also a reshape. They lie in different buffers.
 */
export function copyLaunch(from: Placed, to: Placed): WebgpuLaunch {
  const vector = isVectorizable(from) && isVectorizable(to);
  const bytes = from.dtype === 'uint8';
  const half = from.dtype === 'float16';
  // Four bytes are one word, four words or halves one vector: either way the counts are divided by four.
  const unit = vector ? 4 : 1;
  const total = sizeOf(from.shape) / unit;
  const place = (v: Placed): number[] => [boundOffset(v) / unit, v.channels / unit, v.stride / unit];
  return {
    shader: bytes && !vector ? 'copy_u8' : 'copy',
    replace: bytes && !vector ? {} : { T: half ? storageType(from, vector) : vector && !bytes ? 'vec4u' : 'u32' },
    uniforms: [total, ...place(from), ...place(to)],
    bindings: [read(from), write(to)],
    grid: linearGrid(total),
    label: 'copy',
  };
}
