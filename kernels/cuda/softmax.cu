// y = exp(x - max) / sum exp(x - max) over the last axis; LOG: y = (x - max) - log(sum exp(x - max)).
// Block 256: THREADS (32, or 256 where there are more than 1024 channels) for each row, which take its channels in turn; sums of lanes,
// then of warps, in order. A row is read three times, from the first cache but once. Grid ceil(rows THREADS / 256).
#include "lib/block.cuh"

KERNEL(softmax, 256)(Span<const float> x, Span<float> y, i32 rows, i32 channels, i32 xStride, i32 yStride) {
  SHARED(float, parts, 8);
  const i32 row = rowOf<THREADS>(blockIdx.x, threadIdx.x), thread = threadIdx.x % THREADS;
  const i32 end = row < rows ? channels : 0;
  const i64 p = static_cast<i64>(row) * xStride, q = static_cast<i64>(row) * yStride;
  float top = -infinity();
  for (i32 c = thread; c < end; c += THREADS) top = Larger()(top, x[p + c]);
  top = overThreads<THREADS>(top, parts, Larger());
  float sum = 0.0f;
  for (i32 c = thread; c < end; c += THREADS) {
    const float e = expf(x[p + c] - top);
    sum += e;
#if !LOG
    y[q + c] = e;
#endif
  }
  sum = overThreads<THREADS>(sum, parts, Add());
#if LOG
  const float l = logf(sum);
  for (i32 c = thread; c < end; c += THREADS) y[q + c] = (x[p + c] - top) - l;
#else
  for (i32 c = thread; c < end; c += THREADS) y[q + c] /= sum;
#endif
}
