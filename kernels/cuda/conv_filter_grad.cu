// dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p strideH - padTop + r dilationH, q strideW - padLeft + s dilationW, c].
// Implicit GEMM: rows are filters, columns (r, s, c), the sum runs over the pixels of y, cut into runs of `run` pixels (blockIdx.y), whose
// partial results sum_runs.cu adds in order: dw + blockIdx.y * yRun. The few channels of a first layer are read one element at a time (XW 1).
// YT, XT, WT: storage types of dy, x and dw; YW, XW: elements of dy and x that are read at once; ALIGNED: four results may be stored at once.
// PROLOGUE 2: x is normalized by `constants` on its way, through ReLU where `activated`; 4: dy is made on its way, the gradient of batch norm from that
// behind it, which stands in its place, and from `normed` beside it, by `terms`; of ReLU too where `masked`; 6: both (lib/prologue.cuh).
// Tile ROWS x COLUMNS, block THREADS (lib/panel.cuh); grid (tiles, runs).
// Source: split-K wgrad as in CUTLASS (conv2d_wgrad), partial results reduced in a fixed order.
#include "lib/conv.cuh"

KERNEL(conv_filter_grad, THREADS, BLOCKS)(Span<const YT> dy, Span<const XT> x, Span<WT> dw, Span<const float> constants, Span<const YT> normed,
                                          Span<const float> terms, ConvShape c, i32 run, i32 yRun, i32 activated, i32 besideStride, i32 masked) {
  typedef Panel<false, ROWS, YW, YT> Left;
  typedef Panel<false, COLUMNS, XW, XT> Right;
  DYNAMIC_SHARED(Left::Element, panels);
  const i32 taps = c.kernelH * c.kernelW, columns = taps * c.channels, pixels = c.images * c.outH * c.outW;
  const TilePlace tile = tilePlace(blockIdx.x, c.filters, columns);
  const i32 first = blockIdx.y * run, last = first + run < pixels ? first + run : pixels;
  MatrixSteps<Left> leftSource(tile.row, c.filters, first, last, c.yStride, 0);
  WindowSteps<Right> rightSource(first, last, c.outH, c.outW, c.inH, c.inW, c.xStride, c.strideH, c.strideW);
  const i32 column = tile.column + Right::part();
  if (column < columns) {
    const i32 tap = column / c.channels, r = tap / c.kernelW;
    rightSource.see(r * c.dilationH - c.padTop, (tap - r * c.kernelW) * c.dilationW - c.padLeft, column - tap * c.channels);
  }
#if PROLOGUE & 4
  const NormGradient<YT> leftBy{normed, besideStride, terms, c.filters, masked};
#else
  const AsStored leftBy;
#endif
#if PROLOGUE & 2
  const Normalizing rightBy{constants, c.channels, activated};
#else
  const AsStored rightBy;
#endif
  Tile<Left, Right> results;
  addProducts<Left, Right>(results, panels, last > first ? turnsOf(last - first) : 0, dy, leftSource, x, rightSource, leftBy, rightBy);
  // Rows of dw's memory are taps, wStride apart; in partial results, and mostly in dw, that is their length.
  const i64 runAt = static_cast<i64>(blockIdx.y) * yRun;
#if FLAT
  storeTile(results, dw, tile.column, columns, [&](i32 row, i64 &at) {
    at = runAt + static_cast<i64>(tile.row + row) * columns;
    return tile.row + row < c.filters;
  });
#else
  UNROLL for (i32 j = 0; j < Tile<Left, Right>::columns; j++) {
    const i32 k = tile.column + results.column(j);
    if (k >= columns) continue;
    const i32 tap = k / c.channels;
    UNROLL for (i32 i = 0; i < Tile<Left, Right>::rows; i++) {
      const i32 filter = tile.row + results.row(i);
      if (filter < c.filters) {
        dw[runAt + (static_cast<i64>(filter) * taps + tap) * c.wStride + k - tap * c.channels] = fromFloat<WT>(results.at(i, j));
      }
    }
  }
#endif
}
