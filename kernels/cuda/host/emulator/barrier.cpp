// Where threads wait for each other, and what they know of each other's accesses afterwards.
#include <algorithm>
#include <cstring>
#include "block.h"

namespace fovea {

void joinKnown(const std::uint32_t *from, std::uint32_t *into) {
  for (int w = 0; w < maxWarps; w++) into[w] = std::max(into[w], from[w]);
}

/** Counts go on from block to block, so that what is left of an earlier one lies behind all. */
static std::uint32_t latestStep = 0;

void beginBarriers() {
  for (const Warp &warp : running.warps) {
    running.base = std::max(running.base, *std::max_element(warp.known, warp.known + maxWarps));
    latestStep = std::max(latestStep, warp.step);
  }
  for (int w = 0; w < maxWarps; w++) {
    std::fill_n(running.warps[w].known, maxWarps, running.base);
    running.warps[w].known[w] = running.base + 1;
    running.warps[w].step = latestStep + 1;
  }
  for (Barrier &barrier : running.barrier) barrier = {};
}

void comeToBarrier(int id, int threads, bool arriveOnly, Place place) {
  Barrier &barrier = running.barrier[id];
  const int wanted = threads == 0 ? running.count : threads;
  const bool named = threads != 0;
  if (barrier.arrived == 0) {
    barrier.wanted = wanted;
    barrier.named = named;
    std::memset(barrier.known, 0, sizeof barrier.known);
  }
  if (barrier.wanted != wanted) fail(place, "barrier %d for %d threads, where others came to it for %d", id, wanted, barrier.wanted);
  Warp &own = running.warps[warpOf(running.current)];
  joinKnown(own.known, barrier.known);
  Thread &thread = running.threads[running.current];
  if (++barrier.arrived < wanted) {
    if (arriveOnly) {
      own.known[warpOf(running.current)]++;
      return;
    }
    thread.barrier = id;
    wait(named ? "a named barrier" : "__syncthreads", place);
    return;
  }
  // The last to come: those who wait go on.
  bool seen[maxWarps] = {};
  for (int t = 0; t < running.count; t++) {
    Thread &other = running.threads[t];
    const bool waits = t != running.current && other.state == State::waiting && other.barrier == id && other.mask == 0;
    if (!waits && (t != running.current || arriveOnly)) continue;
    if (waits) {
      if (!named && (other.place.line != place.line || std::strcmp(other.place.file, place.file) != 0)) {
        fail(place, "__syncthreads, where thread %d waits at another, in line %d", t, other.place.line);
      }
      other.state = State::ready;
      other.barrier = -1;
    }
    seen[warpOf(t)] = true;
  }
  for (int w = 0; w < maxWarps; w++) {
    if (!seen[w]) continue;
    joinKnown(barrier.known, running.warps[w].known);
    running.warps[w].known[w]++;
    running.warps[w].step++;
  }
  barrier.arrived = 0;
  if (!named) running.phase++;
}

void collective(const char *what, unsigned mask, void *mine, Together *together, Place place) {
  const int first = running.current / 32 * 32, lane = running.current % 32;
  // Lanes that a last, short warp does not have take no part.
  const int there = std::min(32, running.count - first);
  const unsigned existing = there == 32 ? ~0u : (1u << there) - 1;
  if ((mask >> lane & 1) == 0) fail(place, "%s with the mask %08x, in which its own lane %d is not", what, mask, lane);
  mask &= existing;
  Thread &self = running.threads[running.current];
  self.mask = mask;
  self.mine = mine;
  void *lanes[32] = {};
  for (int l = 0; l < there; l++) {
    if ((mask >> l & 1) == 0) continue;
    const Thread &other = running.threads[first + l];
    // A lane that does not wait for the same is still to come; one that never does is found as a deadlock.
    const bool same = l == lane || (other.state == State::waiting && other.mask == mask && std::strcmp(other.what, what) == 0);
    if (!same) {
      wait(what, place);
      return;
    }
    lanes[l] = other.mine != nullptr ? other.mine : &running.threads[first + l];
  }
  self.place = place;
  together(lanes);
  if (together == running.machine.syncWarp && mask == existing) running.warps[first / 32].step++;
  for (int l = 0; l < there; l++) {
    Thread &other = running.threads[first + l];
    if ((mask >> l & 1) == 0) continue;
    other.mask = 0;
    if (l != lane) other.state = State::ready;
  }
}

}  // namespace fovea
