// Stacks between which one thread of the machine changes by hand.
#pragma once
#include <cstddef>
#include <vector>

namespace fovea {

/** A stack, and where what runs on it was left. */
struct Fiber {
  char *memory = nullptr;
  void *left = nullptr;
};

/** The stacks of a block's threads, kept for the next. Below each lies a page that cannot be touched. */
class Fibers {
  std::vector<Fiber *> free_;
  void *home_ = nullptr;

public:
  /** Bytes a stack: kernels keep their tiles of sums on it. */
  static constexpr std::size_t stackBytes = 128 << 10;

  /** A fiber that begins with `start` when it is first entered; `start` must not return. */
  Fiber *take(void (*start)());
  void give(Fiber *fiber) { free_.push_back(fiber); }
  /** Runs the fiber until it leaves. */
  void enter(Fiber *fiber);
  /** From within a fiber: goes back to who entered it. */
  void leave(Fiber *fiber);
};

}  // namespace fovea
