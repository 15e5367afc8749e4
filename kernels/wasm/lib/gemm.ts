/**
 * Register-tiled products: what convolutions and matrix products are made of.
 *
 *   rowsTimesPanel    c[4, 8] = bias + sum over runs t, i < run:  a[t][row][i] * panel[t][i][0..8)
 *   productOfColumns  c[rows, 8] += sum over p:  a[p][0..rows) * b[p][0..8), 6 rows at a time with relaxed SIMD, 4 without
 *
 * In the first, rows of A are four pointers for each run (a filter tap), so that a convolution needs no gathered copy of its input; in
 * the second A is stored as its transpose, as filter gradients have it. The idea of pointers is XNNPACK's indirect convolution (M.
 * Dukhan, "The Indirect Convolution Algorithm", 2019), the tile BLIS' (Van Zee and van de Geijn, 2015).
 *
 * The tiles' sizes come from V8, which has 15 vector registers to give: 12 accumulators, 2 vectors of B and one element of A at a
 * time fit, if each element's load stays beside its multiply-adds. V8 moves all loads to the front, and spills, unless the loop stands
 * alone in its function, from zeros to plain stores: so the second product goes through a tile of scratch. The first has too many
 * pointers and an outer loop: 4 rows, for which even loads at the front leave room, 8 + 2 + 4. Without a fused multiply-add there is
 * a product to hold besides: 4 rows as well. Measured on a 3.2 GHz Zen 3 core (50.8 GFLOP/s at most), 256 terms, Node 20: columns
 * 6x8 47, 21 with sums added after the loop; 4x8 45; without fused multiply-add 4x8 32, 6x8 22.
 */
import { madd, relu4 } from './simd';

/** Rows of a tile of the first product, columns of both. */
export const MR: i32 = 4;
export const NR: i32 = 8;

/** Bytes of one run in the table: offset of its panel rows in bytes, four row addresses, three words unused. */
export const RUN_BYTES: usize = 32;

/** Flags of the first product. */
export const ACCUMULATE: i32 = 1;
export const RELU: i32 = 2;

/**
 * table: `runs` entries of {panel offset, four row addresses}; run: elements of each; panel: packed columns, 8 floats an element;
 * bias: address of 8 floats or 0; c: address of the first of `rows` <= 4 rows of `columns` <= 8 floats, `stride` bytes apart.
 */
export function rowsTimesPanel(
  table: usize, runs: i32, run: i32, panel: usize, bias: usize, c: usize, stride: usize, rows: i32, columns: i32, flags: i32,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  const length = (<usize>run) << 5;
  const lastEntry = table + ((<usize>runs) << 5);
  for (; table < lastEntry; table += RUN_BYTES) {
    let b = panel + load<usize>(table);
    let a0 = load<usize>(table, 4);
    let a1 = load<usize>(table, 8);
    let a2 = load<usize>(table, 12);
    let a3 = load<usize>(table, 16);
    const end = b + length;
    while (b < end) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      const v0 = v128.load32_splat(a0);
      c00 = madd(v0, b0, c00);
      c01 = madd(v0, b1, c01);
      const v1 = v128.load32_splat(a1);
      c10 = madd(v1, b0, c10);
      c11 = madd(v1, b1, c11);
      const v2 = v128.load32_splat(a2);
      c20 = madd(v2, b0, c20);
      c21 = madd(v2, b1, c21);
      const v3 = v128.load32_splat(a3);
      c30 = madd(v3, b0, c30);
      c31 = madd(v3, b1, c31);
      b += 32;
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
    }
  }
  if (bias != 0) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16);
    c00 = f32x4.add(c00, b0);
    c01 = f32x4.add(c01, b1);
    c10 = f32x4.add(c10, b0);
    c11 = f32x4.add(c11, b1);
    c20 = f32x4.add(c20, b0);
    c21 = f32x4.add(c21, b1);
    c30 = f32x4.add(c30, b0);
    c31 = f32x4.add(c31, b1);
  }
  storeRow(c, c00, c01, columns, flags);
  if (rows > 1) storeRow(c + stride, c10, c11, columns, flags);
  if (rows > 2) storeRow(c + 2 * stride, c20, c21, columns, flags);
  if (rows > 3) storeRow(c + 3 * stride, c30, c31, columns, flags);
}

/** Writes one row of a tile: added to what is there, rectified, cut to `columns`, as asked. */
function storeRow(c: usize, v0: v128, v1: v128, columns: i32, flags: i32): void {
  if (columns == 8) {
    if (flags & ACCUMULATE) {
      v0 = f32x4.add(v128.load(c), v0);
      v1 = f32x4.add(v128.load(c, 16), v1);
    }
    if (flags & RELU) {
      v0 = relu4(v0);
      v1 = relu4(v1);
    }
    v128.store(c, v0);
    v128.store(c, v1, 16);
    return;
  }
  for (let i = 0; i < columns; i++) {
    let v = f32x4.extract_lane(v0, 0);
    if (flags & ACCUMULATE) v += load<f32>(c);
    if (flags & RELU) v = v < 0 ? 0 : v;
    store<f32>(c, v);
    c += 4;
    // the next lane comes first
    v0 = i8x16.shuffle(v0, v1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19);
    v1 = i8x16.shuffle(v1, v1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
  }
}

/** Rows of a tile of the second product. */
// @ts-ignore: a constant of the compiler
const MC: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;

/** Bytes of a tile: MC rows of 8 floats, one after another. */
export const TILE_BYTES: usize = (<usize>MC) << 5;

/**
 * to[MC, 8] = sum over p < depth of a[p][0..MC) * b[p][0..8). A is stored by fours of rows, 16 bytes a step: rows 0 to 3 at a, 4 and 5
 * at `pair`; b steps by bStep bytes.
 */
function columnsTimesRows(a: usize, pair: usize, b: usize, bStep: usize, depth: i32, to: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  const end = (<usize>depth) << 4;
  for (let i: usize = 0; i < end; i += 16) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const v0 = v128.load32_splat(a + i);
    c00 = madd(v0, b0, c00);
    c01 = madd(v0, b1, c01);
    const v1 = v128.load32_splat(a + i, 4);
    c10 = madd(v1, b0, c10);
    c11 = madd(v1, b1, c11);
    const v2 = v128.load32_splat(a + i, 8);
    c20 = madd(v2, b0, c20);
    c21 = madd(v2, b1, c21);
    const v3 = v128.load32_splat(a + i, 12);
    c30 = madd(v3, b0, c30);
    c31 = madd(v3, b1, c31);
    if (MC == 6) {
      const v4 = v128.load32_splat(pair + i);
      c40 = madd(v4, b0, c40);
      c41 = madd(v4, b1, c41);
      const v5 = v128.load32_splat(pair + i, 4);
      c50 = madd(v5, b0, c50);
      c51 = madd(v5, b1, c51);
    }
    b += bStep;
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c10, 32);
  v128.store(to, c11, 48);
  v128.store(to, c20, 64);
  v128.store(to, c21, 80);
  v128.store(to, c30, 96);
  v128.store(to, c31, 112);
  if (MC == 6) {
    v128.store(to, c40, 128);
    v128.store(to, c41, 144);
    v128.store(to, c50, 160);
    v128.store(to, c51, 176);
  }
}

/** Tiles of sums that `rows` rows take: with 6 rows each, two hold three fours, the second its last four first. */
export function sumTiles(rows: i32): i32 {
  const fours = (rows + 3) >> 2;
  if (MC == 4) return fours;
  return (fours / 3) * 2 + fours % 3;
}

/** Where `row`'s eight floats lie in the tiles of sums of one unit of columns. */
export function sumRow(row: i32): usize {
  if (MC == 4) return (<usize>row) << 5;
  const twelve = row / 12, r = row - twelve * 12;
  return (<usize>(twelve * 12 + (r < 6 ? r : r < 8 ? r + 4 : r - 2))) << 5;
}

/**
 * All rows by one unit of 8 columns, added to sums: A in `rows` rows by fours, `fourBytes` bytes apart; sums in tiles, see `sumRow`;
 * tile: TILE_BYTES of scratch.
 */
export function productOfColumns(
  a: usize, fourBytes: usize, rows: i32, b: usize, bStep: usize, depth: i32, sums: usize, tile: usize,
): void {
  const tiles = sumTiles(rows);
  for (let t = 0; t < tiles; t++) {
    if (MC == 4) columnsTimesRows(a + (<usize>t) * fourBytes, 0, b, bStep, depth, tile);
    else {
      const first = a + (<usize>((t >> 1) * 3)) * fourBytes;
      if ((t & 1) == 0) columnsTimesRows(first, first + fourBytes, b, bStep, depth, tile);
      else columnsTimesRows(first + 2 * fourBytes, first + fourBytes + 8, b, bStep, depth, tile);
    }
    for (let i: usize = 0; i < TILE_BYTES; i += 32, sums += 32) {
      v128.store(sums, f32x4.add(v128.load(sums), v128.load(tile + i)));
      v128.store(sums, f32x4.add(v128.load(sums, 16), v128.load(tile + i, 16)), 16);
    }
  }
}
