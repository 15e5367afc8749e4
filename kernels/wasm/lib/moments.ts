/**
 * Mean and sum of squared deviations of columns [firstColumn, lastColumn) of a tile of rows, in two passes while it is near. Means go
 * to stats[0, columns), squares behind them.
 */
export function tileMoments(y: usize, stride: usize, rows: i32, firstColumn: i32, lastColumn: i32, stats: usize, columns: i32): void {
  const inverse: f32 = <f32>1 / <f32>rows;
  const means = stats, squares = stats + ((<usize>columns) << 2);
  let c = firstColumn;
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
