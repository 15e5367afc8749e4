// y[k, d] = 1 where indices[k] = d, else 0.
// Block 256, one element a thread; grid ceil(total / 256).
#include "lib/fovea.cuh"

KERNEL(one_hot, 256)(Span<const i32> indices, Span<float> y, i32 total, i32 depth, i32 xChannels, i32 xStride, i32 yStride) {
  const i32 e = blockIdx.x * 256 + threadIdx.x;
  if (e >= total) return;
  const i32 k = e / depth, d = e - k * depth, row = k / xChannels;
  const i32 index = indices[static_cast<i64>(row) * xStride + (k - row * xChannels)];
  y[static_cast<i64>(k) * yStride + d] = index == d ? 1.0f : 0.0f;
}
