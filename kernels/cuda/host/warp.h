// Barriers, and what the lanes of a warp do together.
#pragma once

#define __syncthreads() fovea::machine->barrier(0, 0, false, FOVEA_HERE)

namespace fovea {

/** A shuffle of values of 4 or 8 bytes; `source` is the lane to take from. */
template <class Type> inline Type exchange(const char *what, unsigned mask, Type value, int source, Place place) {
  static_assert(sizeof(Type) == 4 || sizeof(Type) == 8, "shuffles move 4 or 8 bytes");
  Shuffle lane = {{0, 0}, source, {0, 0}};
  __builtin_memcpy(lane.give, &value, sizeof(Type));
  machine->collective(what, mask, &lane, machine->shuffle, place);
  __builtin_memcpy(&value, lane.take, sizeof(Type));
  return value;
}

inline int lane() { return static_cast<int>(machine->thread.x % 32); }

inline unsigned ballot(const char *what, unsigned mask, bool predicate, Place place) {
  Vote vote = {predicate, 0};
  machine->collective(what, mask, &vote, machine->vote, place);
  return vote.ballot;
}

}  // namespace fovea

inline void __syncwarp(unsigned mask = ~0u, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  fovea::machine->collective("__syncwarp", mask, nullptr, fovea::machine->syncWarp, {file, line});
}

// `width` parts a warp into groups of lanes; a lane outside of its group is oneself, as in CUDA.
template <class Type>
inline Type __shfl_sync(unsigned mask, Type v, int source, int width = 32, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int group = fovea::lane() / width * width;
  return fovea::exchange("__shfl_sync", mask, v, group + (source & (width - 1)), {file, line});
}
template <class Type>
inline Type __shfl_xor_sync(unsigned mask, Type v, int bits, int width = 32, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int lane = fovea::lane(), other = lane ^ bits;
  return fovea::exchange("__shfl_xor_sync", mask, v, other >= (lane / width + 1) * width ? lane : other, {file, line});
}
template <class Type>
inline Type __shfl_down_sync(unsigned mask, Type v, unsigned by, int width = 32, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int lane = fovea::lane(), other = lane + static_cast<int>(by);
  return fovea::exchange("__shfl_down_sync", mask, v, other >= (lane / width + 1) * width ? lane : other, {file, line});
}
template <class Type>
inline Type __shfl_up_sync(unsigned mask, Type v, unsigned by, int width = 32, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int lane = fovea::lane(), other = lane - static_cast<int>(by);
  return fovea::exchange("__shfl_up_sync", mask, v, other < lane / width * width ? lane : other, {file, line});
}

#define __ballot_sync(mask, predicate) fovea::ballot("__ballot_sync", mask, predicate, FOVEA_HERE)
#define __any_sync(mask, predicate) static_cast<int>(fovea::ballot("__any_sync", mask, predicate, FOVEA_HERE) != 0)
#define __all_sync(mask, predicate) static_cast<int>(fovea::ballot("__all_sync", mask, !(predicate), FOVEA_HERE) == 0)
