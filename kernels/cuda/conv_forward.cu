// y[n,p,q,k] = act(bias[k] + sum over r,s,c of x[n, p strideH - padTop + r dilationH, q strideW - padLeft + s dilationW, c] w[k,r,s,c]), x zero
// outside. NHWC, filters KRSC. STATS: also the statistics of each tile's pixels (lib/results.cuh).
// Implicit GEMM: rows are pixels of y, columns filters, the sum runs over taps and channels as one number (r, s, c), so that the few channels
// of a first layer fill the panels as well as many do; their threads read one element at a time, neighbours beside each other (XW 1).
// XT, WT, YT: storage types; XW: elements of x and w that are read at once; ALIGNED: four results may be stored at once.
// PROLOGUE 1: x is normalized by `constants` on its way, through ReLU where `activated` (lib/prologue.cuh).
// NORM: y = act((bias + sum - mean) scale + beta), `constants` being those of y's channels; not with PROLOGUE.
// Tile ROWS x COLUMNS, block THREADS (lib/panel.cuh); grid (tiles).
// Source: implicit GEMM with iterators that advance by additions, as in CUTLASS (conv2d_fprop, its few-channels iterator).
#include "lib/conv.cuh"

KERNEL(conv_forward, THREADS, BLOCKS)(Span<const XT> x, Span<const WT> w, Span<const float> bias, Span<YT> y, Span<float> partial,
                              Span<const float> constants, ConvShape c, i32 hasBias, i32 relu, i32 activated) {
  typedef Panel<true, ROWS, XW, XT> Left;
  typedef Panel<true, COLUMNS, XW, WT> Right;
  DYNAMIC_SHARED(Left::Element, panels);
  const i32 pixels = c.images * c.outH * c.outW;
  const TilePlace tile = tilePlace(blockIdx.x, pixels, c.filters);
  const Windows windows{c.inH, c.inW, c.xStride, c.dilationH, c.dilationW, c.kernelH, c.kernelW, c.channels};
  WindowRows<Left> leftSource(windows, [&](i32 line, i32 &image, i32 &top, i32 &left) {
    const i32 pixel = tile.row + line;
    if (pixel >= pixels) return;
    const i32 row = pixel / c.outW;
    image = row / c.outH;
    top = (row - image * c.outH) * c.strideH - c.padTop;
    left = (pixel - row * c.outW) * c.strideW - c.padLeft;
  });
  FilterRows<Right, Left> rightSource(tile.column, c.filters, c.wStride, leftSource);
  Tile<Left, Right> results;
#if PROLOGUE & 1
  const Normalizing by{constants, c.channels, activated};
#else
  const AsStored by;
#endif
  addProducts<Left, Right>(results, panels, turnsOf(c.kernelH * c.kernelW * c.channels), x, leftSource, w, rightSource, by);
  storeTile(results, y, tile.column, c.filters, [&](i32 row, i64 &at) {
    at = static_cast<i64>(tile.row + row) * c.yStride;
    return tile.row + row < pixels;
  }, Epilogue{bias, constants, c.filters, hasBias, relu});
#if STATS
  DYNAMIC_SHARED(float, sums);
  storeStatistics(results, sums, partial, tile.row / ROWS, pixels - tile.row < ROWS ? pixels - tile.row : ROWS, tile.column, c.filters);
#endif
}
