// The functions that expressions of elementwise kernels are written with, under WGSL's names, so that one text serves both devices
// (src/ops/scalar-expressions.ts). Within this namespace they hide CUDA's own of the same names. Maxima and minima pass NaN on, as the
// reference does and fmaxf does not: an overflow must not vanish in a ReLU.
#pragma once
#include "lib/fovea.cuh"

namespace expressions {

typedef float F;
typedef i32 I;
typedef u32 B;

/** `yes` where the condition holds. */
template <class Type> DEVICE Type select(Type no, Type yes, bool condition) { return condition ? yes : no; }
template <class Type> DEVICE Type max(Type a, Type b) { return a > b || a != a ? a : b; }
template <class Type> DEVICE Type min(Type a, Type b) { return a < b || a != a ? a : b; }
template <class Type> DEVICE Type clamp(Type v, Type low, Type high) { return v < low ? low : v > high ? high : v; }
DEVICE float abs(float v) { return fabsf(v); }
DEVICE float sign(float v) { return v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v; }
DEVICE float floor(float v) { return floorf(v); }
DEVICE float sqrt(float v) { return sqrtf(v); }
DEVICE float inverseSqrt(float v) { return 1.0f / sqrtf(v); }
DEVICE float exp(float v) { return expf(v); }
DEVICE float expm1(float v) { return expm1f(v); }
DEVICE float log(float v) { return logf(v); }
DEVICE float log1p(float v) { return log1pf(v); }
DEVICE float pow(float v, float exponent) { return powf(v, exponent); }
DEVICE float tanh(float v) { return tanhf(v); }
DEVICE float sin(float v) { return sinf(v); }
DEVICE float cos(float v) { return cosf(v); }

}
