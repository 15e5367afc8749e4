// Elements as kernels compute with them: floats for all float types and i32 for integers, one or four neighbours at a time.
#pragma once
#include "lib/fovea.cuh"

DEVICE float widened(float v) { return v; }
DEVICE float widened(Half v) { return toFloat(v); }
DEVICE float widened(Bfloat16 v) { return toFloat(v); }
DEVICE i32 widened(i32 v) { return v; }
DEVICE i32 widened(u8 v) { return v; }

/** What a storage type is computed in, and how a result is stored in it. */
template <class Type> struct Stored {
  typedef float Computed;
  static DEVICE Type of(float v) { return fromFloat<Type>(v); }
};
template <> struct Stored<i32> {
  typedef i32 Computed;
  static DEVICE i32 of(i32 v) { return v; }
};
template <> struct Stored<u8> {
  typedef i32 Computed;
  static DEVICE u8 of(i32 v) { return static_cast<u8>(v); }
};

template <class Type> struct Mutable { typedef Type Of; };
template <class Type> struct Mutable<const Type> { typedef Type Of; };
/** What elements of a Span<Type>, or Span<const Type>, are computed in. */
template <class Type> using ComputedOf = typename Stored<typename Mutable<Type>::Of>::Computed;

/** Neighbours along the last axis, in registers. */
template <class Type, i32 Width> struct Lanes {
  Type v[Width];
  DEVICE Type &operator[](i32 i) { return v[i]; }
  DEVICE const Type &operator[](i32 i) const { return v[i]; }
};

/** All of them the same. */
template <i32 Width, class Type> DEVICE Lanes<Type, Width> spread(Type value) {
  Lanes<Type, Width> lanes;
  UNROLL for (i32 i = 0; i < Width; i++) lanes[i] = value;
  return lanes;
}

/** Elements at, at + 1, .. of x: in one access where the value is aligned to it, else one by one. */
template <i32 Width, bool Aligned, class Type>
DEVICE Lanes<ComputedOf<Type>, Width> loadLanes(const Span<Type> &x, i64 at) {
  Lanes<ComputedOf<Type>, Width> lanes;
  if constexpr (Width == 4 && Aligned) {
    typedef Vec4<typename Mutable<Type>::Of> Vector;
    const Vector all = x.template load<Vector>(at);
    UNROLL for (i32 i = 0; i < 4; i++) lanes[i] = widened(all.v[i]);
  } else {
    UNROLL for (i32 i = 0; i < Width; i++) lanes[i] = widened(x[at + i]);
  }
  return lanes;
}

template <i32 Width, bool Aligned, class Type>
DEVICE void storeLanes(const Span<Type> &y, i64 at, const Lanes<ComputedOf<Type>, Width> &lanes) {
  if constexpr (Width == 4 && Aligned) {
    Vec4<Type> all;
    UNROLL for (i32 i = 0; i < 4; i++) all.v[i] = Stored<Type>::of(lanes[i]);
    y.store(at, all);
  } else {
    UNROLL for (i32 i = 0; i < Width; i++) y[at + i] = Stored<Type>::of(lanes[i]);
  }
}
