// What the GPU can do at most in float32, for the roofline of the benchmark: every thread does `rounds` times 4 times 12 independent
// multiply-adds, 96 FLOP a round, without memory. The result is stored so that no compiler leaves the loop out. Block 64; grid as given.
#include "lib/fovea.cuh"

KERNEL(probe_multiply_add, 64)(Span<float> out, i32 rounds, float x, float y) {
  const i32 i = blockIdx.x * 64 + threadIdx.x;
  float sums[12];
  UNROLL
  for (i32 k = 0; k < 12; k++) sums[k] = static_cast<float>(i + k);
  for (i32 n = 0; n < rounds; n++) {
    UNROLL
    for (i32 round = 0; round < 4; round++) {
      UNROLL
      for (i32 k = 0; k < 12; k++) sums[k] = fmaf(sums[k], x, y);
    }
  }
  out[i] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])) +
    ((sums[8] + sums[9]) + (sums[10] + sums[11]));
}
