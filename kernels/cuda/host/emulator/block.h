// A block of threads as the emulator runs it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "../machine.h"
#include "fiber.h"

namespace fovea {

constexpr int maxThreads = 1024, maxWarps = 32, barriers = 16;

enum class State { ready, waiting, ended };

/** A copy that was asked for and is not waited for yet. */
struct AsyncCopy {
  unsigned char *to;
  unsigned char bytes[16];
  int length, group;
};

/** A product of a warpgroup that was asked for and is not waited for yet. */
struct ProductUnderWay {
  GroupProduct asked;
  int group;
};

/** Sums of a thread while products that add to them are under way: whoever looks at the registers then finds NaN. */
struct SumsUnderWay {
  float *at;
  float value[64];
  int products;
};

struct Thread {
  Fiber *fiber;
  State state;
  /** What it waits for: the name of a barrier or of what a warp does together, and for whom. */
  const char *what;
  Place place;
  int barrier;
  unsigned mask;
  void *mine;
  std::vector<AsyncCopy> copies;
  int group;
  std::vector<ProductUnderWay> products;
  std::vector<SumsUnderWay> sums;
  int productGroup;
  bool productsBegun;
};

struct Barrier {
  int arrived, wanted;
  bool named;
  /** What threads knew when they came (Warp::known), joined. */
  std::uint32_t known[maxWarps];
};

/**
 * When an access came, for the search for races: a warp counts the barriers behind it, and knows of each other warp the count up to
 * which it has been ordered with it. Among a warp's own lanes __syncwarp and barriers count (`step`).
 */
struct Warp {
  std::uint32_t known[maxWarps];
  std::uint32_t step;
};

struct Launch {
  const KernelEntry *kernel;
  Dim3 grid, block;
  unsigned dynamicBytes;
  const void *arguments;
};

/** Bytes of shared memory that a block may have, and of these declared statically. */
constexpr unsigned maxShared = 227 << 10, maxStaticShared = 48 << 10;

struct Block {
  Machine machine;
  Launch launch;
  Fibers fibers;
  Thread threads[maxThreads];
  Warp warps[maxWarps];
  Barrier barrier[barriers];
  int count, current;
  /** Barriers that blocks have passed since a device was opened last: by it the order of threads alternates. */
  unsigned phase;
  /** What warps' counts began above (Warp::known). */
  std::uint32_t base;
  std::string error;
};

/** The one block that is being run; launches run one after another. */
extern Block running;

inline int warpOf(int thread) { return thread / 32; }

/** Goes on with other threads until this one is ready again. */
void wait(const char *what, Place place);
[[noreturn]] void fail(Place place, const char *format, ...) __attribute__((format(printf, 2, 3)));
std::string threadName(int thread);

// shared.cpp
void beginShared();
void *sharedArray(const void *key, const char *name, unsigned bytes);
void *dynamicShared(unsigned *bytes);
void touchShared(const void *at, unsigned bytes, Access access, const char *name, Place place);
void copyAsync(void *to, const void *from, int bytes, int sourceBytes, const char *name, Place place);
void commitCopies();
void waitCopies(int pending, Place place);

/** The beginning of the block's shared memory, whose bytes are `sharedUsed`; addresses of Hopper's rung count from it. */
unsigned char *sharedMemory();
unsigned sharedUsed();
/** As an access by the current thread, with `pending` one that is under way from then on. */
void touchBytes(const void *at, unsigned bytes, Access access, bool pending, const char *name, Place place);
/** What was pending has come. */
void landed(const void *at, unsigned bytes);

// mbarrier.cpp, copy_engine.cpp
void beginHopper();
HopperMachine hopperMachine();
/** Has one of the copies that are under way come; false where there is none. */
bool landCopy();
/** Why the block may not end yet, or the empty string. */
std::string underWay();
/** What the driver writes into a map of the copy engine; returns what is wrong with it, or the empty string. */
struct MapRequest {
  int type;
  unsigned rank;
  std::uint64_t address;
  const std::uint64_t *lengths, *strides;
  /** Of a box; null for windows. */
  const unsigned *box;
  const int *lower, *upper;
  unsigned channels, pixels;
  const unsigned *elementStrides;
  int interleave, swizzle;
};
std::string encodeMap(void *map, const MapRequest &request);

// libcuda.cpp
/** Whether all these bytes are of one allocation. */
bool isAllocated(std::uint64_t address, std::uint64_t bytes);

// barrier.cpp
void beginBarriers();
void comeToBarrier(int id, int threads, bool arriveOnly, Place place);
void collective(const char *what, unsigned mask, void *mine, Together *together, Place place);
/** What all know after a barrier. */
void joinKnown(const std::uint32_t *from, std::uint32_t *into);

// warp.cpp, matrix.cpp
void syncWarp(void *const lanes[32]);
void shuffle(void *const lanes[32]);
void vote(void *const lanes[32]);
void halfProduct(void *const lanes[32]);
void bfloat16Product(void *const lanes[32]);
void tf32Product(void *const lanes[32]);
void loadMatrices(void *const lanes[32]);

/** Fills in what kernels call. */
void beginMachine();
/** Runs all blocks. Returns the empty string, or what went wrong. */
std::string runLaunch(const Launch &launch);

/**
 * Begins the orders of threads, blocks and copies anew, as each device that is opened does: what is found on it then does not depend on what others
 * ran before, of which the tuner's trials are as many as there was time for.
 */
void beginOrders();

}  // namespace fovea
