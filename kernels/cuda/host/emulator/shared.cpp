// Shared memory: filled with NaN when a block begins, and the search for races. Each two bytes remember who wrote and who read them last;
// an access that no barrier orders with these by another thread is reported.
#include <cstring>
#include <memory>
#include "block.h"

namespace fovea {

namespace {

/** Where dynamic shared memory begins: no more aligned than CUDA says. */
constexpr unsigned dynamicStart = 128, space = maxShared + dynamicStart;

/** An access: who, when, and which of the two bytes. All zero: none. */
struct Stamp {
  std::uint32_t count, step;
  std::uint16_t thread;
  std::uint8_t bytes;
  bool pending;
  int line;
};

struct Cell { Stamp write, read, otherRead; };

struct Array { const void *key; const char *name; unsigned first, bytes; };

struct Shared {
  alignas(1024) unsigned char memory[space];
  Cell cells[space / 2];
  std::vector<Array> arrays;
  unsigned used;
};

std::unique_ptr<Shared> shared;

/** Whether all that the thread of the stamp did up to it lies before what the current thread does now. */
bool before(const Stamp &stamp) {
  const int warp = warpOf(stamp.thread), own = warpOf(running.current);
  if (stamp.thread == running.current) return true;
  if (warp == own) return stamp.step < running.warps[own].step;
  return stamp.count <= running.warps[own].known[warp];
}

Stamp now(unsigned bytes, bool pending, int line) {
  const Warp &warp = running.warps[warpOf(running.current)];
  return {warp.known[warpOf(running.current)], warp.step, static_cast<std::uint16_t>(running.current), static_cast<std::uint8_t>(bytes), pending, line};
}

[[noreturn]] void race(const Stamp &other, const char *did, const char *does, const char *name, Place place) {
  fail(place, "a race in shared %s: it %s what thread %d %s in line %d, with no barrier between", name, does, other.thread, did, other.line);
}

void touchCell(Cell &cell, const Stamp &stamp, Access access, const char *name, Place place) {
  const Stamp &write = cell.write;
  if (write.bytes & stamp.bytes) {
    if (write.pending && write.count > running.base) {
      fail(place, "it %s what thread %d copies to shared %s in line %d, which is not waited for",
           access == reading ? "reads" : "writes", write.thread, name, write.line);
    }
    if (!before(write)) race(write, "wrote", access == reading ? "reads" : "writes", name, place);
  }
  if (access == reading) {
    // Two readers of different warps are kept: a writer that one of them is not before is ordered with neither.
    if (cell.read.bytes == 0 || before(cell.read)) cell.read = stamp;
    else if (warpOf(cell.read.thread) != warpOf(stamp.thread) || cell.otherRead.bytes == 0) cell.otherRead = stamp;
    return;
  }
  if ((cell.read.bytes & stamp.bytes) && !before(cell.read)) race(cell.read, "read", "writes", name, place);
  if ((cell.otherRead.bytes & stamp.bytes) && !before(cell.otherRead)) race(cell.otherRead, "read", "writes", name, place);
  cell.write = stamp;
}

void touch(const void *at, unsigned bytes, Access access, bool pending, const char *name, Place place) {
  const unsigned first = static_cast<unsigned>(static_cast<const unsigned char *>(at) - shared->memory);
  if (bytes == 1) {
    touchCell(shared->cells[first / 2], now(1u << first % 2, pending, place.line), access, name, place);
    return;
  }
  const Stamp stamp = now(3, pending, place.line);
  for (unsigned i = first / 2; i < (first + bytes) / 2; i++) touchCell(shared->cells[i], stamp, access, name, place);
}

}  // namespace

void beginShared() {
  if (shared == nullptr) shared = std::make_unique<Shared>();
  shared->arrays.clear();
  std::memset(shared->memory + dynamicStart, 0xff, running.launch.dynamicBytes);
  shared->used = dynamicStart + running.launch.dynamicBytes;
}

void *dynamicShared(unsigned *bytes) {
  *bytes = running.launch.dynamicBytes;
  return shared->memory + dynamicStart;
}

void *sharedArray(const void *key, const char *name, unsigned bytes) {
  for (const Array &array : shared->arrays) if (array.key == key) return shared->memory + array.first;
  const unsigned first = (shared->used + 15) / 16 * 16;
  const unsigned statically = first + bytes - running.launch.dynamicBytes - dynamicStart;
  if (statically > maxStaticShared || first + bytes - dynamicStart > maxShared) {
    fail({"shared memory", 0}, "%u bytes with %s, of these %u static; a block has %u and %u", first + bytes - dynamicStart, name, statically, maxShared, maxStaticShared);
  }
  std::memset(shared->memory + first, 0xff, bytes);
  shared->arrays.push_back({key, name, first, bytes});
  shared->used = first + bytes;
  return shared->memory + first;
}

unsigned char *sharedMemory() { return shared->memory; }
unsigned sharedUsed() { return shared->used; }

void touchBytes(const void *at, unsigned bytes, Access access, bool pending, const char *name, Place place) {
  touch(at, bytes, access, pending, name, place);
}

void landed(const void *at, unsigned bytes) {
  const unsigned first = static_cast<unsigned>(static_cast<const unsigned char *>(at) - shared->memory);
  for (unsigned i = first / 2; i < (first + bytes) / 2; i++) shared->cells[i].write.pending = false;
}

void touchShared(const void *at, unsigned bytes, Access access, const char *name, Place place) { touch(at, bytes, access, false, name, place); }

void copyAsync(void *to, const void *from, int bytes, int sourceBytes, const char *name, Place place) {
  Thread &thread = running.threads[running.current];
  AsyncCopy copy = {static_cast<unsigned char *>(to), {}, bytes, thread.group};
  if (sourceBytes > 0) std::memcpy(copy.bytes, from, sourceBytes);
  touch(to, bytes, writing, true, name, place);
  // Until it is waited for the copy may have come or not.
  std::memset(to, 0xff, bytes);
  thread.copies.push_back(copy);
}

void commitCopies() { running.threads[running.current].group++; }

void waitCopies(int pending, Place) {
  Thread &thread = running.threads[running.current];
  std::vector<AsyncCopy> left;
  for (const AsyncCopy &copy : thread.copies) {
    if (copy.group >= thread.group - pending) {
      left.push_back(copy);
      continue;
    }
    std::memcpy(copy.to, copy.bytes, copy.length);
    const unsigned first = static_cast<unsigned>(copy.to - shared->memory);
    for (unsigned i = first / 2; i < (first + copy.length) / 2; i++) {
      // Others see it from the next barrier on.
      shared->cells[i].write = now(3, false, shared->cells[i].write.line);
    }
  }
  thread.copies.swap(left);
}

}  // namespace fovea
