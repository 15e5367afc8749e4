// Mean and biased variance of every channel from those of runs of rows, combined in a fixed order:
// of counts a and b with means apart by d, mean += d b / (a + b), deviations += deviations_b + d^2 a b / (a + b).
// Block 256 = 8 channels x 32 threads, of which each combines every 32nd run, then what they have by halves; grid ceil(channels / 8).
// partial[run] = (mean[channels], deviations[channels]) of `run` rows each, of the rest for the last.
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
#include "lib/fovea.cuh"

/** Rows of so many, their mean and their sum of squared deviations. */
struct Moments { float rows, mean, deviations; };

DEVICE Moments joined(const Moments &a, const Moments &b) {
  if (b.rows == 0.0f) return a;
  if (a.rows == 0.0f) return b;
  const float d = b.mean - a.mean, rows = a.rows + b.rows;
  return Moments{rows, a.mean + d * (b.rows / rows), a.deviations + (b.deviations + d * d * (a.rows * b.rows / rows))};
}

KERNEL(norm_combine, 256)(Span<const float> partial, Span<float> mean, Span<float> variance, i32 rows, i32 channels, i32 run, i32 runs) {
  SHARED(Moments, parts, 256);
  const i32 c = blockIdx.x * 8 + threadIdx.x % 8;
  Moments all{0.0f, 0.0f, 0.0f};
  if (c < channels) {
    _Pragma("unroll 4") for (i32 i = threadIdx.x / 8; i < runs; i += 32) {
      const i32 count = i + 1 < runs ? run : rows - i * run;
      const i64 at = static_cast<i64>(i) * 2 * channels + c;
      all = joined(all, Moments{static_cast<float>(count), partial[at], partial[at + channels]});
    }
  }
  parts[threadIdx.x] = all;
  UNROLL for (i32 half = 128; half >= 8; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] = all = joined(all, parts[threadIdx.x + half]);
  }
  if (threadIdx.x >= 8 || c >= channels) return;
  mean[c] = all.mean;
  variance[c] = all.deviations / static_cast<float>(rows);
}
