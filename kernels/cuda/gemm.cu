// y[m,n] = act(bias[n] + sum over k of left[m,k] right[k,n]) for each of a batch of matrices, either of which may lie transposed: LEFT_ROWS,
// RIGHT_ROWS say that a matrix's rows are those of the result (its columns, for the right one), with the terms of a sum beside each other.
// A sum may be cut into `runs`, whose partial results sum_runs.cu adds in order.
// XT, WT, YT: storage types; XW, WW: elements that are read at once; ALIGNED: four results may be stored at once. STATS: statistics too.
// PROLOGUE 1: left is normalized by `constants` on its way, terms being channels; 2: right, columns being channels; through ReLU where
// `activated`. 4: left is made on its way, the gradient of batch norm from that behind it, which stands in its place, and from `normed`
// beside it, by `terms`; of ReLU too where `masked`; 6: right is normalized besides (lib/prologue.cuh).
// NORM: y = act((bias + sum - mean) scale + beta), `constants` being those of columns, of a sum that is whole; not with PROLOGUE.
// Tile ROWS x COLUMNS, block THREADS (lib/panel.cuh); grid (tiles, batch * runs).
// Source: implicit GEMM's loop as in CUTLASS; tiles as in siboehm/SGEMM_CUDA.
#include "lib/product.cuh"
#include "lib/results.cuh"

struct Product {
  i32 rows, columns, depth, leftStride, rightStride, yStride, leftBatch, rightBatch, yBatch, runs, run, yRun, hasBias, relu, activated;
  i32 besideStride, masked;
};

KERNEL(gemm, THREADS, BLOCKS)(Span<const XT> left, Span<const WT> right, Span<const float> bias, Span<YT> y, Span<float> partial,
                      Span<const float> constants, Span<const XT> normed, Span<const float> terms, Product p) {
  typedef Panel<LEFT_ROWS, ROWS, XW, XT> Left;
  typedef Panel<RIGHT_ROWS, COLUMNS, WW, WT> Right;
  DYNAMIC_SHARED(Left::Element, panels);
  const TilePlace tile = tilePlace(blockIdx.x, p.rows, p.columns);
  const i32 batch = blockIdx.y / p.runs, run = blockIdx.y - batch * p.runs;
  const i32 first = run * p.run, last = first + p.run < p.depth ? first + p.run : p.depth;
  const i64 leftAt = static_cast<i64>(batch) * p.leftBatch, rightAt = static_cast<i64>(batch) * p.rightBatch;
#if LEFT_ROWS
  MatrixRows<Left> leftSource(tile.row, p.rows, first, last, p.leftStride, leftAt);
#else
  MatrixSteps<Left> leftSource(tile.row, p.rows, first, last, p.leftStride, leftAt);
#endif
#if RIGHT_ROWS
  MatrixRows<Right> rightSource(tile.column, p.columns, first, last, p.rightStride, rightAt);
#else
  MatrixSteps<Right> rightSource(tile.column, p.columns, first, last, p.rightStride, rightAt);
#endif
#if PROLOGUE & 1
  const Normalizing leftBy{constants, p.depth, p.activated};
#elif PROLOGUE & 4
  const NormGradient<XT> leftBy{normed, p.besideStride, terms, LEFT_ROWS ? p.depth : p.rows, p.masked};
#else
  const AsStored leftBy;
#endif
#if PROLOGUE & 2
  const Normalizing rightBy{constants, p.columns, p.activated};
#else
  const AsStored rightBy;
#endif
  Tile<Left, Right> results;
  addProducts<Left, Right>(results, panels, last > first ? (last - first + STEPS - 1) / STEPS : 0, left, leftSource, right, rightSource, leftBy, rightBy);
  const i64 yAt = static_cast<i64>(batch) * p.yBatch + static_cast<i64>(run) * p.yRun;
  storeTile(results, y, tile.column, p.columns, [&](i32 row, i64 &at) {
    at = yAt + static_cast<i64>(tile.row + row) * p.yStride;
    return tile.row + row < p.rows;
  }, Epilogue{bias, constants, p.columns, p.hasBias, p.relu});
#if STATS
  DYNAMIC_SHARED(float, sums);
  const i32 count = p.rows - tile.row < ROWS ? p.rows - tile.row : ROWS;
  storeStatistics(results, sums, partial, tile.row / ROWS, count, tile.column, p.columns);
#endif
}
