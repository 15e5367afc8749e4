// Hopper's own instructions (sm_90a): barriers that count bytes, copies by the copy engine (TMA) and products of a warpgroup (wgmma). The
// host's twins model layouts, swizzle, phases and what is under way (host/hopper.h).
// Source: PTX ISA, "mbarrier", "cp.async.bulk.tensor", "Asynchronous Warpgroup Level Matrix Instructions"; the order of fences as in CUTLASS's
// sm90 pipelines.
#pragma once
#include "lib/fovea.cuh"
#include "lib/hopper_layout.cuh"

#ifdef FOVEA_HOST
#include "host/hopper.h"
#else

/** What the driver makes of a launch's TensorMap (device/types.ts); a kernel takes it as `TENSOR_MAP name`. */
struct alignas(64) TensorMap { u8 opaque[128]; };
#define TENSOR_MAP const __grid_constant__ TensorMap

template <class Type> DEVICE u32 sharedAddress(const SharedSpan<Type> &span, i32 i) {
  return static_cast<u32>(__cvta_generic_to_shared(span.data + i));
}

// Barriers, told by their shared addresses.

DEVICE void initBarrier(u32 barrier, u32 arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory"); }
/** Lets the copy engine see barriers that this thread made. */
DEVICE void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;\n fence.proxy.async;" ::: "memory"); }
DEVICE void arrive(u32 barrier) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared::cta.b64 state, [%0]; }" ::"r"(barrier) : "memory");
}
/** Arrives, and has the phase end only when so many bytes have come besides. */
DEVICE void arriveExpecting(u32 barrier, u32 bytes) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1; }" ::"r"(barrier), "r"(bytes) : "memory");
}
/** Waits for the end of the barrier's phase of that parity. */
DEVICE void await(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra end;\n"
      "bra again;\n"
      "end:\n"
      "}" ::"r"(barrier), "r"(parity) : "memory");
}

// Copies into shared memory, of which the barrier is told.

DEVICE void prefetchMap(const TensorMap &map) { asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory"); }

/** A box of a matrix: x runs along its rows. */
DEVICE void copyBox(u32 to, const TensorMap &map, i32 x, i32 y, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(to), "l"(&map),
               "r"(barrier), "r"(x), "r"(y) : "memory");
}
DEVICE void copyBox(u32 to, const TensorMap &map, i32 x, i32 y, i32 z, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to), "l"(&map),
               "r"(barrier), "r"(x), "r"(y), "r"(z) : "memory");
}
/** Channels from c on of pixels that follow the window at (image, h, w), each at its tap (right, down). */
DEVICE void copyWindows(u32 to, const TensorMap &map, i32 c, i32 w, i32 h, i32 image, u16 right, u16 down, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(to),
               "l"(&map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(image), "h"(right), "h"(down) : "memory");
}

/** Waits for `Threads` threads of the block at barrier `Id`, of which __syncthreads() has number 0. */
template <i32 Id, i32 Threads> DEVICE void meet() { asm volatile("bar.sync %0, %1;" ::"n"(Id), "n"(Threads) : "memory"); }

// Registers go from those who copy to those who multiply.

template <i32 Count> DEVICE void giveRegisters() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count)); }
template <i32 Count> DEVICE void takeRegisters() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count)); }

// Products, by four warps together.

DEVICE void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <i32 Pending> DEVICE void waitProducts() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory"); }

/** Keeps what reads or writes sums on its side of the products that are under way: these are asm, of which the compiler knows nothing. */
DEVICE void fenceSums(float (&sum)[16][4]) {
  UNROLL for (i32 j = 0; j < 16; j++) {
    UNROLL for (i32 e = 0; e < 4; e++) asm volatile("" : "+f"(sum[j][e])::"memory");
  }
}

#define FOVEA_SUMS(j) "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3])
#define FOVEA_PRODUCT(types)                                                                                              \
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"                                                         \
               "wgmma.mma_async.sync.aligned.m64n128k16.f32." types " {"                                                  \
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                   \
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                         \
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                         \
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "                        \
               "%64, %65, add, 1, 1, %67, %68;\n}"                                                                        \
               : FOVEA_SUMS(0), FOVEA_SUMS(1), FOVEA_SUMS(2), FOVEA_SUMS(3), FOVEA_SUMS(4), FOVEA_SUMS(5), FOVEA_SUMS(6), \
                 FOVEA_SUMS(7), FOVEA_SUMS(8), FOVEA_SUMS(9), FOVEA_SUMS(10), FOVEA_SUMS(11), FOVEA_SUMS(12),             \
                 FOVEA_SUMS(13), FOVEA_SUMS(14), FOVEA_SUMS(15)                                                           \
               : "l"(left), "l"(right), "r"(add), "n"(LeftRows ? 0 : 1), "n"(RightRows ? 0 : 1))

template <class Type, bool LeftRows, bool RightRows> struct GroupProduct;
template <bool LeftRows, bool RightRows> struct GroupProduct<Bfloat16, LeftRows, RightRows> {
  static DEVICE void add(float (&sum)[16][4], u64 left, u64 right, i32 add) { FOVEA_PRODUCT("bf16.bf16"); }
};
template <bool LeftRows, bool RightRows> struct GroupProduct<Half, LeftRows, RightRows> {
  static DEVICE void add(float (&sum)[16][4], u64 left, u64 right, i32 add) { FOVEA_PRODUCT("f16.f16"); }
};
#undef FOVEA_PRODUCT
#undef FOVEA_SUMS

/** sum = A B, plus what it was where `add` is not 0: 64 x 16 by 16 x 128, each by rows or by steps, told by their descriptors. */
template <class Type, bool LeftRows, bool RightRows> DEVICE void multiplyAdd64x128x16(float (&sum)[16][4], u64 left, u64 right, i32 add) {
  GroupProduct<Type, LeftRows, RightRows>::add(sum, left, right, add);
}

#endif
