// The normalized value, which passes over memory (lib/norm.cuh) and products that normalize an operand (lib/prologue.cuh) compute alike.
#pragma once
#include "lib/fovea.cuh"

/** The normalized value before its activation. Forward and backward share it, fused multiply-add included, so that both see one sign. */
DEVICE float normalized(float x, float mean, float scale, float beta) { return fmaf(x - mean, scale, beta); }

/** What belongs to a channel of the gradient of batch norm by x: (sum dy + h sum dy h) / rows = shift + (x - mean) slope, h = (x - mean) r. */
struct GradientTerms { float mean, scale, beta, shift, slope; };

/** Those of a channel, from memory: [channels] each. */
DEVICE GradientTerms gradientTerms(const Span<const float> &terms, i32 channels, i32 channel) {
  return GradientTerms{terms[channel], terms[channels + channel], terms[2 * channels + channel], terms[3 * channels + channel],
                       terms[4 * channels + channel]};
}

/** That gradient; with relu dy is the gradient behind the activation, and counts only where normalized(x) > 0. */
DEVICE float normGradient(float dy, float x, const GradientTerms &by, i32 relu) {
  const bool off = relu != 0 && normalized(x, by.mean, by.scale, by.beta) <= 0.0f;
  return by.scale * ((off ? 0.0f : dy) - fmaf(x - by.mean, by.slope, by.shift));
}
