// dx[n,h,w,c] = sum over r,s,k of dy[n,p,q,k] w[k,r,s,c] where p strideH - padTop + r dilationH = h, and likewise q, s, w.
// Pixels of dx are taken by phase, blockIdx.y: those with h % strideH and w % strideW alike see the same taps, every step-th of them, and for
// these it is a convolution with stride 1 over dy, backwards: no zero is multiplied. A phase that sees no tap is filled with zeros.
// Implicit GEMM: rows are pixels of the phase, columns channels, the sum runs over (tap, k).
// YT, WT, XT: storage types; YW, WW: elements of dy and w that are read at once; ALIGNED: four results may be stored at once.
// PROLOGUE 4: dy is made on its way, the gradient of batch norm from that behind it, which stands in its place, and from `normed` beside it, by `terms`;
// of ReLU too where `masked` (lib/prologue.cuh).
// Tile ROWS x COLUMNS, block THREADS (lib/panel.cuh); grid (tiles of the largest phase, strideH * strideW).
// Source: strided dgrad by filter positions, as in CUTLASS (conv2d_dgrad, StrideSupport::kStrided).
#include "lib/conv.cuh"

/** Along one axis, the taps that a phase sees: the first and the distance to the next, how many, and where in dy the first is seen from. */
struct Phase { i32 first, step, taps, start, back; };

DEVICE Phase phaseOf(i32 phase, i32 stride, i32 pad, i32 kernel, i32 dilation) {
  Phase p{kernel, 0, 0, 0, 0};
  // From the first tap that fits, every stride / gcd(stride, dilation)-th does.
  for (i32 r = 0; r < kernel; r++) {
    if ((phase + pad + (stride - dilation % stride) * r) % stride != 0) continue;
    if (p.taps == 0) p.first = r;
    if (p.taps == 1) p.step = r - p.first;
    p.taps++;
  }
  // May be negative, yet divides without a rest.
  p.start = (phase + pad - p.first * dilation) / stride;
  p.back = p.step * dilation / stride;
  return p;
}

KERNEL(conv_input_grad, THREADS, BLOCKS)(Span<const YT> dy, Span<const WT> w, Span<XT> dx, Span<const YT> normed, Span<const float> terms, ConvShape c,
                                         i32 besideStride, i32 masked) {
  typedef Panel<true, ROWS, YW, YT> Left;
  typedef Panel<false, COLUMNS, WW, WT> Right;
  DYNAMIC_SHARED(Left::Element, panels);
  const i32 phaseH = blockIdx.y / c.strideW, phaseW = blockIdx.y - phaseH * c.strideW;
  const Phase h = phaseOf(phaseH, c.strideH, c.padTop, c.kernelH, c.dilationH);
  const Phase v = phaseOf(phaseW, c.strideW, c.padLeft, c.kernelW, c.dilationW);
  // Pixels of the phase.
  const i32 height = (c.inH - phaseH + c.strideH - 1) / c.strideH, width = (c.inW - phaseW + c.strideW - 1) / c.strideW;
  const i32 pixels = c.images * height * width;
  const TilePlace tile = tilePlace(blockIdx.x, c.images * ((c.inH + c.strideH - 1) / c.strideH) * ((c.inW + c.strideW - 1) / c.strideW), c.channels);
  if (tile.row >= pixels) return;
  const Windows windows{c.outH, c.outW, c.yStride, -h.back, -v.back, h.taps, v.taps, c.filters};
  WindowRows<Left> leftSource(windows, [&](i32 line, i32 &image, i32 &top, i32 &left) {
    const i32 pixel = tile.row + line;
    if (pixel >= pixels) return;
    const i32 row = pixel / width;
    image = row / height;
    top = row - image * height + h.start;
    left = pixel - row * width + v.start;
  });
  const Taps taps{(h.first * c.kernelW + v.first) * c.wStride, h.step * c.kernelW * c.wStride, v.step * c.wStride, h.taps, v.taps};
  FilterSteps<Right> rightSource(tile.column, c.channels, c.filters, c.kernelH * c.kernelW * c.wStride, taps);
  Tile<Left, Right> results;
#if PROLOGUE & 4
  const NormGradient<YT> by{normed, besideStride, terms, c.filters, masked};
#else
  const AsStored by;
#endif
  addProducts<Left, Right>(results, panels, turnsOf(h.taps * v.taps * c.filters), dy, leftSource, w, rightSource, by);
  storeTile(results, dx, tile.column, c.channels, [&](i32 line, i64 &at) {
    const i32 pixel = tile.row + line, row = pixel / width, image = row / height;
    const i32 y = (row - image * height) * c.strideH + phaseH, x = (pixel - row * width) * c.strideW + phaseW;
    at = ((static_cast<i64>(image) * c.inH + y) * c.inW + x) * c.xStride;
    return pixel < pixels;
  });
}
