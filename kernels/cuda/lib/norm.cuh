// What the normalization kernels share: how a block lies over rows and channels, and the normalized value.
//
// A block of 256 is COLUMNS x GROUPS: neighbours take neighbouring channels, WIDTH of them each, so that rows are read in whole lines,
// and keep what belongs to a channel in registers; a thread takes every GROUPS-th row of the block's run. COLUMNS, and WIDTH,
// follow from the number of channels alone; ALIGNED says whether four channels are read in one access.
#pragma once
#include "lib/block.cuh"
#include "lib/normalized.cuh"

#define GROUPS (256 / COLUMNS)

typedef Lanes<float, WIDTH> Channels;

/** Channels of this thread begin at `channel`; its rows are first, first + GROUPS, .. below end. */
struct Part { i32 channel, first, end; };

DEVICE Part partOf(i32 rows, i32 run) {
  const i32 start = blockIdx.x * run;
  return Part{static_cast<i32>(blockIdx.y * COLUMNS + threadIdx.x % COLUMNS) * WIDTH, start + static_cast<i32>(threadIdx.x / COLUMNS),
              start + run < rows ? start + run : rows};
}

template <class Type> DEVICE Channels load(const Span<const Type> &x, i64 at) { return loadLanes<WIDTH, ALIGNED>(x, at); }
template <class Type> DEVICE void store(const Span<Type> &y, i64 at, const Channels &v) { storeLanes<WIDTH, ALIGNED>(y, at, v); }

DEVICE Channels deviation(const Channels &variance, float epsilon) {
  Channels root;
  UNROLL for (i32 i = 0; i < WIDTH; i++) root[i] = sqrtf(variance[i] + epsilon);
  return root;
}

/** gamma / sqrt(variance + epsilon), gamma 1 where fixed. */
DEVICE Channels scaleOf(const Channels &deviation, const Channels &gamma, i32 fixGamma) {
  Channels scale;
  UNROLL for (i32 i = 0; i < WIDTH; i++) scale[i] = (fixGamma != 0 ? 1.0f : gamma[i]) / deviation[i];
  return scale;
}
