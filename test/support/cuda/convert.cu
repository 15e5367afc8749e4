// bits[i] of half(x[i]) and of bfloat16(x[i]), and back: both roundings as kernels have them.
#include "lib/fovea.cuh"

KERNEL(convert, 256)(Span<const float> x, Span<u16> halves, Span<u16> bfloats, Span<float> backHalf, Span<float> backBfloat, i32 n) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const Half h = halfOf(x[i]);
  const Bfloat16 b = bfloat16Of(x[i]);
  halves[i] = h.bits;
  bfloats[i] = b.bits;
  backHalf[i] = toFloat(h);
  backBfloat[i] = toFloat(b);
}
