/**
 * Mean and sum of squared deviations of columns [firstColumn, lastColumn) of a tile of rows, in two passes while it is near. Means go
 * to stats[0, columns), squares behind them.
 */
export function tileMoments(y: usize, stride: usize, rows: i32, firstColumn: i32, lastColumn: i32, stats: usize, columns: i32): void {
  const inverse: f32 = <f32>1 / <f32>rows;
  const means = stats, squares = stats + ((<usize>columns) << 2);
  let c = firstColumn;
  // a cache line of every row at a time
  for (; c + 16 <= lastColumn; c += 16) {
    const column = y + ((<usize>c) << 2);
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0), p = column;
    for (let r = 0; r < rows; r++, p += stride) {
      s0 = f32x4.add(s0, v128.load(p));
      s1 = f32x4.add(s1, v128.load(p, 16));
      s2 = f32x4.add(s2, v128.load(p, 32));
      s3 = f32x4.add(s3, v128.load(p, 48));
    }
    const scale = f32x4.splat(inverse);
    s0 = f32x4.mul(s0, scale);
    s1 = f32x4.mul(s1, scale);
    s2 = f32x4.mul(s2, scale);
    s3 = f32x4.mul(s3, scale);
    let q0 = f32x4.splat(0), q1 = f32x4.splat(0), q2 = f32x4.splat(0), q3 = f32x4.splat(0);
    p = column;
    for (let r = 0; r < rows; r++, p += stride) {
      const d0 = f32x4.sub(v128.load(p), s0), d1 = f32x4.sub(v128.load(p, 16), s1);
      const d2 = f32x4.sub(v128.load(p, 32), s2), d3 = f32x4.sub(v128.load(p, 48), s3);
      q0 = f32x4.add(q0, f32x4.mul(d0, d0));
      q1 = f32x4.add(q1, f32x4.mul(d1, d1));
      q2 = f32x4.add(q2, f32x4.mul(d2, d2));
      q3 = f32x4.add(q3, f32x4.mul(d3, d3));
    }
    const to = means + ((<usize>c) << 2), squaresTo = squares + ((<usize>c) << 2);
    v128.store(to, s0);
    v128.store(to, s1, 16);
    v128.store(to, s2, 32);
    v128.store(to, s3, 48);
    v128.store(squaresTo, q0);
    v128.store(squaresTo, q1, 16);
    v128.store(squaresTo, q2, 32);
    v128.store(squaresTo, q3, 48);
  }
  for (; c + 4 <= lastColumn; c += 4) {
    const column = y + ((<usize>c) << 2);
    let sum = f32x4.splat(0), p = column;
    for (let r = 0; r < rows; r++, p += stride) sum = f32x4.add(sum, v128.load(p));
    const mean = f32x4.mul(sum, f32x4.splat(inverse));
    let m2 = f32x4.splat(0);
    p = column;
    for (let r = 0; r < rows; r++, p += stride) {
      const d = f32x4.sub(v128.load(p), mean);
      m2 = f32x4.add(m2, f32x4.mul(d, d));
    }
    v128.store(means + ((<usize>c) << 2), mean);
    v128.store(squares + ((<usize>c) << 2), m2);
  }
  for (; c < lastColumn; c++) {
    const column = y + ((<usize>c) << 2);
    let sum: f32 = 0, p = column;
    for (let r = 0; r < rows; r++, p += stride) sum += load<f32>(p);
    const mean = sum * inverse;
    let m2: f32 = 0;
    p = column;
    for (let r = 0; r < rows; r++, p += stride) {
      const d = load<f32>(p) - mean;
      m2 += d * d;
    }
    store<f32>(means + ((<usize>c) << 2), mean);
    store<f32>(squares + ((<usize>c) << 2), m2);
  }
}
