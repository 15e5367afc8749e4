// y[row][channel] = the sum over runs, in a fixed order, of partial[run][row * channels + channel].
// Block 256 = 32 elements x 8 threads, each of which adds every eighth run; then the eight are added in order. Grid ceil(rows channels / 32).
// YT: storage type of y.
#include "lib/fovea.cuh"

KERNEL(sum_runs, 256)(Span<const float> partial, Span<YT> y, i32 rows, i32 channels, i32 stride, i32 runs) {
  SHARED(float, sums, 256);
  const i32 size = rows * channels, i = blockIdx.x * 32 + threadIdx.x % 32;
  float sum = 0.0f;
  if (i < size) {
    _Pragma("unroll 4") for (i32 run = threadIdx.x / 32; run < runs; run += 8) sum += partial[static_cast<i64>(run) * size + i];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= 32 || i >= size) return;
  UNROLL for (i32 k = 1; k < 8; k++) sum += sums[threadIdx.x + 32 * k];
  const i32 row = i / channels;
  y[static_cast<i64>(row) * stride + (i - row * channels)] = fromFloat<YT>(sum);
}
