/**
 * Packs the right-hand factor of a product into panels of eight columns: panel[p][d][0..8) = b[d][8 p + 0..8), zeros past the last
 * column. A tile is a panel, or a piece of one. The depth d is two-fold, d = outer * inner + i, as a filter's taps and channels.
 */
import { addr, int, min32 } from './lib/simd';

/**
 * Columns lie far apart, the depth is contiguous (a filter KRSC, a transposed matrix): b[d][n] at
 * src + n * columnStride + outer * outerStride + 4 * inner.
 * Arguments: src, panels, columns, outer, inner, column stride, outer stride.
 */
export function packRows(args: usize, tile: i32, scratch: usize): void {
  const columns = int(args, 2), outer = int(args, 3), inner = int(args, 4);
  const columnStride = addr(args, 5), outerStride = addr(args, 6);
  const first = tile << 3;
  const count = min32(8, columns - first);
  const src = addr(args, 0) + (<usize>first) * columnStride;
  let to = addr(args, 1) + (<usize>tile) * (<usize>(outer * inner)) * 32;
  for (let o = 0; o < outer; o++) {
    const from = src + (<usize>o) * outerStride;
    if (count < 8) {
      for (let i = 0; i < inner; i++) {
        for (let n = 0; n < 8; n++) {
          store<f32>(to, n < count ? load<f32>(from + (<usize>n) * columnStride + ((<usize>i) << 2)) : 0);
          to += 4;
        }
      }
      continue;
    }
    let i = 0;
    let p0 = from, p4 = from + 4 * columnStride;
    for (; i + 4 <= inner; i += 4) {
      transpose4(p0, columnStride, to);
      transpose4(p4, columnStride, to + 16);
      p0 += 16;
      p4 += 16;
      to += 128;
    }
    for (; i < inner; i++) {
      for (let n = 0; n < 8; n++) store<f32>(to + (n << 2), load<f32>(p0 + (<usize>n) * columnStride));
      p0 += 4;
      to += 32;
    }
  }
}

/** Four rows of four floats, `stride` bytes apart, to four columns 32 bytes apart. */
// @ts-ignore: decorator
@inline
function transpose4(p: usize, stride: usize, to: usize): void {
  const a = v128.load(p), b = v128.load(p + stride), c = v128.load(p + 2 * stride), d = v128.load(p + 3 * stride);
  const ab0 = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const ab1 = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const cd0 = i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const cd1 = i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  v128.store(to, i8x16.shuffle(ab0, cd0, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(to, i8x16.shuffle(ab0, cd0, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 32);
  v128.store(to, i8x16.shuffle(ab1, cd1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), 64);
  v128.store(to, i8x16.shuffle(ab1, cd1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 96);
}

/**
 * Columns are contiguous (a matrix, a filter seen by its input channels): b[d][n] at src + outer * outerStride + inner *
 * innerStride + 4 n. Arguments: src, panels, columns, outer, inner, outer stride, inner stride.
 */
export function packColumns(args: usize, tile: i32, scratch: usize): void {
  const columns = int(args, 2), outer = int(args, 3), inner = int(args, 4);
  const outerStride = addr(args, 5), innerStride = addr(args, 6);
  const first = tile << 3;
  const count = min32(8, columns - first);
  const src = addr(args, 0) + ((<usize>first) << 2);
  let to = addr(args, 1) + (<usize>tile) * (<usize>(outer * inner)) * 32;
  for (let o = 0; o < outer; o++) {
    let from = src + (<usize>o) * outerStride;
    for (let i = 0; i < inner; i++) {
      if (count == 8) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      } else {
        for (let n = 0; n < 8; n++) store<f32>(to + (n << 2), n < count ? load<f32>(from + (n << 2)) : 0);
      }
      from += innerStride;
      to += 32;
    }
  }
}

/** to[c][r] = from[r][c] for 4-byte elements. Arguments: from, to, rows, columns, from stride, to stride (bytes), columns a tile. */
export function transposeRows(args: usize, tile: i32, scratch: usize): void {
  const rows = int(args, 2);
  const perTile = int(args, 6);
  const c0 = tile * perTile, c1 = min32(c0 + perTile, int(args, 3));
  const fromStride = addr(args, 4), toStride = addr(args, 5);
  const from = addr(args, 0), to = addr(args, 1);
  // squares of 16, so that lines of both sides are used while they are near
  for (let r0 = 0; r0 < rows; r0 += 16) {
    const r1 = min32(r0 + 16, rows);
    for (let c = c0; c < c1; c++) {
      let p = from + (<usize>r0) * fromStride + ((<usize>c) << 2);
      let q = to + (<usize>c) * toStride + ((<usize>r0) << 2);
      for (let r = r0; r < r1; r++) {
        store<i32>(q, load<i32>(p));
        p += fromStride;
        q += 4;
      }
    }
  }
}
