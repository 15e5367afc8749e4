// dx = gamma r (dy - (sum dy + h sum dy h) / rows), r = 1 / sqrt(variance + epsilon), h = (x - mean) r, by the terms that norm_grad_combine.cu left.
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0. dx may be dy or x itself.
// Block 256 over a run of rows (lib/norm.cuh), two rows in flight a thread; grid (runs, ceil(channels / (WIDTH COLUMNS))).
// XT, DYT and YT: storage types of x, dy and dx.
#include "lib/norm.cuh"

KERNEL(norm_grad_apply, 256)(Span<const DYT> dy, Span<const XT> x, Span<const float> terms, Span<YT> dx, i32 rows, i32 channels, i32 run, i32 dyStride,
                             i32 xStride, i32 dxStride, i32 relu) {
  const Part part = partOf(rows, run);
  if (part.channel >= channels) return;
  GradientTerms by[WIDTH];
  UNROLL for (i32 i = 0; i < WIDTH; i++) by[i] = gradientTerms(terms, channels, part.channel + i);
  for (i32 row = part.first; row < part.end; row += 2 * GROUPS) {
    Channels g[2], v[2];
    UNROLL for (i32 k = 0; k < 2; k++) {
      if (row + k * GROUPS >= part.end) break;
      g[k] = load(dy, static_cast<i64>(row + k * GROUPS) * dyStride + part.channel);
      v[k] = load(x, static_cast<i64>(row + k * GROUPS) * xStride + part.channel);
    }
    UNROLL for (i32 k = 0; k < 2; k++) {
      if (row + k * GROUPS >= part.end) break;
      UNROLL for (i32 i = 0; i < WIDTH; i++) g[k][i] = normGradient(g[k][i], v[k][i], by[i], relu);
      store(dx, static_cast<i64>(row + k * GROUPS) * dxStride + part.channel, g[k]);
    }
  }
}
