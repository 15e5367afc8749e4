// The host's twins of lib/hopper.cuh: barriers that count bytes, the copy engine and products of warpgroups, by the emulator
// (emulator/mbarrier.cpp, copy_engine.cpp, group_product.cpp). Addresses in shared memory are counted from its beginning.
#pragma once

struct alignas(64) TensorMap { u8 opaque[128]; };
#define TENSOR_MAP const TensorMap

#define FOVEA_LINE const char *file = __builtin_FILE(), int line = __builtin_LINE()

template <class Type> inline u32 sharedAddress(const SharedSpan<Type> &span, i32 i) { return fovea::machine->hopper.addressOf(span.data + i); }

inline void initBarrier(u32 barrier, u32 arrivals, FOVEA_LINE) { fovea::machine->hopper.initBarrier(barrier, arrivals, {file, line}); }
inline void publishBarriers() { fovea::machine->hopper.publishBarriers(); }
inline void arrive(u32 barrier, FOVEA_LINE) { fovea::machine->hopper.arrive(barrier, 0, {file, line}); }
inline void arriveExpecting(u32 barrier, u32 bytes, FOVEA_LINE) { fovea::machine->hopper.arrive(barrier, bytes, {file, line}); }
inline void await(u32 barrier, u32 parity, FOVEA_LINE) { fovea::machine->hopper.await(barrier, parity, {file, line}); }

inline void prefetchMap(const TensorMap &) {}
inline void copyBox(u32 to, const TensorMap &map, i32 x, i32 y, u32 barrier, FOVEA_LINE) {
  const i32 at[5] = {x, y, 0, 0, 0};
  fovea::machine->hopper.copy(to, map.opaque, 2, at, nullptr, barrier, {file, line});
}
inline void copyBox(u32 to, const TensorMap &map, i32 x, i32 y, i32 z, u32 barrier, FOVEA_LINE) {
  const i32 at[5] = {x, y, z, 0, 0};
  fovea::machine->hopper.copy(to, map.opaque, 3, at, nullptr, barrier, {file, line});
}
inline void copyWindows(u32 to, const TensorMap &map, i32 c, i32 w, i32 h, i32 image, u16 right, u16 down, u32 barrier, FOVEA_LINE) {
  const i32 at[5] = {c, w, h, image, 0};
  const u16 tap[2] = {right, down};
  fovea::machine->hopper.copy(to, map.opaque, 4, at, tap, barrier, {file, line});
}

template <i32 Id, i32 Threads> inline void meet(FOVEA_LINE) { fovea::machine->barrier(Id, Threads, false, {file, line}); }

template <i32 Count> inline void giveRegisters() {}
template <i32 Count> inline void takeRegisters() {}

inline void beginProducts() { fovea::machine->hopper.beginProducts(); }
inline void commitProducts() { fovea::machine->hopper.commitProducts(); }
template <i32 Pending> inline void waitProducts(FOVEA_LINE) { fovea::machine->hopper.waitProducts(Pending, {file, line}); }
inline void fenceSums(float (&)[16][4]) {}

template <class Type> struct GroupProduct;
template <> struct GroupProduct<Half> { static constexpr bool bfloat16 = false; };
template <> struct GroupProduct<Bfloat16> { static constexpr bool bfloat16 = true; };
template <class Type, bool LeftRows, bool RightRows>
inline void multiplyAdd64x128x16(float (&sum)[16][4], u64 left, u64 right, i32 add, FOVEA_LINE) {
  const fovea::GroupProduct product = {&sum[0][0], left, right, add != 0, GroupProduct<Type>::bfloat16, LeftRows, RightRows};
  fovea::machine->hopper.product(product, {file, line});
}
#undef FOVEA_LINE
