// What becomes of an operand's elements on their way from memory into a panel: nothing, or they are normalized, or they become the gradient of
// batch norm, for which a second operand lies beside them. Only where they pass through registers (ASYNC 0). Zeros that stand for what is not
// there, as in the padding, stay zeros.
#pragma once
#include "lib/normalized.cuh"

// A launch without says nothing of one.
#ifndef PROLOGUE
#define PROLOGUE 0
#endif

struct AsStored { static constexpr bool byChannel = false, beside = false; };

/** act((x - mean) scale + beta), rounded to the type it was stored in, as norm_apply.cu stores it: `constants` has mean, scale, beta [channels]. */
struct Normalizing {
  static constexpr bool byChannel = true, beside = false;
  Span<const float> constants;
  i32 channels, relu;

  /** One channel's. */
  struct Channel {
    float mean, scale, beta;
    i32 relu;

    Channel() = default;
    DEVICE Channel(const Normalizing &by, i32 channel)
        : mean(by.constants[channel]), scale(by.constants[by.channels + channel]), beta(by.constants[2 * by.channels + channel]), relu(by.relu) {}
    template <class Type> DEVICE Type of(Type x) const {
      const float value = normalized(toFloat(x), mean, scale, beta);
      return fromFloat<Type>(relu != 0 && value < 0.0f ? 0.0f : value);
    }
  };
};

/**
 * The gradient of batch norm, and of ReLU behind it, by what was normalized, rounded to the type of the gradient behind them, as
 * norm_grad_apply.cu stores it. The operand is that gradient, `normed` beside it what was normalized, of its type, rows `stride` apart; `terms` has mean,
 * scale, beta, shift, slope [channels] (norm_grad_combine.cu).
 */
template <class Type> struct NormGradient {
  static constexpr bool byChannel = true, beside = true;
  Span<const Type> normed;
  i32 stride;
  Span<const float> terms;
  i32 channels, relu;

  struct Channel {
    GradientTerms by;
    i32 relu;

    DEVICE Channel(const NormGradient &g, i32 channel) : by(gradientTerms(g.terms, g.channels, channel)), relu(g.relu) {}
    DEVICE Type of(Type dy, Type x) const { return fromFloat<Type>(normGradient(toFloat(dy), toFloat(x), by, relu)); }
  };
};
