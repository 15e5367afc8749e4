// The halves and their conversions as kernels have them, for what the emulator computes itself.
#pragma once
#include <cmath>

typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef unsigned char u8;
typedef unsigned short u16;
struct alignas(2) Half { u16 bits; };
struct alignas(2) Bfloat16 { u16 bits; };
#include "../arithmetic.h"

namespace fovea {

/** What tensor cores do with a sum: they cut it off. */
inline float truncated(double sum) {
  const float rounded = static_cast<float>(sum);
  return std::fabs(static_cast<double>(rounded)) > std::fabs(sum) && std::isfinite(sum) ? std::nextafterf(rounded, 0.0f) : rounded;
}

}  // namespace fovea
