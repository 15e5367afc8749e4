// Mean and sum of squared deviations of every channel over a run of rows: partial[run] = (mean[channels], deviations[channels]).
// One pass, about the run's first row as a shift: with d = x - x[first], mean = x[first] + sum d / n and
// deviations = sum d^2 - (sum d)^2 / n, which keeps its digits however far the data lie from zero.
// Block 256 over a run of rows (lib/norm.cuh), four rows in flight a thread, its sums added by halves; grid (runs, ceil(channels / (WIDTH
// COLUMNS))). XT: storage type of x.
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983 (shifted data; the combination, in norm_combine).
#include "lib/norm.cuh"

KERNEL(norm_stats, 256)(Span<const XT> x, Span<float> partial, i32 rows, i32 channels, i32 run, i32 xStride) {
  SHARED(float, panel, 512 * WIDTH);
  const Part part = partOf(rows, run);
  const bool live = part.channel < channels;
  Channels shift = spread<WIDTH>(0.0f);
  Lanes<float, 2 * WIDTH> sums = spread<2 * WIDTH>(0.0f);
  if (live) {
    shift = load(x, static_cast<i64>(blockIdx.x) * run * xStride + part.channel);
    i32 row = part.first;
    for (; row + 3 * GROUPS < part.end; row += 4 * GROUPS) {
      Channels v[4];
      UNROLL for (i32 k = 0; k < 4; k++) v[k] = load(x, static_cast<i64>(row + k * GROUPS) * xStride + part.channel);
      UNROLL for (i32 k = 0; k < 4; k++) {
        UNROLL for (i32 i = 0; i < WIDTH; i++) {
          const float d = v[k][i] - shift[i];
          sums[i] += d;
          sums[WIDTH + i] = fmaf(d, d, sums[WIDTH + i]);
        }
      }
    }
    for (; row < part.end; row += GROUPS) {
      const Channels v = load(x, static_cast<i64>(row) * xStride + part.channel);
      UNROLL for (i32 i = 0; i < WIDTH; i++) {
        const float d = v[i] - shift[i];
        sums[i] += d;
        sums[WIDTH + i] = fmaf(d, d, sums[WIDTH + i]);
      }
    }
  }
  overColumns<COLUMNS>(sums, panel, Add());
  if (!live || threadIdx.x >= COLUMNS) return;
  const float n = static_cast<float>(part.end - part.first);
  Channels mean, deviations;
  UNROLL for (i32 i = 0; i < WIDTH; i++) {
    mean[i] = shift[i] + sums[i] / n;
    const float squares = sums[WIDTH + i] - sums[i] * sums[i] / n;
    deviations[i] = squares < 0.0f ? 0.0f : squares;
  }
  const i64 at = static_cast<i64>(blockIdx.x) * 2 * channels + part.channel;
  storeLanes<WIDTH, true>(partial, at, mean);
  storeLanes<WIDTH, true>(partial, at + channels, deviations);
}
