// partial[run] = (sum dy, sum dy * h) of every channel over a run of rows, h = (x - mean) / sqrt(variance + epsilon).
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0.
// Block 256 over a run of rows (lib/norm.cuh), two rows in flight a thread, its sums added by halves; grid (runs, ceil(channels / (WIDTH
// COLUMNS))). XT and DYT: storage types of x and dy.
#include "lib/norm.cuh"

KERNEL(norm_grad_sums, 256)(Span<const DYT> dy, Span<const XT> x, Span<const float> mean, Span<const float> variance, Span<const float> gamma,
                            Span<const float> beta, Span<float> partial, i32 rows, i32 channels, i32 run, i32 dyStride, i32 xStride,
                            i32 fixGamma, i32 relu, float epsilon) {
  SHARED(float, panel, 512 * WIDTH);
  const Part part = partOf(rows, run);
  const bool live = part.channel < channels;
  Lanes<float, 2 * WIDTH> sums = spread<2 * WIDTH>(0.0f);
  Channels root = spread<WIDTH>(1.0f);
  if (live) {
    const Channels m = load(mean, part.channel), b = load(beta, part.channel);
    root = deviation(load(variance, part.channel), epsilon);
    const Channels scale = scaleOf(root, load(gamma, part.channel), fixGamma);
    for (i32 row = part.first; row < part.end; row += 2 * GROUPS) {
      Channels g[2], v[2];
      UNROLL for (i32 k = 0; k < 2; k++) {
        g[k] = spread<WIDTH>(0.0f);
        v[k] = m;
        if (row + k * GROUPS < part.end) {
          g[k] = load(dy, static_cast<i64>(row + k * GROUPS) * dyStride + part.channel);
          v[k] = load(x, static_cast<i64>(row + k * GROUPS) * xStride + part.channel);
        }
      }
      UNROLL for (i32 k = 0; k < 2; k++) {
        UNROLL for (i32 i = 0; i < WIDTH; i++) {
          const bool off = relu != 0 && normalized(v[k][i], m[i], scale[i], b[i]) <= 0.0f;
          const float gradient = off ? 0.0f : g[k][i];
          sums[i] += gradient;
          sums[WIDTH + i] = fmaf(gradient, v[k][i] - m[i], sums[WIDTH + i]);
        }
      }
    }
  }
  overColumns<COLUMNS>(sums, panel, Add());
  if (!live || threadIdx.x >= COLUMNS) return;
  Channels sum, product;
  UNROLL for (i32 i = 0; i < WIDTH; i++) {
    sum[i] = sums[i];
    product[i] = sums[WIDTH + i] / root[i];
  }
  const i64 at = static_cast<i64>(blockIdx.x) * 2 * channels + part.channel;
  storeLanes<WIDTH, true>(partial, at, sum);
  storeLanes<WIDTH, true>(partial, at + channels, product);
}
