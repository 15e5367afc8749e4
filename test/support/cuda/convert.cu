// bits[i] of half(x[i]) and of bfloat16(x[i]), and back: both roundings as kernels have them.
#include "lib/mma.cuh"

KERNEL(convert, 256)(Span<const float> x, Span<u16> halves, Span<u16> bfloats, Span<float> backHalf, Span<float> backBfloat, i32 n) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const Half h = halfOf(x[i]);
  const Bfloat16 b = bfloat16Of(x[i]);
  // As a pair is rounded, so is each.
  halves[i] = pairOf<Half>(0.0f, x[i]) >> 16 == h.bits && (pairOf<Half>(x[i], 1.0f) & 0xffff) == h.bits ? h.bits : ~h.bits;
  bfloats[i] = pairOf<Bfloat16>(0.0f, x[i]) >> 16 == b.bits && (pairOf<Bfloat16>(x[i], 1.0f) & 0xffff) == b.bits ? b.bits : ~b.bits;
  backHalf[i] = toFloat(h);
  backBfloat[i] = toFloat(b);
}
