// (sum dy, sum dy * h) of every channel from those of runs of rows: dbeta and dgamma (0 where fixed), and terms = mean, scale, beta, shift, slope,
// [channels] each, of the gradient by x (lib/normalized.cuh); frozen: shift and slope are 0.
// Block 256 = 8 channels x 32 threads, of which each adds up every 32nd run, then what they have by halves; grid ceil(channels / 8).
// One channel a thread: WIDTH 1, ALIGNED 0.
#include "lib/norm.cuh"

KERNEL(norm_grad_combine, 256)(Span<const float> partial, Span<const float> mean, Span<const float> variance, Span<const float> gamma,
                               Span<const float> beta, Span<float> terms, Span<float> dgamma, Span<float> dbeta, i32 channels, i32 runs, i32 rows,
                               i32 fixGamma, i32 frozen, float epsilon) {
  SHARED(float, panel, 512);
  const i32 c = blockIdx.x * 8 + threadIdx.x % 8;
  Lanes<float, 2> all = spread<2>(0.0f);
  if (c < channels) {
    _Pragma("unroll 4") for (i32 i = threadIdx.x / 8; i < runs; i += 32) {
      const i64 at = static_cast<i64>(i) * 2 * channels + c;
      all[0] += partial[at];
      all[1] += partial[at + channels];
    }
  }
  overColumns<8>(all, panel, Add());
  if (threadIdx.x >= 8 || c >= channels) return;
  const Channels root = deviation(load(variance, c), epsilon);
  terms[c] = mean[c];
  terms[channels + c] = scaleOf(root, load(gamma, c), fixGamma)[0];
  terms[2 * channels + c] = beta[c];
  terms[3 * channels + c] = frozen != 0 ? 0.0f : all[0] / static_cast<float>(rows);
  terms[4 * channels + c] = frozen != 0 ? 0.0f : all[1] / root[0] / static_cast<float>(rows);
  dgamma[c] = fixGamma != 0 ? 0.0f : all[1];
  dbeta[c] = all[0];
}
