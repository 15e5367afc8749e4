// What every kernel stands on, in two meanings: under NVRTC and nvcc, plain CUDA; with FOVEA_HOST, C++ for the machine that has no GPU
// (host/fovea_host.h), where threads, barriers and shared memory are run in software and every access is checked.
//
// A kernel file NAME.cu has one entry point of its own name:
//
//   #include "lib/fovea.cuh"
//   KERNEL(scale, 256)(Span<const float> x, Span<float> y, i32 total, float factor) {
//     const i32 i = blockIdx.x * 256 + threadIdx.x;
//     if (i < total) y[i] = factor * x[i];
//   }
//
// - Memory comes as Span<T> only: pointer and bytes, checked on the host. `x[i]`; `x.load<float4>(i)` and `x.store(i, v)` move the
//   vector that starts at element i and must be aligned to its own size.
// - Shared memory: SHARED(float, panel, 32 * 33) declares a static array, DYNAMIC_SHARED(float, panel) the launch's own, both indexed as
//   panel[i]; `panel.load<float4>(i)` and `panel.store(i, v)` as above. `panel.part<Half>(first, count)` is the span of `count` Half that
//   begins at element `first` of panel. On the host panel[i] stands for the element and reads it when it is converted: give what it is
//   kept in its type, not `auto`, and no reference.
// - KERNEL(name, threads) or KERNEL(name, threads, blocks): as __launch_bounds__ has them.
// - Blocks are one-dimensional. threadIdx.x, blockIdx, gridDim, __syncthreads(), __syncwarp(), __shfl_*_sync and __ballot_sync are CUDA's own.
// - Storage types: float, Half (IEEE binary16), Bfloat16, i32, u8. Kernels compute in float: toFloat(v), fromFloat<T>(f).
// - No float atomics anywhere: results must not depend on the order of blocks.
// - Macros that launches define (CudaLaunch.define) are names of two capital letters or more, so that they meet no template's.
// - PTX stands in lib/ alone, each piece with a twin for the host.
#pragma once

#include "lib/types.cuh"

#ifdef FOVEA_HOST
#include "host/fovea_host.h"
#else

#define DEVICE __device__ __forceinline__
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name
#define UNROLL _Pragma("unroll")

template <class Type> struct Span {
  Type *data;
  u64 bytes;
  DEVICE Type &operator[](i64 i) const { return data[i]; }
  template <class Vector> DEVICE Vector load(i64 i) const { return *reinterpret_cast<const Vector *>(data + i); }
  template <class Vector> DEVICE void store(i64 i, Vector v) const { *reinterpret_cast<Vector *>(data + i) = v; }
};

/** An array in shared memory. */
template <class Type> struct SharedSpan {
  Type *data;
  DEVICE Type &operator[](i32 i) const { return data[i]; }
  template <class Vector> DEVICE Vector load(i32 i) const { return *reinterpret_cast<const Vector *>(data + i); }
  template <class Vector> DEVICE void store(i32 i, Vector v) const { *reinterpret_cast<Vector *>(data + i) = v; }
  template <class Other = Type> DEVICE SharedSpan<Other> part(i32 first, i32 count) const {
    return {reinterpret_cast<Other *>(data + first)};
  }
};

#define SHARED(Type, name, count)                          \
  __shared__ __align__(16) unsigned char name##_[sizeof(Type) * (count)]; \
  const SharedSpan<Type> name{reinterpret_cast<Type *>(name##_)}
#define DYNAMIC_SHARED(Type, name)                         \
  extern __shared__ __align__(128) unsigned char foveaDynamic[]; \
  const SharedSpan<Type> name{reinterpret_cast<Type *>(foveaDynamic)}

DEVICE float toFloat(Half v) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits));
  return f;
}
DEVICE Half halfOf(float f) {
  Half v;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(v.bits) : "f"(f));
  return v;
}
DEVICE float toFloat(Bfloat16 v) { return __uint_as_float(static_cast<u32>(v.bits) << 16); }
DEVICE Bfloat16 bfloat16Of(float f) {
  Bfloat16 v;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(v.bits) : "f"(f));
  return v;
}

#endif

DEVICE float toFloat(float v) { return v; }
template <class Type> struct FromFloat;
template <> struct FromFloat<float> { static DEVICE float of(float f) { return f; } };
template <> struct FromFloat<Half> { static DEVICE Half of(float f) { return halfOf(f); } };
template <> struct FromFloat<Bfloat16> { static DEVICE Bfloat16 of(float f) { return bfloat16Of(f); } };
/** The value rounded to a storage type, to nearest and ties to even. */
template <class Type> DEVICE Type fromFloat(float f) { return FromFloat<Type>::of(f); }

/** Four elements that are moved at once: 16 bytes of float and i32, 8 of the halves, 4 of u8. */
template <class Type> struct alignas(4 * sizeof(Type)) Vec4 { Type v[4]; };
