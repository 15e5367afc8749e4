// sums = (sum dy, sum dy * h) of every channel from those of runs of rows; dbeta and dgamma (0 where fixed) are these.
// Block 256 = 8 channels x 32 threads, of which each adds up every 32nd run, then what they have by halves; grid ceil(channels / 8).
#include "lib/block.cuh"

KERNEL(norm_grad_combine, 256)(Span<const float> partial, Span<float> sums, Span<float> dgamma, Span<float> dbeta, i32 channels, i32 runs,
                               i32 fixGamma) {
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
  sums[c] = all[0];
  sums[channels + c] = all[1];
  dgamma[c] = fixGamma != 0 ? 0.0f : all[1];
  dbeta[c] = all[0];
}
