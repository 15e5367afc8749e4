// The host's twins of lib/mma.cuh: computed by the emulator for a warp at once.
#pragma once

template <class Type> struct HalfProduct;
template <> struct HalfProduct<Half> {
  static fovea::Together *together() { return fovea::machine->halfProduct; }
  static u32 pair(float low, float high) { return halfOf(low).bits | static_cast<u32>(halfOf(high).bits) << 16; }
};
template <> struct HalfProduct<Bfloat16> {
  static fovea::Together *together() { return fovea::machine->bfloat16Product; }
  static u32 pair(float low, float high) { return bfloat16Of(low).bits | static_cast<u32>(bfloat16Of(high).bits) << 16; }
};

template <class Type>
inline void multiplyAdd16x8x16(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2], const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  fovea::Product own = {sum, a, b};
  fovea::machine->collective("mma.sync", ~0u, &own, HalfProduct<Type>::together(), {file, line});
}

template <class Type> inline u32 pairOf(float low, float high) { return HalfProduct<Type>::pair(low, high); }

inline void multiplyAdd16x8x8(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2], const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  fovea::Product own = {sum, a, b};
  fovea::machine->collective("mma.sync", ~0u, &own, fovea::machine->tf32Product, {file, line});
}

inline u32 tf32Of(float f) {
  const u32 bits = __float_as_uint(f);
  // Half of the last place is added to the magnitude; NaN and infinity stay.
  return (bits & 0x7f800000) == 0x7f800000 ? f != f ? 0x7fffffff : bits : (bits + 0x1000) & 0xffffe000;
}

namespace fovea {
template <i32 Count, class Type> inline void loadRows(const SharedSpan<Type> &panel, const Index &i, u32 (&m)[Count], bool transposed) {
  static_assert(Count == 1 || Count == 2 || Count == 4, "ldmatrix loads 1, 2 or 4 matrices");
  MatrixRows own = {nullptr, m, Count, transposed};
  // Only the first 8 Count lanes' rows are looked at.
  if (lane() < 8 * Count) {
    check<Type, uint4>(panel.data, panel.bytes, i, panel.name);
    machine->touchShared(panel.data + i.at, 16, reading, panel.name, i.place);
    own.row = reinterpret_cast<const unsigned char *>(panel.data + i.at);
  }
  machine->collective("ldmatrix", ~0u, &own, machine->loadMatrices, i.place);
}
}

template <i32 Count, class Type> inline void loadMatrices(const SharedSpan<Type> &panel, const fovea::Index &i, u32 (&m)[Count]) {
  fovea::loadRows(panel, i, m, false);
}
template <i32 Count, class Type> inline void loadMatricesTransposed(const SharedSpan<Type> &panel, const fovea::Index &i, u32 (&m)[Count]) {
  fovea::loadRows(panel, i, m, true);
}
