/**
 * to[r, 0..width) = from[r, 0..width) for `rows` rows, any strides, in bytes; dtype does not matter.
 * A tile is a run of rows. Arguments: from, to, rows, width, from stride, to stride, rows a tile.
 */
import { addr, copyRun, int, min32 } from './lib/simd';

export function copy(args: usize, tile: i32, scratch: usize): void {
  const rowsPerTile = int(args, 6);
  const first = tile * rowsPerTile;
  const last = min32(first + rowsPerTile, int(args, 2));
  const width = addr(args, 3);
  const fromStride = addr(args, 4), toStride = addr(args, 5);
  let from = addr(args, 0) + (<usize>first) * fromStride;
  let to = addr(args, 1) + (<usize>first) * toStride;
  for (let r = first; r < last; r++) {
    copyRun(to, from, width);
    from += fromStride;
    to += toStride;
  }
}

/** The same over one run of bytes: from, to, bytes, bytes a tile. */
export function copyFlat(args: usize, tile: i32, scratch: usize): void {
  const perTile = addr(args, 3);
  const first = (<usize>tile) * perTile;
  const bytes = addr(args, 2);
  const count = first + perTile < bytes ? perTile : bytes - first;
  memory.copy(addr(args, 1) + first, addr(args, 0) + first, count);
}

/** Fills rows with a 32-bit word: to, rows, width in elements, stride in elements, word, rows a tile. */
export function fill(args: usize, tile: i32, scratch: usize): void {
  const rowsPerTile = int(args, 5);
  const first = tile * rowsPerTile;
  const last = min32(first + rowsPerTile, int(args, 1));
  const width = (<usize>int(args, 2)) << 2;
  const stride = (<usize>int(args, 3)) << 2;
  const value = i32x4.splat(int(args, 4));
  let to = addr(args, 0) + (<usize>first) * stride;
  for (let r = first; r < last; r++) {
    let p = to;
    const end = to + width;
    while (p + 16 <= end) {
      v128.store(p, value);
      p += 16;
    }
    while (p < end) {
      store<i32>(p, i32x4.extract_lane(value, 0));
      p += 4;
    }
    to += stride;
  }
}
