// The host's twins of lib/async_copy.cuh: what is copied comes when it is waited for, until when its place holds NaN.
#pragma once

template <i32 Bytes, class Type>
inline void copyAsync(const SharedSpan<Type> &to, const fovea::Index &i, const Span<const Type> &from, i64 j, i32 sourceBytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "cp.async moves 4, 8 or 16 bytes");
  struct alignas(Bytes) Moved { unsigned char bytes[Bytes]; };
  if (sourceBytes < 0 || sourceBytes > Bytes) fovea::machine->fail(i.place, "cp.async reads %d of %d bytes", sourceBytes, Bytes);
  fovea::check<Type, Moved>(to.data, to.bytes, i, to.name);
  if (sourceBytes > 0) {
    const u64 count = from.bytes / sizeof(Type), at = static_cast<u64>(j);
    if (at >= count || (count - at) * sizeof(Type) < static_cast<u64>(sourceBytes)) {
      fovea::machine->fail(i.place, "cp.async of %d bytes from index %lld of %s, which has %llu elements of %d bytes", sourceBytes, j,
                           fovea::machine->spanName(from.data), count, static_cast<int>(sizeof(Type)));
    }
  }
  // The address must be aligned even where nothing is read.
  if (reinterpret_cast<u64>(from.data + j) % Bytes != 0) fovea::machine->fail(i.place, "cp.async from index %lld, not aligned to %d bytes", j, Bytes);
  fovea::machine->copyAsync(to.data + i.at, from.data + j, Bytes, sourceBytes, to.name, i.place);
}

inline void commitCopies() { fovea::machine->commitCopies(); }
template <i32 Pending> inline void waitCopies() { fovea::machine->waitCopies(Pending, FOVEA_HERE); }
