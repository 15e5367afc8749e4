// Mean and biased variance of every channel from those of runs of rows, combined in a fixed order:
// of counts a and b with means apart by d, mean += d b / (a + b), deviations += deviations_b + d^2 a b / (a + b).
// partial[i] = (mean[channels], deviations[channels]) of `run` rows each, of the rest for the last of `runs`.
// Block 256 = 8 channels x 32 threads, of which each combines every 32nd of the block's `part` partial results, then what they have by halves;
// grid (ceil(channels / 8), ceil(runs / part)): one part of all, unless they are many. Then a first launch leaves partial results of part * run rows,
// of the rest for the last, again, side by side as those before: `mean` and `variance` are the first one's mean and deviations, divided by 1. A
// second combines these to the end, with deviations divided by `rows`.
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

KERNEL(norm_combine, 256)(Span<const float> partial, Span<float> mean, Span<float> variance, i32 rows, i32 channels, i32 run, i32 runs, i32 part,
                          i32 divisor) {
  SHARED(Moments, parts, 256);
  const i32 c = blockIdx.x * 8 + threadIdx.x % 8, first = blockIdx.y * part, end = first + part < runs ? first + part : runs;
  Moments all{0.0f, 0.0f, 0.0f};
  if (c < channels) {
    _Pragma("unroll 4") for (i32 i = first + threadIdx.x / 8; i < end; i += 32) {
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
  const i64 to = static_cast<i64>(blockIdx.y) * 2 * channels + c;
  mean[to] = all.mean;
  variance[to] = all.deviations / static_cast<float>(divisor);
}
