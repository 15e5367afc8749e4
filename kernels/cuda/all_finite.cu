// y = 1 where every element of x is finite, else 0: the largest magnitude, as bits, is below that of infinity (0x7f800000). Maxima of
// integers do not depend on their order.
// First partial[block] = the largest over a run of `run` elements; then LAST over the blocks' results, one block. x is contiguous.
// WIDTH 4: four elements in one access. Block 256, threads striding through the run, four loads in flight; grid ceil(count / run).
#include "lib/lanes.cuh"

DEVICE u32 larger(u32 a, u32 b) { return a > b ? a : b; }

KERNEL(all_finite, 256)(Span<const u32> x, Span<RESULT> y, i32 count, i32 run) {
  SHARED(u32, largest, 256);
  const i32 start = blockIdx.x * run, end = start + run < count ? start + run : count;
  u32 own = 0;
  const i32 whole = start + (end - start) / WIDTH * WIDTH;
#if WIDTH == 4
  _Pragma("unroll 4") for (i32 i = start + threadIdx.x * 4; i < whole; i += 1024) {
    const Vec4<u32> v = x.load<Vec4<u32>>(i);
    UNROLL for (i32 lane = 0; lane < 4; lane++) own = larger(own, v.v[lane] & 0x7fffffffu);
  }
#else
  _Pragma("unroll 4") for (i32 i = start + threadIdx.x; i < whole; i += 256) own = larger(own, x[i] & 0x7fffffffu);
#endif
  const i32 rest = whole + threadIdx.x;
  if (rest < end) own = larger(own, x[rest] & 0x7fffffffu);
  largest[threadIdx.x] = own;
  for (i32 half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) largest[threadIdx.x] = larger(largest[threadIdx.x], largest[threadIdx.x + half]);
  }
  if (threadIdx.x > 0) return;
#if LAST
  y[0] = largest[0] < 0x7f800000u ? 1.0f : 0.0f;
#else
  y[blockIdx.x] = largest[0];
#endif
}
