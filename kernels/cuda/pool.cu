// y[n,oy,ox,c] = maximum, or sum / divisor, of x over the window that starts at (oy*strideH - padTop, ox*strideW - padLeft).
// The divisor is the number of the window's places within the padded image with `countPadding`, else of its elements.
// The padding never wins a maximum; NaN always does.
// INDEX: index[n,oy,ox,c] = place of the first maximum in its window, row-major and with the padding, or 255 where the maximum is NaN.
// WIDTH 4: vectors along channels. XT and YT: storage types of x and y.
// Block 256, one element or vector of y a thread, neighbours along channels; grid ceil(total / 256).
#include "lib/pool.cuh"

KERNEL(pool, 256)(Span<const XT> x, Span<YT> y,
#if INDEX
                  Span<u8> index, i32 indexStride,
#endif
                  i32 total, i32 channels, i32 xStride, i32 yStride, Pooling p) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= total) return;
  const i32 pixel = i / channels, c = (i - pixel * channels) * WIDTH, line = pixel / p.outW, image = line / p.outH;
  const i32 oy = line - image * p.outH, ox = pixel - line * p.outW;
  const Window w = windowAt(p, oy, ox);
  const i64 base = static_cast<i64>(image) * p.inH * p.inW * xStride + c;
#if MAX
  Lanes<float, WIDTH> a = loadLanes<WIDTH, true>(x, base + static_cast<i64>(w.top * p.inW + w.left) * xStride);
  Lanes<i32, WIDTH> found = spread<WIDTH>((w.top + p.padTop - oy * p.strideH) * p.sizeW + w.left + p.padLeft - ox * p.strideW);
#else
  Lanes<float, WIDTH> a = spread<WIDTH>(0.0f);
#endif
  for (i32 iy = w.top; iy < w.bottom; iy++) {
    i64 at = base + static_cast<i64>(iy * p.inW + w.left) * xStride;
    i32 place = (iy + p.padTop - oy * p.strideH) * p.sizeW + w.left + p.padLeft - ox * p.strideW;
    for (i32 ix = w.left; ix < w.right; ix++, at += xStride, place++) {
      const Lanes<float, WIDTH> v = loadLanes<WIDTH, true>(x, at);
#if MAX
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) {
        if (v[lane] > a[lane] || v[lane] != v[lane]) {
          a[lane] = v[lane];
          found[lane] = place;
        }
      }
#else
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) a[lane] += v[lane];
#endif
    }
  }
#if !MAX
  const float divisor = divisorOf(p, w);
  UNROLL for (i32 lane = 0; lane < WIDTH; lane++) a[lane] /= divisor;
#endif
  storeLanes<WIDTH, true>(y, static_cast<i64>(pixel) * yStride + c, a);
#if INDEX
  UNROLL for (i32 lane = 0; lane < WIDTH; lane++) {
    if (a[lane] != a[lane]) found[lane] = 255;
  }
  storeLanes<WIDTH, true>(index, static_cast<i64>(pixel) * indexStride + c, found);
#endif
}
