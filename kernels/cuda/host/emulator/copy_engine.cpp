// Hopper's copy engine (TMA): boxes and windows by maps, written with the 128-byte swizzle. A copy comes as late as it can, when no thread can go
// on; until then its place holds NaN.
#include <algorithm>
#include <cstring>
#include "hopper.h"

namespace fovea {

namespace {

typedef std::uint64_t u64;

/** What lies in the 128 bytes of a map. */
struct Map {
  u64 address, strides[4];
  std::uint32_t magic, rank, elementBytes, lengths[5], box[5];
  std::uint16_t channels, pixels;
  std::int8_t lower[3], upper[3];
  std::uint8_t apart[3];
  bool windows;
};
static_assert(sizeof(Map) <= 128);
constexpr std::uint32_t mapMagic = 0x50414d54;

struct Copy {
  unsigned to, barrier;
  Map map;
  int at[5];
  unsigned short tap[2];
  std::uint32_t count;
  int warp;
  Place place;
};

std::vector<Copy> copies;

/** Bytes that a copy brings. */
unsigned bytesOf(const Map &map) {
  unsigned elements = map.windows ? static_cast<unsigned>(map.channels) * map.pixels : 1;
  for (unsigned d = 0; !map.windows && d < map.rank; d++) elements *= map.box[d];
  return elements * map.elementBytes;
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

/** The last place along an axis that a window's first pixel may have. */
long long lastPlace(const Map &map, unsigned d) { return static_cast<long long>(map.lengths[d]) - 1 + map.upper[d - 1]; }

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
  // First pixels follow each other within their bounds, as far apart as the map says, then each is moved by the tap. PTX ISA, "Im2col mode":
  // "Bounding Box", "Traversal Stride", which changes no number of pixels.
  for (unsigned d = 1; d + 1 < map.rank; d++) {
    const long long first = map.lower[d - 1], apart = map.apart[d - 1];
    const long long count = (lastPlace(map, d) - first) / apart + 1, place = (at[d] - first) / apart + index;
    at[d] = first + place % count * apart;
    index = static_cast<unsigned>(place / count);
  }
  at[map.rank - 1] += index;
  for (unsigned d = 1; d + 1 < map.rank; d++) at[d] += made.tap[d - 1];
}

}  // namespace

std::size_t copiesUnderWay() { return copies.size(); }
void forgetCopies() { copies.clear(); }

void copy(unsigned to, const void *given, int rank, const int *at, const unsigned short *tap, unsigned barrier, Place place) {
  Copy made = {};
  std::memcpy(&made.map, given, sizeof made.map);
  const Map &map = made.map;
  if (map.magic != mapMagic) fail(place, "a copy by a map that is none");
  if (static_cast<int>(map.rank) != rank || map.windows != (tap != nullptr)) {
    fail(place, "a copy of %s of rank %d, by a map of %s of rank %u", tap ? "windows" : "a box", rank, map.windows ? "windows" : "boxes", map.rank);
  }
  for (unsigned d = 1; map.windows && d + 1 < map.rank; d++) {
    const long long first = map.lower[d - 1];
    if (at[d] < first || at[d] > lastPlace(map, d) || (at[d] - first) % map.apart[d - 1] != 0) {
      fail(place, "a copy of windows from place %d of axis %u, which go from %lld to %lld by %d", at[d], d, first, lastPlace(map, d), map.apart[d - 1]);
    }
    if (tap[d - 1] > (rank == 3 ? 65535 : rank == 4 ? 255 : 31)) fail(place, "a copy of windows with the offset %d", tap[d - 1]);
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
  made.count = currentWarp().known[made.warp];
  made.place = place;
  copies.push_back(made);
}

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
  bringBytes(made.barrier, bytesOf(map), made.warp, made.count);
  return true;
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
    if (r.elementStrides[d] == 0 || r.elementStrides[d] > 8) return "a tensor map's element stride is not within 1 to 8";
    const bool mayStride = map.windows && d > 0 && d + 1 < r.rank;
    if (r.elementStrides[d] != 1 && !mayStride) return "only maps of all elements are modelled, but along the axes of windows";
    if (mayStride) map.apart[d - 1] = static_cast<std::uint8_t>(r.elementStrides[d]);
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

}  // namespace fovea
