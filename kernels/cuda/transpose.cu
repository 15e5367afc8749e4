// y[batch, column, row] = x[batch, row, column]: x runs along columns in steps of one element and y along rows, so that tiles of 32 x 32
// elements go through shared memory and both sides are read and written in whole lines.
// Lengths and strides in elements; WORD has their size: u16 or u32. Two batch axes, innermost first, of length 1 where there are fewer.
// Block 256, 8 rows of a tile at a time, the tile padded by a column against bank conflicts; grid tiles of all batches.
// Source: NVIDIA, "An efficient matrix transpose in CUDA C/C++", 2013.
#include "lib/fovea.cuh"

struct Axes {
  i32 rows, columns;
  /** From one row of x to the next, from one column of y to the next. */
  i32 xRow, yColumn;
  i32 batches[2], xBatch[2], yBatch[2];
};

KERNEL(transpose, 256)(Span<const WORD> x, Span<WORD> y, Axes axes) {
  SHARED(WORD, tile, 32 * 33);
  const i32 across = (axes.columns + 31) / 32, down = (axes.rows + 31) / 32;
  const i32 batch = blockIdx.x / (across * down), within = blockIdx.x - batch * (across * down);
  const i32 outer = batch / axes.batches[0], inner = batch - outer * axes.batches[0];
  const i64 from = static_cast<i64>(inner) * axes.xBatch[0] + static_cast<i64>(outer) * axes.xBatch[1];
  const i64 to = static_cast<i64>(inner) * axes.yBatch[0] + static_cast<i64>(outer) * axes.yBatch[1];
  const i32 row = within / across * 32, column = within % across * 32;
  const i32 lane = threadIdx.x % 32, line = threadIdx.x / 32;
  UNROLL for (i32 i = 0; i < 32; i += 8) {
    if (row + line + i < axes.rows && column + lane < axes.columns) {
      tile[(line + i) * 33 + lane] = x[from + static_cast<i64>(row + line + i) * axes.xRow + column + lane];
    }
  }
  __syncthreads();
  UNROLL for (i32 i = 0; i < 32; i += 8) {
    if (row + lane < axes.rows && column + line + i < axes.columns) {
      y[to + static_cast<i64>(column + line + i) * axes.yColumn + row + lane] = tile[lane * 33 + line + i];
    }
  }
}
