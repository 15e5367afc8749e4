// dx[i] = sum over the windows that hold x[i] of: dy where x[i] is the window's first maximum in row-major order, by comparing (MAX) or as
// the window's index says (INDEX, bytes that pool.cu wrote); or dy / divisor.
// Each element gathers what falls to it, so none is written twice. Windows are visited in row-major order.
// WIDTH 4: vectors along channels. YT, XT, OUTT and DXT: storage types of dy, x, y and dx.
// Block 256, one element or vector of dx a thread, neighbours along channels; grid ceil(total / 256).
#include "lib/pool.cuh"

KERNEL(pool_grad, 256)(Span<const YT> dy,
#if MAX
                       Span<const XT> x, Span<const OUTT> y, i32 xStride, i32 outStride,
#endif
#if INDEX
                       Span<const u8> index, i32 outStride,
#endif
                       Span<DXT> dx, i32 total, i32 channels, i32 dyStride, i32 dxStride, Pooling p) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= total) return;
  const i32 pixel = i / channels, c = (i - pixel * channels) * WIDTH, line = pixel / p.inW, n = line / p.inH;
  const i32 iy = line - n * p.inH, ix = pixel - line * p.inW;
  // Windows oy with oy*strideH <= iy + padTop < oy*strideH + sizeH.
  const i32 py = iy + p.padTop, px = ix + p.padLeft;
  const i32 firstY = py < p.sizeH ? 0 : (py - p.sizeH) / p.strideH + 1, firstX = px < p.sizeW ? 0 : (px - p.sizeW) / p.strideW + 1;
  const i32 endY = py / p.strideH + 1 < p.outH ? py / p.strideH + 1 : p.outH;
  const i32 endX = px / p.strideW + 1 < p.outW ? px / p.strideW + 1 : p.outW;
#if MAX
  const i64 image = static_cast<i64>(n) * p.inH * p.inW * xStride + c;
  const Lanes<float, WIDTH> own = loadLanes<WIDTH, true>(x, static_cast<i64>(pixel) * xStride + c);
#endif
  Lanes<float, WIDTH> sum = spread<WIDTH>(0.0f);
  _Pragma("unroll 1") for (i32 oy = firstY; oy < endY; oy++) {
    _Pragma("unroll 1") for (i32 ox = firstX; ox < endX; ox++) {
      const i64 o = static_cast<i64>(n * p.outH + oy) * p.outW + ox;
      const Lanes<float, WIDTH> g = loadLanes<WIDTH, true>(dy, o * dyStride + c);
#if MAX
      const Lanes<float, WIDTH> top = loadLanes<WIDTH, true>(y, o * outStride + c);
      Lanes<i32, WIDTH> first;
      bool any = false;
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) {
        first[lane] = own[lane] == top[lane];
        any = any || first[lane];
      }
      if (!any) continue;
      const Window w = windowAt(p, oy, ox);
      for (i32 jy = w.top; jy <= iy; jy++) {
        const i32 end = jy == iy ? ix : w.right;
        for (i32 jx = w.left; jx < end; jx++) {
          const Lanes<float, WIDTH> before = loadLanes<WIDTH, true>(x, image + static_cast<i64>(jy * p.inW + jx) * xStride);
          UNROLL for (i32 lane = 0; lane < WIDTH; lane++) first[lane] = first[lane] && before[lane] != top[lane];
        }
      }
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) sum[lane] += first[lane] ? g[lane] : 0.0f;
#elif INDEX
      const i32 place = (py - oy * p.strideH) * p.sizeW + px - ox * p.strideW;
      const Lanes<i32, WIDTH> found = loadLanes<WIDTH, true>(index, o * outStride + c);
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) sum[lane] += found[lane] == place ? g[lane] : 0.0f;
#else
      const float share = shareOf(p, windowAt(p, oy, ox));
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) sum[lane] = fmaf(g[lane], share, sum[lane]);
#endif
    }
  }
  storeLanes<WIDTH, true>(dx, static_cast<i64>(pixel) * dxStride + c, sum);
}
