// Layouts of Hopper's copy engine and matrix units as plain arithmetic, which test/device/cuda-hopper.test.ts holds to a model of them on a machine
// without one. Stands on the names of integers and DEVICE alone (lib/fovea.cuh, which is to be included before).
#pragma once

/**
 * Where the byte at `offset` of a panel goes that the copy engine writes with the 128-byte swizzle: within groups of 8 lines of 128 bytes, the
 * 16-byte pieces of line r change places by exclusive or with r. Panels begin at multiples of 1024.
 */
DEVICE u32 swizzled128(u32 offset) { return offset ^ ((offset >> 7 & 7u) << 4); }

/**
 * What tells wgmma of an operand in shared memory, by rows with the 128-byte swizzle: the address in units of 16 bytes (bits 0 to 13), 1024
 * bytes from eight rows to the next eight (32 to 45, in units of 16), the swizzle (62 and 63). The address may begin 32 bytes further for
 * every 16 terms of a row; the swizzle is applied to the sum.
 * Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout".
 */
DEVICE u64 operandDescriptor(u32 address) {
  return static_cast<u64>(address >> 4 & 0x3fffu) | static_cast<u64>(1) << 16 | static_cast<u64>(1024 >> 4) << 32 | static_cast<u64>(1) << 62;
}

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
