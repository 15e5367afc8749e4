// One product on tensor cores by a warp, fragments read by ldmatrix or word by word: y[16][8] = a[16][K] b[K][8], with b by rows of n or of
// k (TRANSPOSED). TYPE float is TF32.
#include "lib/mma.cuh"

KERNEL(product, 32)(Span<const TYPE> a, Span<const TYPE> b, Span<float> y) {
  const i32 lane = threadIdx.x, g = lane / 4, t = lane % 4;
  SHARED(TYPE, left, 16 * 16);
  SHARED(TYPE, right, 16 * 8);
  float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  u32 m[4], n[2];
#if TF32
  m[0] = tf32Of(a[g * 8 + t]);
  m[1] = tf32Of(a[(g + 8) * 8 + t]);
  m[2] = tf32Of(a[g * 8 + t + 4]);
  m[3] = tf32Of(a[(g + 8) * 8 + t + 4]);
  n[0] = tf32Of(b[t * 8 + g]);
  n[1] = tf32Of(b[(t + 4) * 8 + g]);
  multiplyAdd16x8x8(sum, m, n);
#else
  for (i32 i = lane; i < 256; i += 32) left[i] = a[i];
  for (i32 i = lane; i < 128; i += 32) right[i] = b[i];
  __syncwarp();
  loadMatrices(left, lane % 16 * 16 + lane / 16 * 8, m);
#if TRANSPOSED
  loadMatricesTransposed(right, lane % 16 * 8, n);
#elif SINGLE
  u32 half[1];
  loadMatrices(right, lane % 8 * 16, half);
  n[0] = half[0];
  loadMatrices(right, lane % 8 * 16 + 8, half);
  n[1] = half[0];
#else
  loadMatrices(right, lane % 8 * 16 + lane / 8 % 2 * 8, n);
#endif
  multiplyAdd16x8x16<TYPE>(sum, m, n);
#endif
  for (i32 i = 0; i < 4; i++) y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}
