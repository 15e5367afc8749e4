// Reductions within a block, always in the same order: across warps by shuffles, across the block through shared memory.
#pragma once
#include "lib/lanes.cuh"

/** The row of a thread of a block of 256, Threads of which share one. Threads of a grid are not counted: of 2^27 rows they pass 32 bits. */
template <i32 Threads> DEVICE i32 rowOf(u32 block, u32 thread) { return block * (256 / Threads) + thread / Threads; }

struct Add { DEVICE float operator()(float a, float b) const { return a + b; } };
/** The larger and the smaller; NaN if either is. */
struct Larger { DEVICE float operator()(float a, float b) const { return a > b || a != a ? a : b; } };

struct Smaller { DEVICE float operator()(float a, float b) const { return a < b || a != a ? a : b; } };

#ifdef FOVEA_HOST
DEVICE float infinity() { return __builtin_huge_valf(); }
#else
DEVICE float infinity() { return __uint_as_float(0x7f800000u); }
#endif

/** Combined over the 32 threads of a warp, by halves; all of them get the result. */
template <class Combine> DEVICE float overWarp(float v, Combine combine) {
  UNROLL for (i32 half = 16; half > 0; half /= 2) v = combine(v, __shfl_xor_sync(0xffffffffu, v, half));
  return v;
}

/**
 * Combined over groups of Threads (32, or 256: the block) of a block of 256, warp after warp; all of a group get the result.
 * `parts` has room for a float a warp; all threads of the block call it together.
 */
template <i32 Threads, class Combine> DEVICE float overThreads(float v, const SharedSpan<float> &parts, Combine combine) {
  v = overWarp(v, combine);
  if constexpr (Threads > 32) {
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = parts[0];
    UNROLL for (i32 warp = 1; warp < Threads / 32; warp++) v = combine(v, parts[warp]);
  }
  return v;
}

/**
 * Sums over the threads of a block of 256 that share a column, which are those with the same threadIdx.x % Columns: by halves, valid in
 * the first Columns threads. `panel` has room for 256 Count floats; all threads of the block call it together.
 */
template <i32 Columns, i32 Count, class Combine>
DEVICE void overColumns(Lanes<float, Count> &v, const SharedSpan<float> &panel, Combine combine) {
  const i32 thread = threadIdx.x;
  UNROLL for (i32 i = 0; i < Count; i++) panel[i * 256 + thread] = v[i];
  UNROLL for (i32 half = 128; half >= Columns; half /= 2) {
    __syncthreads();
    if (thread < half) {
      UNROLL for (i32 i = 0; i < Count; i++) {
        v[i] = combine(v[i], panel[i * 256 + thread + half]);
        panel[i * 256 + thread] = v[i];
      }
    }
  }
}
