/**
 * Register-tiled products, 4 rows by 8 columns in eight vectors: what convolutions and matrix products are made of.
 *
 *   rowsTimesPanel   c[4, 8] = bias + sum over runs t, i < run:  a[t][row][i] * panel[t][i][0..8)
 *   columnsTimesRows c[4, 8] += sum over p:  a[p][0..4) * b[p][0..8)
 *
 * In the first, rows of A are four pointers for each run (a filter tap), so that a convolution needs no gathered copy of its input; in
 * the second A is stored as its transpose, as filter gradients have it. The idea of pointers is XNNPACK's indirect convolution (M.
 * Dukhan, "The Indirect Convolution Algorithm", 2019), the tile BLIS' (Van Zee and van de Geijn, 2015).
 *
 * The tile's size comes from V8: it has 15 vector registers to give and moves all loads of a loop body to its front, so that
 * accumulators and everything loaded in one step must fit together, 8 + 2 + 4; unrolled loops spill. Measured on a 3.8 GHz Zen 5
 * core (60.8 GFLOP/s at most) with Node 20 and 24: 4x8 54 to 58 in both builds; 6x8 31 in the plain one and, with relaxed
 * multiply-add, 60 or 27, as the scheduler has it.
 */
import { madd } from './simd';

/** Rows of a tile. */
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
      v0 = f32x4.max(v0, f32x4.splat(0));
      v1 = f32x4.max(v1, f32x4.splat(0));
    }
    v128.store(c, v0);
    v128.store(c, v1, 16);
    return;
  }
  for (let i = 0; i < columns; i++) {
    let v = f32x4.extract_lane(v0, 0);
    if (flags & ACCUMULATE) v += load<f32>(c);
    if (flags & RELU) v = max<f32>(v, 0);
    store<f32>(c, v);
    c += 4;
    // the next lane comes first
    v0 = i8x16.shuffle(v0, v1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19);
    v1 = i8x16.shuffle(v1, v1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
  }
}

/** c[4, 8] += sum over p < depth of a[p][0..4) * b[p][0..8); steps and strides in bytes; all 32 elements of c are touched. */
export function columnsTimesRows(
  a: usize, aStep: usize, b: usize, bStep: usize, depth: i32, c: usize, stride: usize,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  const end = b + (<usize>depth) * bStep;
  while (b < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const v0 = v128.load32_splat(a);
    c00 = madd(v0, b0, c00);
    c01 = madd(v0, b1, c01);
    const v1 = v128.load32_splat(a, 4);
    c10 = madd(v1, b0, c10);
    c11 = madd(v1, b1, c11);
    const v2 = v128.load32_splat(a, 8);
    c20 = madd(v2, b0, c20);
    c21 = madd(v2, b1, c21);
    const v3 = v128.load32_splat(a, 12);
    c30 = madd(v3, b0, c30);
    c31 = madd(v3, b1, c31);
    a += aStep;
    b += bStep;
  }
  storeRow(c, c00, c01, 8, ACCUMULATE);
  storeRow(c + stride, c10, c11, 8, ACCUMULATE);
  storeRow(c + 2 * stride, c20, c21, 8, ACCUMULATE);
  storeRow(c + 3 * stride, c30, c31, 8, ACCUMULATE);
}
