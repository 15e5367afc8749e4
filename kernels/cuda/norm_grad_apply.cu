// dx = gamma r (dy - (sum dy + h sum dy h) / rows), r = 1 / sqrt(variance + epsilon), h = (x - mean) r; frozen: dx = gamma r dy.
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0. dx may be dy or x itself.
// Block 256 over a run of rows (lib/norm.cuh), two rows in flight a thread; grid (runs, ceil(channels / (WIDTH COLUMNS))).
// XT, DYT and YT: storage types of x, dy and dx.
#include "lib/norm.cuh"

KERNEL(norm_grad_apply, 256)(Span<const DYT> dy, Span<const XT> x, Span<const float> sums, Span<const float> mean, Span<const float> variance,
                             Span<const float> gamma, Span<const float> beta, Span<YT> dx, i32 rows, i32 channels, i32 run, i32 dyStride,
                             i32 xStride, i32 dxStride, i32 fixGamma, i32 relu, i32 frozen, float epsilon) {
  const Part part = partOf(rows, run);
  if (part.channel >= channels) return;
  const Channels m = load(mean, part.channel), b = load(beta, part.channel), root = deviation(load(variance, part.channel), epsilon);
  const Channels scale = scaleOf(root, load(gamma, part.channel), fixGamma);
  // (sum dy + h sum dy h) / rows = shift + (x - mean) slope
  Channels shift = spread<WIDTH>(0.0f), slope = spread<WIDTH>(0.0f);
  if (frozen == 0) {
    shift = loadLanes<WIDTH, true>(sums, part.channel);
    slope = loadLanes<WIDTH, true>(sums, channels + part.channel);
    UNROLL for (i32 i = 0; i < WIDTH; i++) {
      shift[i] /= static_cast<float>(rows);
      slope[i] = slope[i] / root[i] / static_cast<float>(rows);
    }
  }
  for (i32 row = part.first; row < part.end; row += 2 * GROUPS) {
    Channels g[2], v[2];
    UNROLL for (i32 k = 0; k < 2; k++) {
      if (row + k * GROUPS >= part.end) break;
      g[k] = load(dy, static_cast<i64>(row + k * GROUPS) * dyStride + part.channel);
      v[k] = load(x, static_cast<i64>(row + k * GROUPS) * xStride + part.channel);
    }
    UNROLL for (i32 k = 0; k < 2; k++) {
      if (row + k * GROUPS >= part.end) break;
      UNROLL for (i32 i = 0; i < WIDTH; i++) {
        const bool off = relu != 0 && normalized(v[k][i], m[i], scale[i], b[i]) <= 0.0f;
        g[k][i] = scale[i] * ((off ? 0.0f : g[k][i]) - fmaf(v[k][i] - m[i], slope[i], shift[i]));
      }
      store(dx, static_cast<i64>(row + k * GROUPS) * dxStride + part.channel, g[k]);
    }
  }
}
