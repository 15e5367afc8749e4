// What becomes of an operand's elements on their way from memory into a panel: nothing, or they are normalized. Only where they pass through
// registers (ASYNC 0). Zeros that stand for what is not there, as in the padding, stay zeros.
#pragma once
#include "lib/normalized.cuh"

struct AsStored { static constexpr bool byChannel = false; };

/** act((x - mean) scale + beta), rounded to the type it was stored in, as norm_apply.cu stores it: `constants` has mean, scale, beta [channels]. */
struct Normalizing {
  static constexpr bool byChannel = true;
  Span<const float> constants;
  i32 channels, relu;
};

/** The constants of one channel. */
struct ChannelNorm {
  float mean, scale, beta;

  ChannelNorm() = default;
  DEVICE ChannelNorm(const Normalizing &by, i32 channel)
      : mean(by.constants[channel]), scale(by.constants[by.channels + channel]), beta(by.constants[2 * by.channels + channel]) {}
  template <class Type> DEVICE Type of(Type x, i32 relu) const {
    const float value = normalized(toFloat(x), mean, scale, beta);
    return fromFloat<Type>(relu != 0 && value < 0.0f ? 0.0f : value);
  }
};
