// constants = mean, gamma / sqrt(variance + epsilon), beta, [channels] each, gamma 1 where fixed: what products normalize an operand by
// (lib/prologue.cuh), with the bits of norm_apply.cu. One channel a thread: WIDTH 1, ALIGNED 0. Grid (ceil(channels / 256)).
#include "lib/norm.cuh"

KERNEL(norm_constants, 256)(Span<const float> mean, Span<const float> variance, Span<const float> gamma, Span<const float> beta,
                            Span<float> constants, i32 channels, i32 fixGamma, float epsilon) {
  const i32 channel = blockIdx.x * 256 + threadIdx.x;
  if (channel >= channels) return;
  constants[channel] = mean[channel];
  constants[channels + channel] = scaleOf(deviation(load(variance, channel), epsilon), load(gamma, channel), fixGamma)[0];
  constants[2 * channels + channel] = beta[channel];
}
