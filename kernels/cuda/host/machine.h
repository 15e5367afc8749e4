// What a kernel built for the host and the emulator that runs it know of each other. The emulator (emulator/) is a library of its own, so
// that it is compiled once; a kernel's library is given a Machine when it is loaded and calls nothing else.
#pragma once

namespace fovea {

struct Dim3 { unsigned x, y, z; };

/** A line of a kernel, for messages. */
struct Place { const char *file; int line; };

/** What an access to shared memory does. */
enum Access : int { reading, writing };

/** What the lanes of a warp do together; `lanes` has a pointer for each that takes part, else null. */
typedef void Together(void *const lanes[32]);

/** A product of four warps together, sum[16][4] (+)= left right, 64 x 16 by 16 x 128, from descriptors of operands that lie by rows or by steps. */
struct GroupProduct {
  float *sum;
  unsigned long long left, right;
  bool add, bfloat16, leftRows, rightRows;
};

/** Of Hopper's rung (lib/hopper.cuh). Addresses are in shared memory. */
struct HopperMachine {
  unsigned (*addressOf)(const void *shared);
  void (*initBarrier)(unsigned barrier, unsigned arrivals, Place place);
  void (*publishBarriers)();
  /** With `bytes` the phase ends only when so many have come besides. */
  void (*arrive)(unsigned barrier, unsigned bytes, Place place);
  void (*await)(unsigned barrier, unsigned parity, Place place);
  /** Asks the copy engine for a box at the coordinates `at`, or with `tap` for windows. */
  void (*copy)(unsigned to, const void *map, int rank, const int *at, const unsigned short *tap, unsigned barrier, Place place);
  void (*beginProducts)();
  /** There when it is waited for. */
  void (*product)(const GroupProduct &product, Place place);
  void (*commitProducts)();
  void (*waitProducts)(int pending, Place place);
};

struct Machine {
  /** Of the thread that runs now. */
  Dim3 thread, block, blockSize, gridSize;

  /** Ends the launch with a message, which is put behind the kernel's, block's and thread's names. Does not return. */
  void (*fail)(Place place, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
  /** Which argument a Span is, for messages. */
  const char *(*spanName)(const void *data);
  /** Waits until `threads` threads have come to barrier `id`, or with `arriveOnly` counts as one of them; 0 threads: the whole block. */
  void (*barrier)(int id, int threads, bool arriveOnly, Place place);
  /** Waits for the lanes of `mask`, all in the same call; the last to come does `together` for all. */
  void (*collective)(const char *what, unsigned mask, void *mine, Together *together, Place place);
  /** An array of the block in shared memory, the same for all of its threads; `key` is an address of its own. */
  void *(*sharedArray)(const void *key, const char *name, unsigned bytes);
  void *(*dynamicShared)(unsigned *bytes);
  /** Looks for other threads' accesses that no barrier orders. */
  void (*touchShared)(const void *at, unsigned bytes, Access access, const char *name, Place place);
  void (*copyAsync)(void *to, const void *from, int bytes, int sourceBytes, const char *name, Place place);
  void (*commitCopies)();
  void (*waitCopies)(int pending, Place place);
  Together *syncWarp, *shuffle, *vote;
  Together *halfProduct, *bfloat16Product, *tf32Product;
  Together *loadMatrices;
  HopperMachine hopper;
};

/** One lane's part of a shuffle: words to give, the lane to take from, and what was taken. */
struct Shuffle { unsigned give[2]; int source; unsigned take[2]; };
struct Vote { bool predicate; unsigned ballot; };
/** One lane's fragments; sum += A B. */
struct Product { float *sum; const unsigned *a, *b; };
/** One lane's row of 16 bytes (null: it has none), and its part of `count` matrices. */
struct MatrixRows { const unsigned char *row; unsigned *parts; int count; bool transposed; };

/** What a kernel's library says of itself. */
struct KernelEntry {
  const char *name;
  /** As __launch_bounds__ has it. */
  unsigned maxThreads;
  unsigned argumentBytes;
  /** Where parameters that are Spans lie in the arguments: bytes from their beginning, and which parameters they are. */
  unsigned spans;
  const unsigned *spanOffsets, *spanParameters;
  /** Runs the machine's current thread. */
  void (*run)(const void *arguments);
};

/** The one symbol of a kernel's library, `fovea_kernel`. */
typedef const KernelEntry *KernelSymbol(const Machine *machine);

}  // namespace fovea
