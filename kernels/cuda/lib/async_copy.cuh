// Copies from global into shared memory that go on beside the thread that asked for them: cp.async (PTX ISA, "Data Movement and Conversion
// Instructions"; sm_80 and later). A thread commits what it has asked for as a group and waits until all but its latest N groups are
// there; that others see them takes a __syncthreads() besides.
#pragma once
#include "lib/fovea.cuh"

#ifdef FOVEA_HOST
#include "host/async_copy.h"
#else

/**
 * Copies Bytes (4, 8 or 16, the alignment of both sides) from element j of `from` to element i of `to`. Of these the first `sourceBytes` are
 * read and the rest filled with zero: with 0 nothing is read, and j may be anything.
 */
template <i32 Bytes, class Type>
DEVICE void copyAsync(const SharedSpan<Type> &to, i32 i, const Span<const Type> &from, i64 j, i32 sourceBytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "cp.async moves 4, 8 or 16 bytes");
  const u32 shared = static_cast<u32>(__cvta_generic_to_shared(to.data + i));
  const u64 global = __cvta_generic_to_global(from.data + j);
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(sourceBytes) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(global), "n"(Bytes), "r"(sourceBytes) : "memory");
  }
}

/** Makes a group of the copies that this thread asked for since the last. An empty group counts too. */
DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits until at most Pending of this thread's latest groups are still under way. */
template <i32 Pending> DEVICE void waitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

#endif
