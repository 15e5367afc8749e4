// Holds kernels/cuda/lib/hopper_layout.cuh to models of what it describes; prints what is wrong, one a line.
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "lib/types.cuh"
#define DEVICE inline
#include "lib/hopper_layout.cuh"

// A panel of `rows` lines of 64 16-bit elements as the copy engine leaves it: piece p of 16 bytes of line r at place p ^ (r % 8) of its line.
static std::vector<int> panelOf(int rows) {
  std::vector<int> memory(rows * 64);
  for (int r = 0; r < rows; r++) {
    for (int piece = 0; piece < 8; piece++) {
      for (int e = 0; e < 8; e++) memory[r * 64 + (piece ^ r % 8) * 8 + e] = r * 64 + piece * 8 + e;
    }
  }
  return memory;
}

static void swizzle() {
  const std::vector<int> memory = panelOf(128);
  for (u32 at = 0; at < 128 * 128; at += 2) {
    if (memory[swizzled128(at) / 2] != static_cast<int>(at / 2)) {
      std::printf("swizzled128(%u) = %u, where element %d lies\n", at, swizzled128(at), memory[swizzled128(at) / 2]);
      return;
    }
  }
}

// What wgmma reads by a descriptor as row `row` and term `k` of 16, with the 128-byte swizzle: bits 4 to 6 of the address by exclusive or with bits
// 7 to 9. PTX ISA, "Canonical Layouts", 8 elements of 16 bits being 16 bytes: K-major, rows lie 128 bytes apart within eight, these the stride
// offset apart; MN-major, terms lie 128 bytes apart within eight, these the stride offset apart, and of 64 rows the leading offset apart the
// elements beside each other.
static u32 readBy(u64 descriptor, bool byRows, int row, int k) {
  if (descriptor >> 62 != 1) return ~0u;
  const u32 start = (descriptor & 0x3fff) << 4, leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
  const u32 address = start + (byRows ? row % 8 * 128 + row / 8 * stride + k * 2 : row % 64 * 2 + row / 64 * leading + k % 8 * 128 + k / 8 * stride);
  return address ^ ((address >> 7 & 7) << 4);
}

// Products of a panel of 256 rows and 64 terms, `rows` rows (64 of the left operand, 128 of the right one) and 16 terms at a time.
template <bool ByRows> static void descriptors(int rows) {
  // Panels of all stages and both operands, anywhere that 18 bits of address reach.
  for (u32 panel : {0u, 1024u, 32768u, 131072u, 196608u}) {
    const std::vector<int> memory = panelOf(256);
    for (int first = 0; first < 256; first += rows) {
      for (int step = 0; step < 4; step++) {
        const u64 descriptor = Operand<ByRows>::descriptor(panel) + Operand<ByRows>::step * step + rows64 * (first / 64);
        for (int row = 0; row < rows; row++) {
          for (int k = 0; k < 16; k++) {
            const u32 at = readBy(descriptor, ByRows, row, k) - panel;
            const int line = first + row, term = step * 16 + k;
            // By rows line r of the panel is row r; by steps, four times 64 lines are the terms of 64 rows.
            const int wanted = ByRows ? line * 64 + term : (line / 64 * 64 + term) * 64 + line % 64;
            if (at / 2 >= memory.size() || memory[at / 2] != wanted) {
              std::printf("panel %u %s, row %d, step %d, term %d: read from byte %u\n", panel, ByRows ? "by rows" : "by steps", line, step, k, at);
              return;
            }
          }
        }
      }
    }
  }
}

static void results() {
  std::vector<int> seen(64 * 128);
  for (int thread = 128; thread < 256; thread++) {
    for (int j = 0; j < 16; j++) {
      for (int e = 0; e < 4; e++) {
        const int row = resultRow(thread, e), column = resultColumn(thread, j, e);
        // PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16": D.
        const int warp = thread / 32 % 4, lane = thread % 32;
        if (row != warp * 16 + lane / 4 + (e >= 2 ? 8 : 0) || column != j * 8 + lane % 4 * 2 + (e & 1)) {
          std::printf("thread %d, fragment %d, element %d: row %d, column %d\n", thread, j, e, row, column);
          return;
        }
        seen[row * 128 + column]++;
      }
    }
  }
  for (int count : seen) if (count != 1) { std::printf("a result has %d owners\n", count); return; }
}

/** An mbarrier: its phase ends when all have arrived; a wait for a parity ends when the phase of that parity has. */
struct Barrier {
  int wanted, arrived = 0;
  u32 phase = 0;
  void arrive() { if (++arrived == wanted) { arrived = 0; phase ^= 1; } }
  bool ended(u32 parity) const { return phase != parity; }
};

// A producer and eight warps of consumers that take turns at random, over several tiles: nobody may wait for ever, no panel be overwritten before all
// have read it, and none be read that is not the one wanted.
template <int Stages> static void ring(unsigned seed, int turns, int tiles) {
  std::mt19937 random(seed);
  std::vector<Barrier> full(Stages, Barrier{1}), empty(Stages, Barrier{8});
  std::vector<int> holds(Stages, -1), readers(Stages, 0);
  Ring<Stages> producer, consumer[8];
  const int total = turns * tiles;
  int filled = 0, done[8] = {}, before[8] = {};
  for (int idle = 0; idle < 10000;) {
    const int who = random() % 9;
    idle++;
    if (who == 8) {
      if (filled == total || !empty[producer.stage].ended(producer.parity ^ 1u)) continue;
      if (readers[producer.stage] != 0) { std::printf("panel %d is overwritten while it is read\n", filled); return; }
      holds[producer.stage] = filled++;
      readers[producer.stage] = 8;
      full[producer.stage].arrive();
      producer.advance();
      idle = 0;
      continue;
    }
    if (done[who] == total || !full[consumer[who].stage].ended(consumer[who].parity)) continue;
    if (holds[consumer[who].stage] != done[who]) { std::printf("reader %d sees panel %d for %d\n", who, holds[consumer[who].stage], done[who]); return; }
    // As in groupProducts: a panel is released one turn later, the last of a tile at once.
    const auto release = [&](int stage) { readers[stage]--; empty[stage].arrive(); };
    if (done[who] % turns > 0) release(before[who]);
    before[who] = consumer[who].stage;
    consumer[who].advance();
    if (++done[who] % turns == 0) release(before[who]);
    idle = 0;
  }
  for (int count : done) if (count != total) { std::printf("%d stages, %d turns: a reader waits for ever after %d of %d\n", Stages, turns, count, total); return; }
}

int main() {
  swizzle();
  for (int rows : {64, 128}) {
    descriptors<true>(rows);
    descriptors<false>(rows);
  }
  results();
  for (unsigned seed = 0; seed < 20; seed++) {
    for (int turns : {1, 2, 3, 5, 9}) {
      ring<4>(seed, turns, 4);
      ring<6>(seed, turns, 4);
    }
  }
}
