/**
 * Convolution 3x3, stride 1, by minimal filtering F(4x4, 3x3): Y = A^T [(G g G^T) . (B^T d B)] A for every 4x4 block of outputs (d:
 * the 6x6 inputs that it sees), summed over input channels before the last transform. 36 multiplications in place of 144. Winograd
 * 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
 *
 * The points are 0, +-p, +-q, infinity with p = 5/8, q = 3/2, as oneDNN has them: B and A are exact in float32, and errors are some
 * times smaller than with 1 and 2. With M(x) = x (x^2 - p^2)(x^2 - q^2), rows of B^T are the coefficients of M(x) / (x - a), of M
 * itself for infinity; rows of G are (1, a, a^2) / M'(a); rows of A^T powers of the points.
 *
 * Filters are transformed by a launch before into 36 sets of panels (lib/gemm.ts). A tile of `winograd` is a run of BLOCKS output
 * blocks by a run of panels: inputs are transformed into 36 matrices [blocks, C] of scratch, multiplied with the panels, and
 * transformed back. The gradient by the input is the same with dy as input and filters turned by 180 degrees.
 */
import { MR, NR, RELU, RUN_BYTES } from './lib/gemm';
import { addr, int, min32, zeroRun } from './lib/simd';
import { filterLine, inputLine, outputLine } from './lib/winograd-f4x3';
import {
  BIAS, BLOCKS, BLOCKS_ALL, BLOCKS_H, BLOCKS_W, COLUMN_TILES, FLAGS, GROUP_BYTES, IN_C, IN_H, IN_W, LEFT, OUT_C, OUT_H, OUT_W, PANELS_PER_TILE,
  PANEL_GROUP, PLANE, TOP, U, X, X_STRIDE, Y, Y_STRIDE, fillRuns, inputPlane, multiplyPlanes, resultPlane, turn4,
} from './lib/winograd-product';

// @ts-ignore: decorator
@inline
function c4(v: f32): v128 {
  return f32x4.splat(v);
}

/**
 * U[e][panel][d][8], e < 36. Arguments: 0 filter, 1 U, 2 K, 3 C, 4 row stride from (k, r, s) to the next (bytes), 5 whether by input
 * channels (columns c, depth k, turned), 6 bytes from one e to the next. A tile is a panel. C and K are multiples of 4.
 */
export function winogradFilter(args: usize, tile: i32, scratch: usize): void {
  const k = int(args, 2), c = int(args, 3);
  const stride = addr(args, 4), plane = addr(args, 6);
  const turned = int(args, 5) != 0;
  const columns = turned ? c : k, depth = turned ? k : c;
  const filter = addr(args, 0);
  // 9 taps x 4 vectors, then the half-transformed 6 x 3
  const taps = scratch, half = scratch + 1024;
  for (let side = 0; side < 2; side++) {
    const first = tile * NR + side * 4;
    let u = addr(args, 1) + (<usize>(tile * depth)) * 32 + (<usize>side) * 16;
    if (first >= columns) {
      for (let d = 0; d < depth; d++, u += 32) {
        for (let e: usize = 0; e < 36; e++) v128.store(u + e * plane, c4(0));
      }
      continue;
    }
    for (let d = 0; d < depth; d += 4) {
      if (turned) {
        for (let i = 0; i < 4; i++) {
          let from = filter + (<usize>((d + i) * 9)) * stride + ((<usize>first) << 2);
          for (let t = 8; t >= 0; t--, from += stride) v128.store(taps + (<usize>(t * 4 + i)) * 16, v128.load(from));
        }
      } else {
        const step: usize = 9 * stride;
        let from = filter + (<usize>first) * step + ((<usize>d) << 2);
        for (let t = 0; t < 9; t++, from += stride) turn4(from, step, taps + ((<usize>t) << 6));
      }
      for (let i: usize = 0; i < 4; i++) {
        let g = taps + i * 16;
        // columns of the filter, to half[row of G][s]
        for (let s: usize = 0; s < 3; s++, g += 64) {
          filterLine(v128.load(g), v128.load(g, 192), v128.load(g, 384), half + s * 16, 48);
        }
        let to = u;
        for (let r: usize = 0; r < 6; r++) {
          const h = half + r * 48;
          filterLine(v128.load(h), v128.load(h, 16), v128.load(h, 32), to, plane);
          to += 6 * plane;
        }
        u += 32;
      }
    }
  }
}

/** Scratch: zeros, addresses, a 6x6 of vectors, the table, results of a group, then the transformed inputs. */
const ADDRESSES: usize = 16384;
const SQUARE: usize = ADDRESSES + 256;
const TABLE: usize = SQUARE + 1024;

/** Transforms `blocks` blocks of inputs to V[e][block][c]. */
function transformInputs(args: usize, first: i32, blocks: i32, scratch: usize, v: usize, plane: usize): void {
  const h = int(args, IN_H), w = int(args, IN_W), c = int(args, IN_C);
  const across = int(args, BLOCKS_W), down = int(args, BLOCKS_H);
  const xStride = addr(args, X_STRIDE), x = addr(args, X);
  const channelBytes = (<usize>c) << 2;
  const table = scratch + ADDRESSES, square = scratch + SQUARE;
  for (let b = 0; b < blocks; b++) {
    const block = first + b;
    const image = block / (across * down);
    const place = block - image * (across * down);
    const h0 = (place / across) * 4 - int(args, TOP), w0 = (place % across) * 4 - int(args, LEFT);
    for (let i = 0; i < 6; i++) {
      const line = x + (<usize>(image * h + h0 + i)) * (<usize>w) * xStride;
      for (let j = 0; j < 6; j++) {
        const inside = <u32>(h0 + i) < <u32>h && <u32>(w0 + j) < <u32>w;
        store<usize>(table + ((<usize>(i * 6 + j)) << 2), inside ? line + (<usize>(w0 + j)) * xStride : scratch);
      }
    }
    const row = v + (<usize>b) * channelBytes;
    for (let at: usize = 0; at < channelBytes; at += 16) {
      for (let j: usize = 0; j < 6; j++) {
        const p = table + (j << 2);
        inputLine(
          v128.load(load<usize>(p) + at), v128.load(load<usize>(p, 24) + at), v128.load(load<usize>(p, 48) + at),
          v128.load(load<usize>(p, 72) + at), v128.load(load<usize>(p, 96) + at), v128.load(load<usize>(p, 120) + at),
          square + (j << 4), 96,
        );
      }
      let to = row + at;
      for (let i: usize = 0; i < 6; i++) {
        const p = square + i * 96;
        inputLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64), v128.load(p, 80), to, plane);
        to += 6 * plane;
      }
    }
  }
}

/** Transforms columns [c0, c1) of results M[e][block][...] back to y. */
function transformOutputs(
  args: usize, first: i32, blocks: i32, scratch: usize, m: usize, plane: usize, c0: i32, c1: i32,
): void {
  const h = int(args, OUT_H), w = int(args, OUT_W);
  const across = int(args, BLOCKS_W), down = int(args, BLOCKS_H);
  const yStride = addr(args, Y_STRIDE), y = addr(args, Y);
  const bias = addr(args, BIAS);
  const square = scratch + SQUARE, result = square + 512;
  const floor = c4(int(args, FLAGS) & RELU ? 0 : -Infinity);
  for (let b = 0; b < blocks; b++) {
    const block = first + b;
    const image = block / (across * down);
    const place = block - image * (across * down);
    const h0 = (place / across) * 4, w0 = (place % across) * 4;
    const rows = min32(4, h - h0), columns = min32(4, w - w0);
    const corner = y + (<usize>((image * h + h0) * w + w0)) * yStride;
    for (let c = c0; c < c1; c += 4) {
      const from = m + (<usize>b) * GROUP_BYTES + ((<usize>(c - c0)) << 2);
      for (let j: usize = 0; j < 6; j++) {
        const p = from + j * plane;
        outputLine(
          v128.load(p), v128.load(p + 6 * plane), v128.load(p + 12 * plane), v128.load(p + 18 * plane), v128.load(p + 24 * plane),
          v128.load(p + 30 * plane), square + (j << 4), 96,
        );
      }
      const add = bias == 0 ? c4(0) : v128.load(bias + ((<usize>c) << 2));
      for (let i = 0; i < rows; i++) {
        const p = square + (<usize>i) * 96;
        outputLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64), v128.load(p, 80), result, 16);
        let to = corner + (<usize>(i * w)) * yStride + ((<usize>c) << 2);
        for (let j = 0; j < columns; j++, to += yStride) {
          v128.store(to, f32x4.pmax(f32x4.add(v128.load(result + ((<usize>j) << 4)), add), floor));
        }
      }
    }
  }
}

export function winograd(args: usize, tile: i32, scratch: usize): void {
  const columnTiles = int(args, COLUMN_TILES);
  const blockTile = tile / columnTiles;
  const columnTile = tile - blockTile * columnTiles;
  const c = int(args, IN_C), k = int(args, OUT_C);
  const first = blockTile * int(args, BLOCKS);
  const blocks = min32(int(args, BLOCKS), int(args, BLOCKS_ALL) - first);
  const firstPanel = columnTile * int(args, PANELS_PER_TILE);
  const lastPanel = min32(firstPanel + int(args, PANELS_PER_TILE), (k + NR - 1) / NR);
  const table = scratch + TABLE;
  const m = table + (<usize>(36 * ((blocks + MR - 1) / MR))) * RUN_BYTES;
  const v = m + 36 * resultPlane(blocks);
  zeroRun(scratch, (<usize>c) << 2);
  transformInputs(args, first, blocks, scratch, v, inputPlane(blocks, c));
  fillRuns(table, v, 36, blocks, c);
  for (let p0 = firstPanel; p0 < lastPanel; p0 += PANEL_GROUP) {
    const p1 = min32(p0 + PANEL_GROUP, lastPanel);
    multiplyPlanes(table, 36, blocks, c, addr(args, U), addr(args, PLANE), p0, p1, m);
    transformOutputs(args, first, blocks, scratch, m, resultPlane(blocks), p0 * NR, min32(p1 * NR, k));
  }
}
