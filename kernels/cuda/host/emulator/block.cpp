// Runs a launch: block after block in a shuffled order, so that one which needs another is found out, and within a block thread after
// thread, each until it waits. At every barrier the order of threads alternates: forward, backward, shuffled.
//
// Reported, as the text that the launch returns: an index outside of what it indexes, a vector that is not aligned, threads that wait
// where the others never come, two threads at one place of shared memory without a barrier between, a cp.async that was not waited for.
#include "block.h"
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace fovea {

Block running;

static std::string text(Dim3 v) { return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")"; }

static std::string lineOf(Place place) {
  const char *const slash = std::strrchr(place.file, '/');
  return std::string(slash ? slash + 1 : place.file) + ":" + std::to_string(place.line);
}

std::string threadName(int thread) { return "thread " + std::to_string(thread); }

/** Ends the launch: the other threads are left where they are. */
[[noreturn]] static void abandon(const std::string &what) {
  if (running.error.empty()) running.error = what;
  running.fibers.leave(running.threads[running.current].fiber);
  __builtin_unreachable();
}

void fail(Place place, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  abandon("kernel " + std::string(running.launch.kernel->name) + ", block " + text(running.machine.block) + ", " +
          threadName(running.current) + ", " + lineOf(place) + ": " + message);
}

static void runThread() {
  running.launch.kernel->run(running.launch.arguments);
  running.threads[running.current].state = State::ended;
  running.fibers.leave(running.threads[running.current].fiber);
}

void wait(const char *what, Place place) {
  Thread &thread = running.threads[running.current];
  thread.state = State::waiting;
  thread.what = what;
  thread.place = place;
  running.fibers.leave(thread.fiber);
}

/** i of n in another order, for each seed one; n's factors and the step's have none in common. */
class Order {
  unsigned n_, step_, first_;
  static unsigned divisor(unsigned a, unsigned b) { return b == 0 ? a : divisor(b, a % b); }

public:
  Order(unsigned n, unsigned seed) : n_(n), step_(n / 2 + 1 + seed * 7919u % n), first_(seed * 104729u % n) {
    while (divisor(step_, n_) != 1) step_++;
  }
  unsigned at(unsigned i) const { return static_cast<unsigned>((first_ + static_cast<unsigned long long>(i) * step_) % n_); }
};

/** Threads that do the same, as `threads 0 to 31 and 64`, in front of what they do. */
static std::string whoWaits() {
  std::vector<std::pair<std::string, std::vector<int>>> groups;
  for (int t = 0; t < running.count; t++) {
    const Thread &thread = running.threads[t];
    const std::string doing = thread.state == State::ended ? "ended" : std::string("wait at ") + thread.what + " in " + lineOf(thread.place);
    auto group = groups.begin();
    while (group != groups.end() && group->first != doing) group++;
    if (group == groups.end()) group = groups.insert(group, {doing, {}});
    group->second.push_back(t);
  }
  std::string all;
  for (const auto &[doing, threads] : groups) {
    std::string ranges;
    for (std::size_t i = 0; i < threads.size();) {
      std::size_t end = i;
      while (end + 1 < threads.size() && threads[end + 1] == threads[end] + 1) end++;
      ranges += (i > 0 ? ", " : "") + std::to_string(threads[i]) + (end > i ? " to " + std::to_string(threads[end]) : "");
      i = end + 1;
    }
    all += (all.empty() ? "" : "; ") + std::string("threads ") + ranges + " " + doing;
  }
  return all;
}

static void run(int t) {
  Thread &thread = running.threads[t];
  running.current = t;
  running.machine.thread = {static_cast<unsigned>(t), 0, 0};
  if (thread.fiber == nullptr) thread.fiber = running.fibers.take(runThread);
  running.fibers.enter(thread.fiber);
  if (thread.state != State::ended) return;
  running.fibers.give(thread.fiber);
  thread.fiber = nullptr;
}

static void runBlock() {
  const int count = running.count;
  for (int t = 0; t < count; t++) {
    Thread &thread = running.threads[t];
    thread.fiber = nullptr;
    thread.state = State::ready;
    thread.copies.clear();
    thread.group = 0;
    thread.products.clear();
    thread.sums.clear();
    thread.productGroup = 0;
    thread.productsBegun = false;
    thread.barrier = -1;
    thread.mask = 0;
  }
  beginBarriers();
  beginShared();
  beginHopper();
  int ended = 0;
  while (ended < count && running.error.empty()) {
    bool any = false;
    const unsigned phase = running.phase;
    const Order shuffled(count, phase);
    for (int i = 0; i < count && running.error.empty() && running.phase == phase; i++) {
      const int t = phase % 3 == 0 ? i : phase % 3 == 1 ? count - 1 - i : static_cast<int>(shuffled.at(i));
      if (running.threads[t].state != State::ready) continue;
      any = true;
      run(t);
      if (running.threads[t].state == State::ended) ended++;
    }
    // Copies come as late as they can.
    if (any || !running.error.empty() || ended == count || landCopy()) continue;
    running.error = "kernel " + std::string(running.launch.kernel->name) + ", block " + text(running.machine.block) + ": deadlock: " + whoWaits();
  }
  if (running.error.empty() && !underWay().empty()) {
    running.error = "kernel " + std::string(running.launch.kernel->name) + ", block " + text(running.machine.block) + ": " + underWay();
  }
  // Of a block that was given up, threads are left in the middle.
  for (int t = 0; t < count; t++) if (running.threads[t].fiber != nullptr) running.fibers.give(running.threads[t].fiber);
}

static std::string refused(const Launch &launch) {
  const unsigned threads = launch.block.x * launch.block.y * launch.block.z;
  const std::string name = "kernel " + std::string(launch.kernel->name);
  if (launch.block.y != 1 || launch.block.z != 1) return name + ": blocks are of one dimension, not " + text(launch.block);
  if (threads == 0 || threads > launch.kernel->maxThreads || threads > static_cast<unsigned>(maxThreads)) {
    return name + ": a block of " + std::to_string(threads) + " threads, bounded to " + std::to_string(launch.kernel->maxThreads);
  }
  if (launch.grid.x == 0 || launch.grid.y == 0 || launch.grid.z == 0 || launch.grid.y > 65535 || launch.grid.z > 65535) {
    return name + ": a grid of " + text(launch.grid) + "; lengths are at least 1, along y and z at most 65535";
  }
  if (launch.dynamicBytes > maxShared) {
    return name + ": " + std::to_string(launch.dynamicBytes) + " bytes of dynamic shared memory; a block has " + std::to_string(maxShared);
  }
  return "";
}

static const char *spanName(const void *data) {
  static char name[32];
  const KernelEntry &kernel = *running.launch.kernel;
  for (unsigned s = 0; s < kernel.spans; s++) {
    const void *own;
    std::memcpy(&own, static_cast<const char *>(running.launch.arguments) + kernel.spanOffsets[s], sizeof own);
    if (own != data) continue;
    std::snprintf(name, sizeof name, "argument %u", kernel.spanParameters[s]);
    return name;
  }
  return "a Span";
}

void beginMachine() {
  Machine &m = running.machine;
  m.fail = fail;
  m.spanName = spanName;
  m.barrier = comeToBarrier;
  m.collective = collective;
  m.sharedArray = sharedArray;
  m.dynamicShared = dynamicShared;
  m.touchShared = touchShared;
  m.copyAsync = copyAsync;
  m.commitCopies = commitCopies;
  m.waitCopies = waitCopies;
  m.syncWarp = syncWarp;
  m.shuffle = shuffle;
  m.vote = vote;
  m.halfProduct = halfProduct;
  m.bfloat16Product = bfloat16Product;
  m.tf32Product = tf32Product;
  m.loadMatrices = loadMatrices;
  m.hopper = hopperMachine();
}

/** Launches run one after another. */
static std::mutex one;
/** Launches since a device was opened last: by it the order of blocks alternates. */
static unsigned launches;

void beginOrders() {
  const std::lock_guard<std::mutex> guard(one);
  launches = running.phase = 0;
}

std::string runLaunch(const Launch &launch) {
  const std::lock_guard<std::mutex> guard(one);
  std::string error = refused(launch);
  if (!error.empty()) return error;
  running.launch = launch;
  running.count = static_cast<int>(launch.block.x);
  running.machine.blockSize = launch.block;
  running.machine.gridSize = launch.grid;
  running.error.clear();
  const unsigned blocks = launch.grid.x * launch.grid.y * launch.grid.z;
  const Order shuffled(blocks, ++launches);
  for (unsigned i = 0; i < blocks && running.error.empty(); i++) {
    const unsigned at = shuffled.at(i);
    running.machine.block = {at % launch.grid.x, at / launch.grid.x % launch.grid.y, at / launch.grid.x / launch.grid.y};
    running.phase++;
    runBlock();
  }
  return running.error;
}

}  // namespace fovea
