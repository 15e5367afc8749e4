// Barriers of Hopper that count arrivals and bytes, phase by phase.
#include <cstring>
#include <map>
#include "hopper.h"

namespace fovea {

static std::map<unsigned, Phases> phases;

Phases &phasesAt(unsigned barrier, Place place) {
  const auto found = phases.find(barrier);
  if (found == phases.end()) fail(place, "there is no mbarrier at address %u of shared memory", barrier);
  return found->second;
}

void checkPlace(unsigned at, unsigned bytes, unsigned alignment, const char *what, Place place) {
  if (at % alignment != 0) fail(place, "%s at address %u of shared memory, which is no multiple of %u", what, at, alignment);
  if (at + bytes > sharedUsed()) fail(place, "%s at address %u of shared memory takes %u bytes, and the block has %u", what, at, bytes, sharedUsed());
}

namespace {

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
  joinKnown(currentWarp().known, barrier.coming);
  currentWarp().known[warpOf(running.current)]++;
  barrier.missing--;
  barrier.bytes += bytes;
  endPhase(barrier);
}

void await(unsigned at, unsigned parity, Place place) {
  Phases &barrier = phasesAt(at, place);
  while ((barrier.phase & 1) == (parity & 1)) {
    currentThread().mine = &barrier;
    wait(parity & 1 ? "an mbarrier of parity 1" : "an mbarrier of parity 0", place);
  }
  currentThread().mine = nullptr;
  joinKnown(barrier.ended, currentWarp().known);
}

}  // namespace

void bringBytes(unsigned at, unsigned bytes, int warp, std::uint32_t count) {
  Phases &barrier = phases[at];
  barrier.bytes -= bytes;
  if (barrier.coming[warp] < count) barrier.coming[warp] = count;
  endPhase(barrier);
}

std::string underWay() {
  if (copiesUnderWay() > 0) return "all threads have ended with " + std::to_string(copiesUnderWay()) + " copies under way";
  for (int t = 0; t < running.count; t++) {
    if (!running.threads[t].products.empty()) return threadName(t) + " has ended with products under way";
  }
  return "";
}

void beginHopper() {
  phases.clear();
  forgetCopies();
  forgetProducts();
}

HopperMachine hopperMachine() {
  return {addressOf, initBarrier, publishBarriers, arrive, await, copy, beginProducts, product, commitProducts, waitProducts};
}

}  // namespace fovea
