/**
 * The gradient of a 3x3 convolution of stride 1 by its filter, by minimal filtering: the adjoint of winograd.ts,
 *
 *   dg = G^T [ sum over blocks of (A dY A^T) . (B^T d B) ] G
 *
 * for 4x4 blocks dY of the output's gradient and the 6x6 inputs d that they saw; for each of the 36 places the sum over blocks is a
 * matrix product [k, blocks] x [blocks, c]. A tile is a part of the blocks (a split) by a run of k by a run of c: it transforms DEPTH
 * blocks at a time into packed groups of 4 k and of 8 c, multiplies them into 36 matrices [k, c] of scratch (lib/gemm.ts,
 * productOfColumns), and transforms those at the end. Splits are added in order by `sumPartials`. C and K are multiples of 4.
 *
 * Arguments: 0 x, 1 dy, 2 out, 3 blocks, 4 blocks down, 5 across, 6 H, 7 W, 8 P, 9 Q (of dy), 10 C, 11 K, 12 top, 13 left, 14 x's, 15
 * dy's stride (bytes), 16 blocks a split, 17 k a tile, 18 tiles of k, 19 c a tile, 20 tiles of c, 21 bytes from (k, r, s) to the next
 * in out, 22 from split to split.
 */
import { NR, TILE_BYTES, productOfColumns, sumRow, sumTiles } from './lib/gemm';
import { addr, int, min32, zeroRun } from './lib/simd';
import { filterAdjointLine, inputLine, outputAdjointLine } from './lib/winograd-f4x3';

/** Blocks that are transformed together. */
const DEPTH: i32 = 32;
/** From one packed group to the next, a line more than its bytes. */
const K_GROUP: usize = 32 * 16 + 64;
const C_GROUP: usize = 32 * 32 + 64;

/** Scratch: zeros, addresses, a square of vectors, a tile of registers, then groups of k, groups of c, sums. */
const ADDRESSES: usize = 16384;
const SQUARE: usize = ADDRESSES + 256;
const TILE: usize = SQUARE + 1024;
const PACKED: usize = TILE + 256;

/** Addresses of a `size` x `size` square of an image from (h0, w0) on; of zeros outside. */
function addresses(table: usize, base: usize, stride: usize, image: i32, h: i32, w: i32, h0: i32, w0: i32, size: i32, zeros: usize): void {
  for (let i = 0; i < size; i++) {
    const line = base + (<usize>(image * h + h0 + i)) * (<usize>w) * stride;
    for (let j = 0; j < size; j++) {
      const inside = <u32>(h0 + i) < <u32>h && <u32>(w0 + j) < <u32>w;
      store<usize>(table, inside ? line + (<usize>(w0 + j)) * stride : zeros);
      table += 4;
    }
  }
}

/** B^T d B of `count` channels, to groups of 8 at `to`; 36 planes. */
function transformInput(table: usize, square: usize, count: i32, to: usize, plane: usize): void {
  for (let c = 0; c < count; c += 4) {
    const at = (<usize>c) << 2;
    for (let j: usize = 0; j < 6; j++) {
      const p = table + (j << 2);
      inputLine(
        v128.load(load<usize>(p) + at), v128.load(load<usize>(p, 24) + at), v128.load(load<usize>(p, 48) + at),
        v128.load(load<usize>(p, 72) + at), v128.load(load<usize>(p, 96) + at), v128.load(load<usize>(p, 120) + at),
        square + (j << 4), 96,
      );
    }
    let q = to + (<usize>(c >> 3)) * C_GROUP + ((<usize>(c & 4)) << 2);
    for (let i: usize = 0; i < 6; i++) {
      const p = square + i * 96;
      inputLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64), v128.load(p, 80), q, plane);
      q += 6 * plane;
    }
  }
}

/** A dY A^T of `count` channels, to groups of 4 at `to`. */
function transformGradient(table: usize, square: usize, count: i32, to: usize, plane: usize): void {
  for (let k = 0; k < count; k += 4) {
    const at = (<usize>k) << 2;
    for (let j: usize = 0; j < 4; j++) {
      const p = table + (j << 2);
      outputAdjointLine(
        v128.load(load<usize>(p) + at), v128.load(load<usize>(p, 16) + at), v128.load(load<usize>(p, 32) + at),
        v128.load(load<usize>(p, 48) + at), square + (j << 4), 64,
      );
    }
    let q = to + (<usize>(k >> 2)) * K_GROUP;
    for (let i: usize = 0; i < 6; i++) {
      const p = square + (i << 6);
      outputAdjointLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), q, plane);
      q += 6 * plane;
    }
  }
}

export function winogradFilterGrad(args: usize, tile: i32, scratch: usize): void {
  const kTiles = int(args, 18), cTiles = int(args, 20);
  const split = tile / (kTiles * cTiles);
  const inSplit = tile - split * (kTiles * cTiles);
  const kTile = inSplit / cTiles;
  const firstK = kTile * int(args, 17), firstC = (inSplit - kTile * cTiles) * int(args, 19);
  const ks = min32(int(args, 17), int(args, 11) - firstK), cs = min32(int(args, 19), int(args, 10) - firstC);
  const kGroups = (ks + 3) >> 2, cGroups = (cs + NR - 1) / NR;
  const firstBlock = split * int(args, 16), lastBlock = min32(firstBlock + int(args, 16), int(args, 3));
  const down = int(args, 4), across = int(args, 5);
  const x = addr(args, 0) + ((<usize>firstC) << 2), dy = addr(args, 1) + ((<usize>firstK) << 2);
  const table = scratch + ADDRESSES, square = scratch + SQUARE;
  const kPlane = (<usize>kGroups) * K_GROUP, cPlane = (<usize>cGroups) * C_GROUP;
  // two groups more than there are: the last tile of registers may read them, for rows that nobody uses
  const packedK = scratch + PACKED, packedC = packedK + 36 * kPlane + 2 * K_GROUP;
  const sums = packedC + 36 * cPlane;
  const unitBytes = (<usize>sumTiles(ks)) * TILE_BYTES;
  const sumPlane = (<usize>cGroups) * unitBytes + 64;
  zeroRun(scratch, (<usize>max<i32>(ks, cs)) << 2);
  zeroRun(sums, 36 * sumPlane);

  for (let block = firstBlock; block < lastBlock; block += DEPTH) {
    const depth = min32(DEPTH, lastBlock - block);
    for (let b = 0; b < depth; b++) {
      const image = (block + b) / (across * down);
      const place = block + b - image * (across * down);
      const h0 = (place / across) * 4, w0 = (place % across) * 4;
      addresses(table, x, addr(args, 14), image, int(args, 6), int(args, 7), h0 - int(args, 12), w0 - int(args, 13), 6, scratch);
      transformInput(table, square, cs, packedC + ((<usize>b) << 5), cPlane);
      addresses(table, dy, addr(args, 15), image, int(args, 8), int(args, 9), h0, w0, 4, scratch);
      transformGradient(table, square, ks, packedK + ((<usize>b) << 4), kPlane);
    }
    for (let e: usize = 0; e < 36; e++) {
      for (let u = 0; u < cGroups; u++) {
        productOfColumns(
          packedK + e * kPlane, K_GROUP, ks, packedC + e * cPlane + (<usize>u) * C_GROUP, 32, depth,
          sums + e * sumPlane + (<usize>u) * unitBytes, scratch + TILE,
        );
      }
    }
  }

  const outStride = addr(args, 21);
  const out = addr(args, 2) + (<usize>split) * addr(args, 22) + ((<usize>firstC) << 2);
  const result = square + 512;
  for (let k = 0; k < ks; k++) {
    const to = out + (<usize>((firstK + k) * 9)) * outStride;
    for (let c = 0; c < cs; c += 4) {
      const from = sums + sumRow(k) + (<usize>(c >> 3)) * unitBytes + ((<usize>(c & 4)) << 2);
      for (let j: usize = 0; j < 6; j++) {
        const p = from + j * sumPlane;
        filterAdjointLine(
          v128.load(p), v128.load(p + 6 * sumPlane), v128.load(p + 12 * sumPlane), v128.load(p + 18 * sumPlane),
          v128.load(p + 24 * sumPlane), v128.load(p + 30 * sumPlane), square + (j << 4), 96,
        );
      }
      let q = to + ((<usize>c) << 2);
      for (let i: usize = 0; i < 3; i++) {
        const p = square + i * 96;
        filterAdjointLine(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64), v128.load(p, 80), result, 16);
        v128.store(q, v128.load(result));
        v128.store(q + outStride, v128.load(result, 16));
        v128.store(q + 2 * outStride, v128.load(result, 32));
        q += 3 * outStride;
      }
    }
  }
}
