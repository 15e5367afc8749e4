/**
 * dfilter[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p u + r d - top, q v + s e - left, c].
 *
 * A matrix product whose depth is the pixels of the output: long, so it is cut into blocks of DEPTH pixels; for each, dy is packed
 * into groups of 4 channels and x, shifted by the tap, into units of 8 (zeros in the padding), and all groups meet every unit in
 * tiles of registers (lib/gemm.ts, productOfColumns). A tile of this kernel is a part of the pixels (a split) by a run of
 * units (tap, 8 channels) by a run of k. Splits write partial sums, which `sumPartials` adds in order; their number follows from
 * shapes. With few channels (a first layer) a unit is 8 elements of the flattened (r, s, c), gathered row by row.
 */
import { gatherWindows } from './lib/gather';
import { NR, TILE_BYTES, productOfColumns, sumRow, sumTiles } from './lib/gemm';
import { addr, copyRun, int, min32, zeroRun } from './lib/simd';

/** Pixels of a block. */
const DEPTH: i32 = 128;
/** From one packed group or unit to the next: a line more than its bytes, so that streams do not fall into one cache set. */
const GROUP_BYTES: usize = 128 * 16 + 64;
const UNIT_BYTES: usize = 128 * 32 + 64;

// Argument words, as in src/ops/cpu/conv.ts.
const X: i32 = 0;
const DY: i32 = 1;
const OUT: i32 = 2;
const ROWS: i32 = 3;
const OUT_H: i32 = 4;
const OUT_W: i32 = 5;
const IN_H: i32 = 6;
const IN_W: i32 = 7;
const C: i32 = 8;
const K: i32 = 9;
const R: i32 = 10;
const S: i32 = 11;
const STRIDE_H: i32 = 12;
const STRIDE_W: i32 = 13;
const TOP: i32 = 14;
const LEFT: i32 = 15;
const DILATION_H: i32 = 16;
const DILATION_W: i32 = 17;
const X_STRIDE: i32 = 18;
const DY_STRIDE: i32 = 19;
const ROWS_PER_SPLIT: i32 = 20;
const UNITS_PER_TILE: i32 = 21;
const UNIT_TILES: i32 = 22;
const K_PER_TILE: i32 = 23;
const K_TILES: i32 = 24;
const GATHER: i32 = 25;
/** Bytes from (k, r, s) to the next in the result, and from split to split. */
const OUT_STRIDE: i32 = 26;
const SPLIT_STRIDE: i32 = 27;

/** Packs `width` channels of `depth` rows of dy into groups of 4. */
function packRows4(from: usize, stride: usize, depth: i32, width: i32, to: usize): void {
  let k = 0;
  for (; k + 16 <= width; k += 16) {
    let p = from + ((<usize>k) << 2), q = to + (<usize>(k >> 2)) * GROUP_BYTES;
    for (let i = 0; i < depth; i++) {
      v128.store(q, v128.load(p));
      v128.store(q + GROUP_BYTES, v128.load(p, 16));
      v128.store(q + 2 * GROUP_BYTES, v128.load(p, 32));
      v128.store(q + 3 * GROUP_BYTES, v128.load(p, 48));
      p += stride;
      q += 16;
    }
  }
  for (; k < width; k += 4) {
    let p = from + ((<usize>k) << 2), q = to + (<usize>(k >> 2)) * GROUP_BYTES;
    const count = min32(4, width - k);
    for (let i = 0; i < depth; i++) {
      if (count == 4) v128.store(q, v128.load(p));
      else for (let n = 0; n < 4; n++) store<f32>(q + (n << 2), n < count ? load<f32>(p + (n << 2)) : 0);
      p += stride;
      q += 16;
    }
  }
}

/** Packs channels [c0, c0 + 8 units) of the pixels that output pixels first.. see through tap (i, j). */
function packTap(args: usize, i: i32, j: i32, c0: i32, units: i32, first: i32, depth: i32, to: usize): void {
  const outH = int(args, OUT_H), outW = int(args, OUT_W), inH = int(args, IN_H), inW = int(args, IN_W);
  const strideH = int(args, STRIDE_H), strideW = int(args, STRIDE_W);
  const xStride = addr(args, X_STRIDE);
  const x = addr(args, X) + ((<usize>c0) << 2);
  const offsetH = i * int(args, DILATION_H) - int(args, TOP), offsetW = j * int(args, DILATION_W) - int(args, LEFT);
  const whole = min32(units, (int(args, C) - c0) / NR);
  const rest = whole < units ? int(args, C) - c0 - whole * NR : 0;
  let image = first / (outH * outW);
  let oh = (first - image * (outH * outW)) / outW;
  let ow = first - (image * outH + oh) * outW;
  for (let p = 0; p < depth; p++) {
    const h = oh * strideH + offsetH, w = ow * strideW + offsetW;
    let q = to + ((<usize>p) << 5);
    if (<u32>h < <u32>inH && <u32>w < <u32>inW) {
      let from = x + (<usize>((image * inH + h) * inW + w)) * xStride;
      for (let u = 0; u < whole; u++) {
        v128.store(q, v128.load(from));
        v128.store(q, v128.load(from, 16), 16);
        from += 32;
        q += UNIT_BYTES;
      }
      for (let n = 0; n < rest; n++) store<f32>(q + (n << 2), load<f32>(from + (n << 2)));
    } else {
      for (let u = 0; u < units; u++) {
        v128.store(q, f32x4.splat(0));
        v128.store(q, f32x4.splat(0), 16);
        q += UNIT_BYTES;
      }
    }
    if (++ow == outW) {
      ow = 0;
      if (++oh == outH) {
        oh = 0;
        image++;
      }
    }
  }
}

export function convFilterGrad(args: usize, tile: i32, scratch: usize): void {
  const unitTiles = int(args, UNIT_TILES), kTiles = int(args, K_TILES);
  const split = tile / (unitTiles * kTiles);
  const inSplit = tile - split * (unitTiles * kTiles);
  const unitTile = inSplit / kTiles;
  const kTile = inSplit - unitTile * kTiles;
  const c = int(args, C), s = int(args, S);
  const taps = int(args, R) * s;
  const gathered = int(args, GATHER) != 0;
  const unitsPerTap = (c + NR - 1) / NR;
  const depthLength = taps * c;
  const unitCount = gathered ? (depthLength + NR - 1) / NR : taps * unitsPerTap;
  const firstUnit = unitTile * int(args, UNITS_PER_TILE);
  const units = min32(int(args, UNITS_PER_TILE), unitCount - firstUnit);
  const firstK = kTile * int(args, K_PER_TILE);
  const width = min32(int(args, K_PER_TILE), int(args, K) - firstK);
  const groups = (width + 3) >> 2;
  const firstRow = split * int(args, ROWS_PER_SPLIT);
  const lastRow = min32(firstRow + int(args, ROWS_PER_SPLIT), int(args, ROWS));
  const dyStride = addr(args, DY_STRIDE);
  const dy = addr(args, DY) + ((<usize>firstK) << 2);

  const packedDy = scratch + 256;
  // two groups more than there are: the last tile of registers may read them, for rows that nobody uses
  const packedX = packedDy + (<usize>(groups + 2)) * GROUP_BYTES;
  const rowBytes = (<usize>units) << 5;
  const sums = packedX + (gathered ? (<usize>DEPTH) * rowBytes : (<usize>units) * UNIT_BYTES);
  const unitBytes = (<usize>sumTiles(width)) * TILE_BYTES;
  zeroRun(sums, (<usize>units) * unitBytes);

  for (let row = firstRow; row < lastRow; row += DEPTH) {
    const depth = min32(DEPTH, lastRow - row);
    packRows4(dy + (<usize>row) * dyStride, dyStride, depth, width, packedDy);
    if (gathered) gatherWindows(addr(args, X), args + ((<usize>OUT_H) << 2), packedX, rowBytes, row, depth);
    else {
      for (let u = firstUnit; u < firstUnit + units;) {
        const tap = u / unitsPerTap;
        const inTap = u - tap * unitsPerTap;
        const count = min32(unitsPerTap - inTap, firstUnit + units - u);
        packTap(args, tap / s, tap % s, inTap * NR, count, row, depth, packedX + (<usize>(u - firstUnit)) * UNIT_BYTES);
        u += count;
      }
    }
    for (let u = 0; u < units; u++) {
      const b = packedX + (gathered ? (<usize>u) << 5 : (<usize>u) * UNIT_BYTES);
      const bStep: usize = gathered ? rowBytes : 32;
      productOfColumns(packedDy, GROUP_BYTES, width, b, bStep, depth, sums + (<usize>u) * unitBytes, scratch);
    }
  }

  const outStride = addr(args, OUT_STRIDE);
  const out = addr(args, OUT) + (<usize>split) * addr(args, SPLIT_STRIDE);
  for (let k = 0; k < width; k++) {
    let from = sums + sumRow(k);
    const to = out + (<usize>((firstK + k) * taps)) * outStride;
    for (let u = 0; u < units; u++, from += unitBytes) {
      if (gathered) {
        // element by element: taps may be apart in the result
        for (let n = 0; n < NR; n++) {
          const d = (firstUnit + u) * NR + n;
          if (d >= depthLength) break;
          const tap = d / c;
          store<f32>(to + (<usize>tap) * outStride + ((<usize>(d - tap * c)) << 2), load<f32>(from + ((<usize>n) << 2)));
        }
        continue;
      }
      const tap = (firstUnit + u) / unitsPerTap;
      const channel = (firstUnit + u - tap * unitsPerTap) * NR;
      copyRun(to + (<usize>tap) * outStride + ((<usize>channel) << 2), from, (<usize>min32(NR, c - channel)) << 2);
    }
  }
}

/**
 * out[row][i] = sum over s of partials[s][row][i], in order of s. Arguments: partials, out, parts, part stride, rows, width
 * (elements), partials' row stride, out's row stride (bytes), rows a tile, elements in all (the last row may be short).
 */
export function sumPartials(args: usize, tile: i32, scratch: usize): void {
  const parts = int(args, 2), partStride = addr(args, 3);
  const perTile = int(args, 8);
  const first = tile * perTile, last = min32(first + perTile, int(args, 4));
  const whole = int(args, 5), all = int(args, 9);
  for (let row = first; row < last; row++) {
    const width = (<usize>min32(whole, all - row * whole)) << 2;
    const from = addr(args, 0) + (<usize>row) * addr(args, 6);
    const to = addr(args, 1) + (<usize>row) * addr(args, 7);
    let i: usize = 0;
    for (; i + 16 <= width; i += 16) {
      let p = from + i;
      let sum = v128.load(p);
      for (let n = 1; n < parts; n++) {
        p += partStride;
        sum = f32x4.add(sum, v128.load(p));
      }
      v128.store(to + i, sum);
    }
    for (; i < width; i += 4) {
      let p = from + i;
      let sum = load<f32>(p);
      for (let n = 1; n < parts; n++) {
        p += partStride;
        sum += load<f32>(p);
      }
      store<f32>(to + i, sum);
    }
  }
}
