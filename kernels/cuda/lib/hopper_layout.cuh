// Layouts of Hopper's copy engine and matrix units as plain arithmetic, which test/device/cuda-hopper.test.ts holds to a model of them on a machine
// without one. Stands on the names of integers (lib/types.cuh) and on DEVICE alone (lib/fovea.cuh, which is to be included before).
#pragma once

/**
 * Where the byte at `offset` of a panel goes that the copy engine writes with the 128-byte swizzle: within groups of 8 lines of 128 bytes, the
 * 16-byte pieces of line r change places by exclusive or with r. Panels begin at multiples of 1024.
 */
DEVICE u32 swizzled128(u32 offset) { return offset ^ ((offset >> 7 & 7u) << 4); }

/**
 * An operand of wgmma in a panel of lines of 128 bytes, 64 terms of 16 bits. ByRows (K-major): a line has the terms of one row (column, for the
 * right operand), so rows lie 128 bytes apart. Else (MN-major, by steps): a line has one term of 64 rows, and behind all terms of these come the
 * next 64 rows. Either way 64 rows take 64 lines.
 *
 * A descriptor is the address in units of 16 bytes (bits 0 to 13), the leading offset (16 to 29), the stride offset (32 to 45), both in such
 * units, and the swizzle (62 and 63), which is applied to the sum of all. By rows the stride is from eight rows to the next eight, and the leading
 * offset is not used, taken for 1. By steps the stride is from eight terms to the next eight, the leading offset from 64 rows to the next 64.
 * Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout": "Strides", "Canonical Layouts", "Matrix Descriptor Format".
 */
template <bool ByRows> struct Operand {
  /** What moves a descriptor by 16 terms: along a line, or by 16 lines. */
  static constexpr u32 step = (ByRows ? 32 : 16 * 128) >> 4;

  static DEVICE u64 descriptor(u32 address) {
    constexpr u64 leading = ByRows ? 1 : 64 * 128 >> 4, stride = 1024 >> 4, swizzle = 1;
    return static_cast<u64>(address >> 4 & 0x3fffu) | leading << 16 | stride << 32 | swizzle << 62;
  }
};
/** What moves a descriptor by 64 rows. */
constexpr u32 rows64 = 64 * 128 >> 4;

/** Where a thread's results of m64nNk16 lie: element e of fragment j of 8 columns. */
DEVICE i32 resultRow(i32 thread, i32 e) { return thread % 128 / 32 * 16 + thread % 32 / 4 + e / 2 * 8; }
DEVICE i32 resultColumn(i32 thread, i32 j, i32 e) { return 8 * j + thread % 4 * 2 + e % 2; }

/**
 * A place in a ring of `Stages` buffers and the parity of the round. Who fills waits for the empty barrier's phase before (parity ^ 1, which a
 * new barrier has), who reads for the full barrier's own.
 */
template <i32 Stages> struct Ring {
  i32 stage = 0;
  u32 parity = 0;
  DEVICE void advance() {
    stage++;
    if (stage < Stages) return;
    stage = 0;
    parity ^= 1u;
  }
};
