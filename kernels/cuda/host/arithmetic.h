// CUDA's arithmetic in float: the functions that kernels name and <math.h> does not have, vectors, and conversions of the halves.
#pragma once

inline float __uint_as_float(u32 bits) { return __builtin_bit_cast(float, bits); }
inline float __int_as_float(i32 bits) { return __builtin_bit_cast(float, bits); }
inline u32 __float_as_uint(float f) { return __builtin_bit_cast(u32, f); }
inline i32 __float_as_int(float f) { return __builtin_bit_cast(i32, f); }

inline float toFloat(Bfloat16 v) { return __uint_as_float(static_cast<u32>(v.bits) << 16); }

inline Bfloat16 bfloat16Of(float f) {
  const u32 bits = __float_as_uint(f);
  if (f != f) return {static_cast<u16>(0x7fff)};
  return {static_cast<u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

inline float toFloat(Half v) {
  const u32 sign = static_cast<u32>(v.bits & 0x8000) << 16, exponent = v.bits >> 10 & 31, mantissa = v.bits & 0x3ff;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0) return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
  const float small = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -small : small;
}

inline Half halfOf(float f) {
  const u32 bits = __float_as_uint(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (f != f) return {static_cast<u16>(0x7fff)};
  // From 65520 on the nearest is 2^16, which is infinity.
  if (magnitude >= 0x477ff000) return {static_cast<u16>(sign | 0x7c00)};
  // Below 2^-14 a half counts in steps of 2^-24: adding 0.5, whose last place that is, lets the float unit round.
  if (magnitude < 0x38800000) return {static_cast<u16>(sign | (__float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000))};
  const u32 rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return {static_cast<u16>(sign | (rounded - 0x38000000) >> 13)};
}

#define FOVEA_VECTOR2(name, Type, alignment)                 \
  struct alignas(alignment) name { Type x, y; };             \
  inline name make_##name(Type x, Type y) { return {x, y}; }
#define FOVEA_VECTOR4(name, Type, alignment)                                         \
  struct alignas(alignment) name { Type x, y, z, w; };                               \
  inline name make_##name(Type x, Type y, Type z, Type w) { return {x, y, z, w}; }
FOVEA_VECTOR2(float2, float, 8)
FOVEA_VECTOR2(int2, int, 8)
FOVEA_VECTOR2(uint2, unsigned, 8)
FOVEA_VECTOR4(float4, float, 16)
FOVEA_VECTOR4(int4, int, 16)
FOVEA_VECTOR4(uint4, unsigned, 16)
FOVEA_VECTOR4(uchar4, unsigned char, 4)
FOVEA_VECTOR4(ushort4, unsigned short, 8)

// fminf and fmaxf as CUDA has them give the number where one is NaN; so do min and max of floats.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline i32 min(i32 a, i32 b) { return a < b ? a : b; }
inline i32 max(i32 a, i32 b) { return a > b ? a : b; }
inline u32 min(u32 a, u32 b) { return a < b ? a : b; }
inline u32 max(u32 a, u32 b) { return a > b ? a : b; }
inline i64 min(i64 a, i64 b) { return a < b ? a : b; }
inline i64 max(i64 a, i64 b) { return a > b ? a : b; }
inline u64 min(u64 a, u64 b) { return a < b ? a : b; }
inline u64 max(u64 a, u64 b) { return a > b ? a : b; }

inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float v) { return 1.0f / v; }
inline float __frsqrt_rn(float v) { return static_cast<float>(1.0 / __builtin_sqrt(v)); }
inline float __expf(float v) { return expf(v); }
inline float __logf(float v) { return logf(v); }
inline float __powf(float a, float b) { return powf(a, b); }
inline float __sinf(float v) { return sinf(v); }
inline float __cosf(float v) { return cosf(v); }
inline float __saturatef(float v) { return fminf(fmaxf(v, 0.0f), 1.0f); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float v) { return sqrtf(v); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline i32 __float2int_rn(float v) { return static_cast<i32>(nearbyintf(v)); }
inline i32 __float2int_rz(float v) { return static_cast<i32>(v); }
inline i32 __float2int_rd(float v) { return static_cast<i32>(floorf(v)); }
inline float __int2float_rn(i32 v) { return static_cast<float>(v); }
inline u32 __umulhi(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b >> 32); }
inline i32 __mulhi(i32 a, i32 b) { return static_cast<i32>(static_cast<i64>(a) * b >> 32); }
inline u64 __umul64hi(u64 a, u64 b) { return static_cast<u64>(static_cast<unsigned __int128>(a) * b >> 64); }
inline i32 __popc(u32 v) { return __builtin_popcount(v); }
inline i32 __clz(i32 v) { return v == 0 ? 32 : __builtin_clz(static_cast<u32>(v)); }
inline i32 __ffs(i32 v) { return __builtin_ffs(v); }
inline u32 __brev(u32 v) {
  u32 reversed = 0;
  for (i32 i = 0; i < 32; i++) reversed |= (v >> i & 1) << (31 - i);
  return reversed;
}
