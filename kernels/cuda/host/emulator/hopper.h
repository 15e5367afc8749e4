// What the parts of Hopper's rung share: mbarrier.cpp, copy_engine.cpp, group_product.cpp.
// Source: PTX ISA, "mbarrier", "Tensors", "Asynchronous Warpgroup Level Matrix Instructions"; CUDA Driver API, "Tensor Map Object Management".
#pragma once
#include "block.h"

namespace fovea {

/** An mbarrier. */
struct Phases {
  int wanted, missing;
  long long bytes;
  unsigned phase;
  int maker;
  bool published;
  /** What those knew who came to the phase that is under way, and to the last that ended. */
  std::uint32_t coming[maxWarps], ended[maxWarps];
};

inline Thread &currentThread() { return running.threads[running.current]; }
inline Warp &currentWarp() { return running.warps[warpOf(running.current)]; }

/** The mbarrier at an address of shared memory. */
Phases &phasesAt(unsigned barrier, Place place);
/** Bytes of copies have come, of which a warp asked at its count `count`. */
void bringBytes(unsigned barrier, unsigned bytes, int warp, std::uint32_t count);
/** Fails where so many bytes from an address on are not aligned, or not the block's. */
void checkPlace(unsigned at, unsigned bytes, unsigned alignment, const char *what, Place place);

/** Where the 128-byte swizzle puts the byte that would lie at an address. */
inline unsigned swizzled(unsigned at) { return at ^ ((at >> 7 & 7) << 4); }

// copy_engine.cpp
void copy(unsigned to, const void *map, int rank, const int *at, const unsigned short *tap, unsigned barrier, Place place);
std::size_t copiesUnderWay();
void forgetCopies();

// group_product.cpp
void beginProducts();
void commitProducts();
void product(const GroupProduct &asked, Place place);
void waitProducts(int pending, Place place);
void forgetProducts();

}  // namespace fovea
