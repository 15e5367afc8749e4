// y[n,i,j] = x[n] at column u = m0 j + m1 i + m2 and row v = m3 j + m4 i + m5, of four pixels by bilinear weights; `fill` outside.
// Block 256, one pixel a thread; grid ceil(pixels / 256).
#include "lib/fovea.cuh"

struct Image { i32 height, width, channels, stride; };

DEVICE float cornerOf(const Span<const float> &x, const Image &image, i32 n, i32 row, i32 column, i32 c, float fill) {
  if (row < 0 || column < 0 || row >= image.height || column >= image.width) return fill;
  return x[(static_cast<i64>(n * image.height + row) * image.width + column) * image.stride + c];
}

KERNEL(warp_affine, 256)(Span<const float> x, Span<const float> m, Span<float> y, i32 pixels, Image image, i32 mStride, i32 yStride, float fill) {
  const i32 pixel = blockIdx.x * 256 + threadIdx.x;
  if (pixel >= pixels) return;
  const i32 line = pixel / image.width, n = line / image.height;
  const float i = static_cast<float>(line - n * image.height), j = static_cast<float>(pixel - line * image.width);
  const i64 at = static_cast<i64>(n) * mStride, to = static_cast<i64>(pixel) * yStride;
  const float column = m[at] * j + (m[at + 1] * i + m[at + 2]), row = m[at + 3] * j + (m[at + 4] * i + m[at + 5]);
  const float left = floorf(column), top = floorf(row);
  const bool near = left >= -1.0f && left < image.width && top >= -1.0f && top < image.height;
  const float a = column - left, b = row - top;
  for (i32 c = 0; c < image.channels; c++) {
    float value = fill;
    if (near) {
      const i32 r = static_cast<i32>(top), l = static_cast<i32>(left);
      const float upper = (1.0f - a) * cornerOf(x, image, n, r, l, c, fill) + a * cornerOf(x, image, n, r, l + 1, c, fill);
      const float lower = (1.0f - a) * cornerOf(x, image, n, r + 1, l, c, fill) + a * cornerOf(x, image, n, r + 1, l + 1, c, fill);
      value = (1.0f - b) * upper + b * lower;
    }
    y[to + c] = value;
  }
}
