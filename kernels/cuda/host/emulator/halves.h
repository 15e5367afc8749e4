// The halves and their conversions as kernels have them, for what the emulator computes itself.
#pragma once
#include <cmath>

#include "../../lib/types.cuh"
#include "../arithmetic.h"

namespace fovea {

/** What tensor cores do with a sum: they cut it off. */
inline float truncated(double sum) {
  const float rounded = static_cast<float>(sum);
  return std::fabs(static_cast<double>(rounded)) > std::fabs(sum) && std::isfinite(sum) ? std::nextafterf(rounded, 0.0f) : rounded;
}

}  // namespace fovea
