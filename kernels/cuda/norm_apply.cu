// y = act((x - mean) * gamma / sqrt(variance + epsilon) + beta), gamma 1 where fixed; act is ReLU where asked for. y may be x itself.
// Block 256 over a run of rows (lib/norm.cuh), four rows in flight a thread; grid (runs, ceil(channels / (WIDTH COLUMNS))).
// XT and YT: storage types of x and y.
// Source: Ioffe and Szegedy 2015, "Batch normalization"; MXNet's BatchNorm for fixGamma.
#include "lib/norm.cuh"

KERNEL(norm_apply, 256)(Span<const XT> x, Span<const float> mean, Span<const float> variance, Span<const float> gamma, Span<const float> beta,
                        Span<YT> y, i32 rows, i32 channels, i32 run, i32 xStride, i32 yStride, i32 fixGamma, i32 relu, float epsilon) {
  const Part part = partOf(rows, run);
  if (part.channel >= channels) return;
  const Channels m = load(mean, part.channel), b = load(beta, part.channel);
  const Channels scale = scaleOf(deviation(load(variance, part.channel), epsilon), load(gamma, part.channel), fixGamma);
  for (i32 row = part.first; row < part.end; row += 4 * GROUPS) {
    Channels v[4];
    UNROLL for (i32 k = 0; k < 4; k++) {
      if (row + k * GROUPS < part.end) v[k] = load(x, static_cast<i64>(row + k * GROUPS) * xStride + part.channel);
    }
    UNROLL for (i32 k = 0; k < 4; k++) {
      if (row + k * GROUPS >= part.end) break;
      UNROLL for (i32 i = 0; i < WIDTH; i++) {
        const float value = normalized(v[k][i], m[i], scale[i], b[i]);
        v[k][i] = relu != 0 && value < 0.0f ? 0.0f : value;
      }
      store(y, static_cast<i64>(row + k * GROUPS) * yStride + part.channel, v[k]);
    }
  }
}
