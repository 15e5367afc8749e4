// How the two operands of a product lie in shared memory, a panel of STEPS terms of the sum each, and which thread brings what.
//
// The launch defines ROWS x COLUMNS, the results of a block; STEPS; DOWN x ACROSS, the owners among whom results are divided (threads, or
// warps where MATH multiplies matrices: 0 = multiply-adds of float, 1 = TF32, 2 = 16-bit operands); ASYNC and STAGES (lib/product.cuh); BLOCKS, which a
// multiprocessor should have room for at once: registers are dealt out by it.
//
// In memory elements lie by rows, where neighbours are terms of one sum, or by steps, where they belong to neighbouring rows (columns, for
// the right operand). Panels for matrix units keep that order; those for multiply-adds are always by steps, so that a thread reads four rows of
// one step at once. Lines are padded so that what a warp reads or writes at a time falls on different banks, or two at most on one.
#pragma once
#include "lib/tile.cuh"

#define THREADS (DOWN * ACROSS * (MATH == 0 ? 1 : 32))

/** Threads of a block, all of which have results. */
struct AllThreads {
  static constexpr i32 threads = THREADS;
  static DEVICE i32 thread() { return threadIdx.x; }
  static DEVICE void sync() { __syncthreads(); }
};

/** Type as which a panel keeps elements of a storage type: multiply-adds take float. */
template <class Type> struct InPanel {
#if MATH == 2
  typedef Type Element;
#else
  typedef float Element;
#endif
};

/** One operand's panel, of so many rows or columns, filled with Width elements at a time. */
template <bool ByRows, i32 Extent, i32 Width, class Type> struct Panel {
  typedef typename InPanel<Type>::Element Element;
  static constexpr bool byRows = ByRows, keepsOrder = MATH != 0 || !ByRows;
  static constexpr i32 width = Width, parts = (ByRows ? STEPS : Extent) / Width, atOnce = THREADS / parts, loads = (ByRows ? Extent : STEPS) / atOnce;
  static constexpr i32 pitch = keepsOrder && ByRows ? STEPS + 16 / static_cast<i32>(sizeof(Element)) : Extent + (MATH == 0 ? 4 : 8);
  static constexpr i32 size = pitch * (keepsOrder && ByRows ? Extent : STEPS);
  static_assert(THREADS % parts == 0 && (ByRows ? Extent : STEPS) % atOnce == 0, "threads and panel do not go together");

  /** The line of memory of this thread's i-th vector, and where in it all of its vectors begin. */
  static DEVICE i32 line(i32 i) { return threadIdx.x / parts + i * atOnce; }
  static DEVICE i32 part() { return threadIdx.x % parts * Width; }
  /** Where the i-th vector begins in the panel, and how far apart its elements lie there. */
  static DEVICE i32 place(i32 i) { return keepsOrder ? line(i) * pitch + part() : part() * pitch + line(i); }
  static constexpr i32 apart = keepsOrder ? 1 : pitch;
};
