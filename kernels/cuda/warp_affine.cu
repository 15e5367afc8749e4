// y[n,i,j] = x[n] at column u = m0 j + m1 i + m2 and row v = m3 j + m4 i + m5, of four pixels by bilinear weights, or as m6 says, where there is
// one (lib/taps.cuh); `fill` outside.
// Block 256, one pixel a thread; grid ceil(pixels / 256). Five blocks a multiprocessor: for six ptxas would keep two registers in memory (sm_90a).
#include "lib/taps.cuh"

struct Image { i32 height, width, channels, stride; };

DEVICE float cornerOf(const Span<const float> &x, const Image &image, i32 n, i32 row, i32 column, i32 c, float fill) {
  if (row < 0 || column < 0 || row >= image.height || column >= image.width) return fill;
  return x[(static_cast<i64>(n * image.height + row) * image.width + column) * image.stride + c];
}

DEVICE void bilinear(const Span<const float> &x, const Image &image, i32 n, float u, float v, float fill, const Span<float> &y, i64 to) {
  const float left = floorf(u), top = floorf(v);
  const bool near = left >= -1.0f && left < image.width && top >= -1.0f && top < image.height;
  const float a = u - left, b = v - top;
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

/** Told as `fill`, plus by how much the taps within the image differ from it. */
DEVICE void interpolate(const Span<const float> &x, const Image &image, i32 n, const Taps1d &across, const Taps1d &down, float fill,
                        const Span<float> &y, i64 to) {
  for (i32 c = 0; c < image.channels; c++) y[to + c] = fill;
  // Also false for what is no number, and for places that are beyond integers.
  if (!(fabsf(across.place) < 1e9f && fabsf(down.place) < 1e9f)) return;
  const i32 left = static_cast<i32>(fmaxf(0.0f, across.first())), right = static_cast<i32>(fminf(image.width, across.end()));
  const i32 top = static_cast<i32>(fmaxf(0.0f, down.first())), bottom = static_cast<i32>(fminf(image.height, down.end()));
  const float width = across.sum(), height = down.sum();
  for (i32 row = top; row < bottom; row++) {
    const float ofRow = down.weight(row) / height;
    for (i32 column = left; column < right; column++) {
      const float weight = ofRow * (across.weight(column) / width);
      const i64 from = (static_cast<i64>(n * image.height + row) * image.width + column) * image.stride;
      for (i32 c = 0; c < image.channels; c++) y[to + c] = y[to + c] + weight * (x[from + c] - fill);
    }
  }
}

KERNEL(warp_affine, 256, 5)(Span<const float> x, Span<const float> m, Span<float> y, i32 pixels, Image image, i32 mStride, i32 mLength, i32 yStride,
                            float fill) {
  const i32 pixel = blockIdx.x * 256 + threadIdx.x;
  if (pixel >= pixels) return;
  const i32 line = pixel / image.width, n = line / image.height;
  const float i = static_cast<float>(line - n * image.height), j = static_cast<float>(pixel - line * image.width);
  const i64 at = static_cast<i64>(n) * mStride, to = static_cast<i64>(pixel) * yStride;
  const float u = m[at] * j + (m[at + 1] * i + m[at + 2]), v = m[at + 3] * j + (m[at + 4] * i + m[at + 5]);
  const i32 kind = mLength > 6 ? interpolationOf(m, at) : BILINEAR;
  if (kind == BILINEAR) {
    bilinear(x, image, n, u, v, fill, y, to);
  } else {
    interpolate(x, image, n, Taps1d{kind, u, fabsf(m[at])}, Taps1d{kind, v, fabsf(m[at + 4])}, fill, y, to);
  }
}
