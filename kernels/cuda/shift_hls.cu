// Red, green, blue of 0 to 255, moved in hue (degrees), lightness and saturation (255ths), each cut to its range. HLS as OpenCV has it;
// back by 255 (l - a max(-1, min(k - 3, 9 - k, 1))), k = n + h / 30 modulo 12 (CSS Color 4, section 7.1). x may be y itself.
// Block 256, one pixel a thread; grid ceil(pixels / 256).
#include "lib/fovea.cuh"

DEVICE float cut(float v, float high) { return fminf(fmaxf(v, 0.0f), high); }

DEVICE float channelOf(float n, float h, float l, float a) {
  float k = n + h / 30.0f;
  if (k >= 12.0f) k -= 12.0f;
  return 255.0f * (l - a * fmaxf(-1.0f, fminf(fminf(k - 3.0f, 9.0f - k), 1.0f)));
}

KERNEL(shift_hls, 256)(Span<const float> x, Span<const float> shift, Span<float> y, i32 pixels, i32 perImage, i32 xStride, i32 shiftStride, i32 yStride) {
  const i32 pixel = blockIdx.x * 256 + threadIdx.x;
  if (pixel >= pixels) return;
  const i64 at = static_cast<i64>(pixel) * xStride, by = static_cast<i64>(pixel / perImage) * shiftStride, to = static_cast<i64>(pixel) * yStride;
  const float r = cut(x[at], 255.0f), g = cut(x[at + 1], 255.0f), b = cut(x[at + 2], 255.0f);
  const float most = fmaxf(r, fmaxf(g, b)), least = fminf(r, fminf(g, b));
  const float span = most - least, sum = most + least;
  float h = 0.0f, s = 0.0f;
  if (span > 0.0f) {
    if (most == r) h = 60.0f * (g - b) / span;
    else if (most == g) h = 120.0f + 60.0f * (b - r) / span;
    else h = 240.0f + 60.0f * (r - g) / span;
    if (h < 0.0f) h += 360.0f;
    s = span / (sum < 255.0f ? sum : 510.0f - sum);
  }
  h = cut(h + shift[by], 360.0f);
  const float l = cut(sum / 510.0f + shift[by + 1] / 255.0f, 1.0f);
  const float a = cut(s + shift[by + 2] / 255.0f, 1.0f) * fminf(l, 1.0f - l);
  y[to] = channelOf(0.0f, h, l, a);
  y[to + 1] = channelOf(8.0f, h, l, a);
  y[to + 2] = channelOf(4.0f, h, l, a);
}
