// What lanes exchange.
#include "block.h"

namespace fovea {

void syncWarp(void *const *) {}

void shuffle(void *const lanes[32]) {
  for (int l = 0; l < 32; l++) {
    if (lanes[l] == nullptr) continue;
    Shuffle &own = *static_cast<Shuffle *>(lanes[l]);
    if (own.source < 0 || own.source > 31 || lanes[own.source] == nullptr) {
      fail(running.threads[running.current].place, "lane %d takes from lane %d, which gives nothing", l, own.source);
    }
    const Shuffle &other = *static_cast<const Shuffle *>(lanes[own.source]);
    own.take[0] = other.give[0];
    own.take[1] = other.give[1];
  }
}

void vote(void *const lanes[32]) {
  unsigned ballot = 0;
  for (int l = 0; l < 32; l++) if (lanes[l] != nullptr && static_cast<const Vote *>(lanes[l])->predicate) ballot |= 1u << l;
  for (int l = 0; l < 32; l++) if (lanes[l] != nullptr) static_cast<Vote *>(lanes[l])->ballot = ballot;
}

}  // namespace fovea
