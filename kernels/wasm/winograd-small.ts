/**
 * Convolution 3x3, stride 1, by minimal filtering F(2x2, 3x3): 16 multiplications in place of 36 for 2x2 outputs, with the rounding of
 * a direct convolution or nearly so. For the forward pass of training, where the larger rounding of F(4x4, 3x3) flips too many ReLUs
 * (winograd.ts, which has the formula and works in the same way: a launch transforms filters into 16 sets of panels; a tile is a run
 * of BLOCKS output blocks by a run of panels). Winograd 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
 */
import { MR, NR, RUN_BYTES } from './lib/gemm';
import { addr, int, min32, zeroRun } from './lib/simd';
import { filterLine, inputLine, outputLine } from './lib/winograd-f2x3';
import {
  BIAS, BLOCKS, BLOCKS_ALL, BLOCKS_H, BLOCKS_W, COLUMN_TILES, GROUP_BYTES, IN_C, IN_H, IN_W, LEFT, OUT_C, OUT_H, OUT_W, PANELS_PER_TILE,
  PANEL_GROUP, PLANE, TOP, U, X, X_STRIDE, Y, Y_STRIDE, fillRuns, inputPlane, multiplyPlanes, resultPlane, turn4,
} from './lib/winograd-product';

/**
 * U[e][panel][d][8], e < 16. Arguments: 0 filter, 1 U, 2 K, 3 C, 4 row stride from (k, r, s) to the next, 5 is not read, 6 bytes
 * from one e to the next, as `winogradFilter` has them. A tile is a panel. C and K are multiples of 4.
 */
export function winogradSmallFilter(args: usize, tile: i32, scratch: usize): void {
  const k = int(args, 2), c = int(args, 3);
  const stride = addr(args, 4), plane = addr(args, 6);
  const step = 9 * stride;
  // 9 taps x 4 vectors, then the half-transformed 4 x 3
  const taps = scratch, half = scratch + 1024;
  for (let side = 0; side < 2; side++) {
    const first = tile * NR + side * 4;
    let u = addr(args, 1) + (<usize>(tile * c)) * 32 + (<usize>side) * 16;
    if (first >= k) {
      for (let d = 0; d < c; d++, u += 32) {
        for (let e: usize = 0; e < 16; e++) v128.store(u + e * plane, f32x4.splat(0));
      }
      continue;
    }
    for (let d = 0; d < c; d += 4) {
      let from = addr(args, 0) + (<usize>first) * step + ((<usize>d) << 2);
      for (let t = 0; t < 9; t++, from += stride) turn4(from, step, taps + ((<usize>t) << 6));
      for (let i: usize = 0; i < 4; i++, u += 32) {
        let g = taps + i * 16;
        for (let s: usize = 0; s < 3; s++, g += 64) {
          filterLine(v128.load(g), v128.load(g, 192), v128.load(g, 384), half + s * 16, 48);
        }
        let to = u;
        for (let r: usize = 0; r < 4; r++, to += 4 * plane) {
          const h = half + r * 48;
          filterLine(v128.load(h), v128.load(h, 16), v128.load(h, 32), to, plane);
        }
      }
    }
  }
}

/** Scratch: zeros, addresses, a 4x4 of vectors, the table, results of a group, then the transformed inputs. */
const ADDRESSES: usize = 16384;
const SQUARE: usize = ADDRESSES + 64;
const TABLE: usize = SQUARE + 256;

/** Transforms `blocks` blocks of inputs to V[e][block][c]. */
function transformInputs(args: usize, first: i32, blocks: i32, scratch: usize, v: usize): void {
  const h = int(args, IN_H), w = int(args, IN_W), c = int(args, IN_C);
  const across = int(args, BLOCKS_W), down = int(args, BLOCKS_H);
  const xStride = addr(args, X_STRIDE), x = addr(args, X);
  const channelBytes = (<usize>c) << 2, plane = inputPlane(blocks, c);
  const table = scratch + ADDRESSES, square = scratch + SQUARE;
  for (let b = 0; b < blocks; b++) {
    const block = first + b;
    const image = block / (across * down);
    const place = block - image * (across * down);
    const h0 = (place / across) * 2 - int(args, TOP), w0 = (place % across) * 2 - int(args, LEFT);
    for (let i = 0; i < 4; i++) {
      const line = x + (<usize>(image * h + h0 + i)) * (<usize>w) * xStride;
      for (let j = 0; j < 4; j++) {
        const inside = <u32>(h0 + i) < <u32>h && <u32>(w0 + j) < <u32>w;
        store<usize>(table + ((<usize>(i * 4 + j)) << 2), inside ? line + (<usize>(w0 + j)) * xStride : scratch);
      }
    }
    const row = v + (<usize>b) * channelBytes;
    for (let at: usize = 0; at < channelBytes; at += 16) {
      for (let j: usize = 0; j < 4; j++) {
        const p = table + (j << 2);
        inputLine(
          v128.load(load<usize>(p) + at), v128.load(load<usize>(p, 16) + at), v128.load(load<usize>(p, 32) + at),
          v128.load(load<usize>(p, 48) + at), square + (j << 4), 64,
        );
      }
      let to = row + at;
      for (let i: usize = 0; i < 4; i++, to += 4 * plane) {
        const p = square + (i << 6);
        inputLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), to, plane);
      }
    }
  }
}

/** Transforms columns [c0, c1) of results M[e][block][...] back to y. */
function transformOutputs(args: usize, first: i32, blocks: i32, scratch: usize, m: usize, c0: i32, c1: i32): void {
  const h = int(args, OUT_H), w = int(args, OUT_W);
  const across = int(args, BLOCKS_W), down = int(args, BLOCKS_H);
  const yStride = addr(args, Y_STRIDE), y = addr(args, Y);
  const bias = addr(args, BIAS), plane = resultPlane(blocks);
  const square = scratch + SQUARE, result = square + 128;
  for (let b = 0; b < blocks; b++) {
    const block = first + b;
    const image = block / (across * down);
    const place = block - image * (across * down);
    const h0 = (place / across) * 2, w0 = (place % across) * 2;
    const below = h0 + 1 < h, beside = w0 + 1 < w;
    const corner = y + (<usize>((image * h + h0) * w + w0)) * yStride;
    for (let c = c0; c < c1; c += 4) {
      const from = m + (<usize>b) * GROUP_BYTES + ((<usize>(c - c0)) << 2);
      for (let j: usize = 0; j < 4; j++) {
        const p = from + j * plane;
        outputLine(v128.load(p), v128.load(p + 4 * plane), v128.load(p + 8 * plane), v128.load(p + 12 * plane), square + (j << 4), 64);
      }
      const add = bias == 0 ? f32x4.splat(0) : v128.load(bias + ((<usize>c) << 2));
      for (let i: usize = 0; i < 2; i++) {
        const p = square + (i << 6);
        outputLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), result + (i << 5), 16);
      }
      const to = corner + ((<usize>c) << 2);
      v128.store(to, f32x4.add(v128.load(result), add));
      if (beside) v128.store(to + yStride, f32x4.add(v128.load(result, 16), add));
      if (!below) continue;
      const under = to + (<usize>w) * yStride;
      v128.store(under, f32x4.add(v128.load(result, 32), add));
      if (beside) v128.store(under + yStride, f32x4.add(v128.load(result, 48), add));
    }
  }
}

export function winogradSmall(args: usize, tile: i32, scratch: usize): void {
  const columnTiles = int(args, COLUMN_TILES);
  const blockTile = tile / columnTiles;
  const columnTile = tile - blockTile * columnTiles;
  const c = int(args, IN_C), k = int(args, OUT_C);
  const first = blockTile * int(args, BLOCKS);
  const blocks = min32(int(args, BLOCKS), int(args, BLOCKS_ALL) - first);
  const firstPanel = columnTile * int(args, PANELS_PER_TILE);
  const lastPanel = min32(firstPanel + int(args, PANELS_PER_TILE), (k + NR - 1) / NR);
  const table = scratch + TABLE;
  const m = table + (<usize>(16 * ((blocks + MR - 1) / MR))) * RUN_BYTES;
  const v = m + 16 * resultPlane(blocks);
  zeroRun(scratch, (<usize>c) << 2);
  transformInputs(args, first, blocks, scratch, v);
  fillRuns(table, v, 16, blocks, c);
  for (let p0 = firstPanel; p0 < lastPanel; p0 += PANEL_GROUP) {
    const p1 = min32(p0 + PANEL_GROUP, lastPanel);
    multiplyPlanes(table, 16, blocks, c, addr(args, U), addr(args, PLANE), p0, p1, m);
    transformOutputs(args, first, blocks, scratch, m, p0 * NR, min32(p1 * NR, k));
  }
}
