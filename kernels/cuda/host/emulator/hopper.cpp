// Hopper's rung in software: mbarriers with their phases, the copy engine (TMA: boxes and windows, 128-byte swizzle) and products of a
// warpgroup (wgmma) from descriptors. What is asked for comes as late as it can: copies when no thread can go on, products when they are
// waited for; until then places and sums hold NaN.
// Source: PTX ISA, "mbarrier", "Tensors", "Asynchronous Warpgroup Level Matrix Instructions"; CUDA Driver API, "Tensor Map Object Management".
#include <algorithm>
#include <cstring>
#include <map>
#include "block.h"
#include "halves.h"

namespace fovea {

namespace {

/** What lies in the 128 bytes of a map. */
struct Map {
  u64 address, strides[4];
  std::uint32_t magic, rank, elementBytes, lengths[5], box[5];
  std::uint16_t channels, pixels;
  std::int8_t lower[3], upper[3];
  bool windows;
};
static_assert(sizeof(Map) <= 128);
constexpr std::uint32_t mapMagic = 0x50414d54;

struct Phases {
  int wanted, missing;
  long long bytes;
  unsigned phase;
  int maker;
  bool published;
  /** What those knew who came to the phase that is under way, and to the last that ended. */
  std::uint32_t coming[maxWarps], ended[maxWarps];
};

struct Copy {
  unsigned to, barrier;
  Map map;
  int at[5];
  unsigned short tap[2];
  std::uint32_t count;
  int warp;
  Place place;
};

std::map<unsigned, Phases> phases;
std::vector<Copy> copies;
/** Threads of each warpgroup that have come to wait for products. */
int groupArrived[maxThreads / 128];

Thread &self() { return running.threads[running.current]; }
Warp &ownWarp() { return running.warps[warpOf(running.current)]; }

Phases &phasesAt(unsigned barrier, Place place) {
  const auto found = phases.find(barrier);
  if (found == phases.end()) fail(place, "there is no mbarrier at address %u of shared memory", barrier);
  return found->second;
}

void checkPlace(unsigned at, unsigned bytes, unsigned alignment, const char *what, Place place) {
  if (at % alignment != 0) fail(place, "%s at address %u of shared memory, which is no multiple of %u", what, at, alignment);
  if (at + bytes > sharedUsed()) fail(place, "%s at address %u of shared memory takes %u bytes, and the block has %u", what, at, bytes, sharedUsed());
}

void endPhase(Phases &barrier) {
  if (barrier.missing > 0 || barrier.bytes != 0) return;
  barrier.phase++;
  barrier.missing = barrier.wanted;
  std::memcpy(barrier.ended, barrier.coming, sizeof barrier.ended);
  std::memset(barrier.coming, 0, sizeof barrier.coming);
  // Who waits looks again.
  for (int t = 0; t < running.count; t++) {
    Thread &thread = running.threads[t];
    if (thread.state == State::waiting && thread.mine == &barrier) thread.state = State::ready;
  }
}

unsigned addressOf(const void *at) { return static_cast<unsigned>(static_cast<const unsigned char *>(at) - sharedMemory()); }

void initBarrier(unsigned at, unsigned arrivals, Place place) {
  checkPlace(at, 8, 8, "an mbarrier", place);
  touchBytes(sharedMemory() + at, 8, writing, false, "an mbarrier", place);
  phases[at] = {static_cast<int>(arrivals), static_cast<int>(arrivals), 0, 0, running.current, false, {}, {}};
}

void publishBarriers() {
  for (auto &[at, barrier] : phases) if (barrier.maker == running.current) barrier.published = true;
}

void arrive(unsigned at, unsigned bytes, Place place) {
  Phases &barrier = phasesAt(at, place);
  if (barrier.missing == 0) fail(place, "more arrivals at the mbarrier than the %d it is made for", barrier.wanted);
  joinKnown(ownWarp().known, barrier.coming);
  ownWarp().known[warpOf(running.current)]++;
  barrier.missing--;
  barrier.bytes += bytes;
  endPhase(barrier);
}

void await(unsigned at, unsigned parity, Place place) {
  Phases &barrier = phasesAt(at, place);
  while ((barrier.phase & 1) == (parity & 1)) {
    self().mine = &barrier;
    wait(parity & 1 ? "an mbarrier of parity 1" : "an mbarrier of parity 0", place);
  }
  self().mine = nullptr;
  joinKnown(barrier.ended, ownWarp().known);
}

/** Bytes that a copy brings. */
unsigned bytesOf(const Map &map) {
  unsigned elements = map.windows ? static_cast<unsigned>(map.channels) * map.pixels : 1;
  for (unsigned d = 0; !map.windows && d < map.rank; d++) elements *= map.box[d];
  return elements * map.elementBytes;
}

void copy(unsigned to, const void *given, int rank, const int *at, const unsigned short *tap, unsigned barrier, Place place) {
  Copy made = {};
  std::memcpy(&made.map, given, sizeof made.map);
  const Map &map = made.map;
  if (map.magic != mapMagic) fail(place, "a copy by a map that is none");
  if (static_cast<int>(map.rank) != rank || map.windows != (tap != nullptr)) {
    fail(place, "a copy of %s of rank %d, by a map of %s of rank %u", tap ? "windows" : "a box", rank, map.windows ? "windows" : "boxes", map.rank);
  }
  // By the swizzle's pattern lines of 128 bytes begin at multiples of it, eights of them at multiples of 1024.
  checkPlace(to, bytesOf(map), 1024, "a copy", place);
  if (!phasesAt(barrier, place).published) fail(place, "a copy tells an mbarrier that was not published to the copy engine");
  made.to = to;
  made.barrier = barrier;
  std::copy_n(at, 5, made.at);
  if (tap != nullptr) std::copy_n(tap, 2, made.tap);
  touchBytes(sharedMemory() + to, bytesOf(map), writing, true, "memory of a copy", place);
  std::memset(sharedMemory() + to, 0xff, bytesOf(map));
  made.warp = warpOf(running.current);
  made.count = ownWarp().known[made.warp];
  made.place = place;
  copies.push_back(made);
}

/** A line of the inner dimension's elements, those outside of the value zero; `at` are all coordinates. */
bool readLine(const Map &map, const long long *at, unsigned elements, unsigned char *line) {
  std::memset(line, 0, elements * map.elementBytes);
  u64 address = map.address;
  for (unsigned d = 1; d < map.rank; d++) {
    if (at[d] < 0 || at[d] >= map.lengths[d]) return true;
    address += static_cast<u64>(at[d]) * map.strides[d - 1];
  }
  for (unsigned e = 0; e < elements; e++) {
    const long long x = at[0] + e;
    if (x < 0 || x >= map.lengths[0]) continue;
    const u64 from = address + static_cast<u64>(x) * map.elementBytes;
    if (!isAllocated(from, map.elementBytes)) return false;
    std::memcpy(line + e * map.elementBytes, reinterpret_cast<const void *>(from), map.elementBytes);
  }
  return true;
}

/** Line `index` of a copy in the order in which they are written. */
void coordinates(const Copy &made, unsigned index, long long *at) {
  const Map &map = made.map;
  for (int d = 0; d < 5; d++) at[d] = made.at[d];
  if (!map.windows) {
    for (unsigned d = 1; d < map.rank; d++) {
      at[d] += index % map.box[d];
      index /= map.box[d];
    }
    return;
  }
  // Pixels follow each other within the bounds of first pixels, then each is moved by the tap.
  for (unsigned d = 1; d + 1 < map.rank; d++) {
    const long long first = map.lower[d - 1], count = static_cast<long long>(map.lengths[d]) + map.upper[d - 1] - first;
    const long long place = at[d] - first + index;
    at[d] = first + place % count;
    index = static_cast<unsigned>(place / count);
  }
  at[map.rank - 1] += index;
  for (unsigned d = 1; d + 1 < map.rank; d++) at[d] += made.tap[d - 1];
}

/** Where the 128-byte swizzle puts the byte that would lie at an address. */
unsigned swizzled(unsigned at) { return at ^ ((at >> 7 & 7) << 4); }

}  // namespace

bool landCopy() {
  if (copies.empty()) return false;
  // Not in the order in which they were asked for.
  const std::size_t which = running.phase++ % copies.size();
  const Copy made = copies[which];
  copies.erase(copies.begin() + static_cast<std::ptrdiff_t>(which));
  const Map &map = made.map;
  const unsigned elements = map.windows ? map.channels : map.box[0], lineBytes = elements * map.elementBytes;
  unsigned char line[256 * 8];
  for (unsigned i = 0; i * lineBytes < bytesOf(map); i++) {
    long long at[5];
    coordinates(made, i, at);
    if (!readLine(map, at, elements, line)) {
      running.error = std::string("kernel ") + running.launch.kernel->name + ": the copy engine reads what is not allocated";
      return true;
    }
    for (unsigned byte = 0; byte < lineBytes; byte += 16) {
      std::memcpy(sharedMemory() + swizzled(made.to + i * lineBytes + byte), line + byte, 16);
    }
  }
  landed(sharedMemory() + made.to, bytesOf(map));
  Phases &barrier = phases[made.barrier];
  barrier.bytes -= bytesOf(map);
  barrier.coming[made.warp] = std::max(barrier.coming[made.warp], made.count);
  endPhase(barrier);
  return true;
}

std::string underWay() {
  if (!copies.empty()) return "all threads have ended with " + std::to_string(copies.size()) + " copies under way";
  for (int t = 0; t < running.count; t++) {
    if (!running.threads[t].products.empty()) return threadName(t) + " has ended with products under way";
  }
  return "";
}

std::string encodeMap(void *target, const MapRequest &r) {
  static const unsigned sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
  Map map = {};
  if (r.type < 0 || r.type > 9 || r.rank < (r.box ? 1u : 3u) || r.rank > 5) return "a tensor map's type or rank";
  map.magic = mapMagic;
  map.rank = r.rank;
  map.elementBytes = sizes[r.type];
  map.address = r.address;
  map.windows = r.box == nullptr;
  if (r.address % 16 != 0) return "a tensor map's address is no multiple of 16";
  if (r.interleave != 0 || r.swizzle != 3) return "only maps without interleaving and with the 128-byte swizzle are modelled";
  for (unsigned d = 0; d < r.rank; d++) {
    if (r.lengths[d] == 0 || r.lengths[d] > 0xffffffffull) return "a tensor map's length is not within 1 to 2^32";
    if (r.elementStrides[d] != 1) return "only maps of all elements are modelled";
    map.lengths[d] = static_cast<std::uint32_t>(r.lengths[d]);
    if (d > 0 && (r.strides[d - 1] % 16 != 0 || r.strides[d - 1] >= 1ull << 40)) return "a tensor map's stride is no multiple of 16 below 2^40";
    if (d > 0) map.strides[d - 1] = r.strides[d - 1];
    if (r.box && (r.box[d] == 0 || r.box[d] > 256)) return "a tensor map's box is not within 1 to 256";
    if (r.box) map.box[d] = r.box[d];
  }
  if (map.windows) {
    if (r.channels == 0 || r.channels > 256 || r.pixels == 0 || r.pixels > 1024) return "a tensor map has 256 channels and 1024 pixels at most";
    map.channels = static_cast<std::uint16_t>(r.channels);
    map.pixels = static_cast<std::uint16_t>(r.pixels);
    const int least = r.rank == 3 ? -32768 : r.rank == 4 ? -128 : -16;
    for (unsigned d = 0; d + 2 < r.rank; d++) {
      if (r.lower[d] < std::max(least, -128) || r.upper[d] < std::max(least, -128) || r.lower[d] > -least - 1 || r.upper[d] > -least - 1) return "a tensor map's corner";
      map.lower[d] = static_cast<std::int8_t>(r.lower[d]);
      map.upper[d] = static_cast<std::int8_t>(r.upper[d]);
      if (static_cast<long long>(map.lengths[d + 1]) + map.upper[d] <= map.lower[d]) return "a tensor map without windows";
    }
  }
  if ((map.windows ? map.channels : map.box[0]) * map.elementBytes != 128) return "only lines of 128 bytes are modelled";
  std::memset(target, 0, 128);
  std::memcpy(target, &map, sizeof map);
  return "";
}

namespace {

void beginProducts() { self().productsBegun = true; }
void commitProducts() { self().productGroup++; }

void product(float *sum, u64 left, u64 right, bool add, bool bfloat16, Place place) {
  Thread &thread = self();
  if (!thread.productsBegun) fail(place, "a product without wgmma.fence ahead of it");
  auto sums = std::find_if(thread.sums.begin(), thread.sums.end(), [&](const SumsUnderWay &s) { return s.at == sum; });
  if (sums == thread.sums.end()) {
    sums = thread.sums.insert(sums, {sum, {}, 0});
    std::copy_n(sum, 64, sums->value);
    std::fill_n(sum, 64, __builtin_nanf(""));
  }
  sums->products++;
  thread.products.push_back({sum, left, right, add, bfloat16, thread.productGroup});
}

/** Rows of 16 terms by a descriptor. */
void readOperand(u64 descriptor, int rows, bool bfloat16, float *values, Place place) {
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) fail(place, "a descriptor of another layout than the 128-byte swizzle without offset");
  const unsigned start = static_cast<unsigned>(descriptor & 0x3fff) << 4, stride = static_cast<unsigned>(descriptor >> 32 & 0x3fff) << 4;
  for (int row = 0; row < rows; row++) {
    for (int piece = 0; piece < 2; piece++) {
      const unsigned at = swizzled(start + row % 8 * 128 + row / 8 * stride + piece * 16);
      checkPlace(at, 16, 16, "an operand of a product", place);
      touchBytes(sharedMemory() + at, 16, reading, false, "memory of an operand", place);
      for (int e = 0; e < 8; e++) {
        u16 bits;
        std::memcpy(&bits, sharedMemory() + at + 2 * e, 2);
        values[row * 16 + piece * 8 + e] = bfloat16 ? toFloat(Bfloat16{bits}) : toFloat(Half{bits});
      }
    }
  }
}

/** The first product under way of a warpgroup, whose first thread is `first`, for all of its threads. */
void finish(int first, Place place) {
  const GroupProduct p = running.threads[first].products.front();
  float a[64 * 16], b[128 * 16];
  readOperand(p.left, 64, p.bfloat16, a, place);
  readOperand(p.right, 128, p.bfloat16, b, place);
  for (int t = 0; t < 128; t++) {
    Thread &thread = running.threads[first + t];
    const GroupProduct own = thread.products.front();
    if (own.left != p.left || own.right != p.right || own.add != p.add || own.bfloat16 != p.bfloat16) {
      fail(place, "threads %d and %d of a warpgroup ask for different products", first, first + t);
    }
    const auto sums = std::find_if(thread.sums.begin(), thread.sums.end(), [&](const SumsUnderWay &s) { return s.at == own.sum; });
    for (int i = 0; i < 64; i++) {
      // PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16": fragments of eight columns, rows of two threads' fours.
      const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
      double all = p.add ? sums->value[i] : 0.0;
      for (int k = 0; k < 16; k++) all += static_cast<double>(a[row * 16 + k]) * b[column * 16 + k];
      sums->value[i] = truncated(all);
    }
    thread.products.erase(thread.products.begin());
    if (--sums->products > 0) continue;
    std::copy_n(sums->value, 64, own.sum);
    thread.sums.erase(sums);
  }
}

void waitProducts(int pending, Place place) {
  const int group = running.current / 128, first = group * 128;
  if (first + 128 > running.count) fail(place, "wgmma in a warpgroup of less than 128 threads");
  if (++groupArrived[group] < 128) {
    // Found by `groupArrived`; the last to come wakes all.
    self().mine = &groupArrived[group];
    wait("wgmma.wait_group", place);
    return;
  }
  groupArrived[group] = 0;
  while (!running.threads[first].products.empty() && running.threads[first].products.front().group < running.threads[first].productGroup - pending) {
    for (int t = 0; t < 128; t++) {
      if (running.threads[first + t].products.empty()) fail(place, "thread %d has asked for fewer products than thread %d", first + t, first);
    }
    finish(first, place);
  }
  for (int t = 0; t < 128; t++) {
    Thread &thread = running.threads[first + t];
    thread.productsBegun = false;
    thread.mine = nullptr;
    if (first + t != running.current) thread.state = State::ready;
  }
}

}  // namespace

void beginHopper() {
  phases.clear();
  copies.clear();
  std::fill(std::begin(groupArrived), std::end(groupArrived), 0);
}

HopperMachine hopperMachine() {
  return {addressOf, initBarrier, publishBarriers, arrive, await, copy, beginProducts, product, commitProducts, waitProducts};
}

}  // namespace fovea
