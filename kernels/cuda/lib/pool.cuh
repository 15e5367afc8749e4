// Where the windows of a pooling lie, which maxima, averages and their gradients share.
#pragma once
#include "lib/lanes.cuh"

/** Lengths of the images and of the windows, strides and padding, and whether places in the padding count in an average. */
struct Pooling {
  i32 inH, inW, outH, outW, sizeH, sizeW, strideH, strideW, padTop, padBottom, padLeft, padRight, countPadding;
};

/** Rows top .. bottom and columns left .. right of the image, ends excluded; `places` of the window are within the padded image. */
struct Window { i32 top, bottom, left, right, places; };

DEVICE Window windowAt(const Pooling &p, i32 oy, i32 ox) {
  const i32 y0 = oy * p.strideH - p.padTop, x0 = ox * p.strideW - p.padLeft;
  const i32 y1 = y0 + p.sizeH < p.inH + p.padBottom ? y0 + p.sizeH : p.inH + p.padBottom;
  const i32 x1 = x0 + p.sizeW < p.inW + p.padRight ? x0 + p.sizeW : p.inW + p.padRight;
  Window w;
  w.top = y0 < 0 ? 0 : y0;
  w.left = x0 < 0 ? 0 : x0;
  w.bottom = y1 < p.inH ? y1 : p.inH;
  w.right = x1 < p.inW ? x1 : p.inW;
  w.places = (y1 - y0) * (x1 - x0);
  return w;
}

DEVICE float divisorOf(const Pooling &p, const Window &w) {
  return static_cast<float>(p.countPadding != 0 ? w.places : (w.bottom - w.top) * (w.right - w.left));
}

/**
 * 1 / divisor, rounded but for the last bit: what the GPU has, and a step of Newton's. Division itself calls a function for numbers too
 * small to be counts, for which registers would be saved in memory.
 */
DEVICE float shareOf(const Pooling &p, const Window &w) {
  const float divisor = divisorOf(p, w);
#ifdef FOVEA_HOST
  return 1.0f / divisor;
#else
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(divisor));
  return fmaf(r, fmaf(-divisor, r, 1.0f), r);
#endif
}
