// The loop over tiles and their sums on Hopper: a warpgroup of producers, one thread of which has the copy engine fill a ring of panels, and two
// of consumers, each with the matrix products of half of a tile's rows. Blocks stay and take every gridDim.x-th tile, so that a tile's results are
// stored while the next one's panels are on their way.
// Tile ROWS (128 or 256) x COLUMNS (128), STEPS (64) 16-bit terms a panel, of 128 bytes with the 128-byte swizzle; block 384, one a multiprocessor.
// Source: warp-specialized persistent kernels as in CUTLASS (sm90) and pranjalssh/fast.cu.
#pragma once
#include "lib/hopper.cuh"
#include "lib/tile.cuh"

/** Fragments of 64 rows that a consumer has. */
#define MF (ROWS / 128)
#define PANEL_BYTES ((ROWS + COLUMNS) * STEPS * 2)

/** The results of a consumer, as lib/results.cuh stores them. */
template <class Type> struct GroupTile {
  static constexpr i32 rows = 2 * MF, columns = 32, run = 2;
  float sum[MF][16][4];

  DEVICE i32 row(i32 i) const { return (threadIdx.x / 128 - 1) * (ROWS / 2) + i / 2 * 64 + resultRow(threadIdx.x, i % 2 * 2); }
  DEVICE i32 column(i32 j) const { return resultColumn(threadIdx.x, j / 2, j % 2); }
  DEVICE float &at(i32 i, i32 j) { return sum[i / 2][j / 2][i % 2 * 2 + j % 2]; }
};

/** Barriers of the ring behind its panels, which begin at the next multiple of 1024 bytes. */
struct RingPlace {
  u32 panels, barriers;
  DEVICE explicit RingPlace(u32 shared) : panels((shared + 1023u) & ~1023u), barriers(panels + STAGES * PANEL_BYTES) {}
  DEVICE u32 left(i32 stage) const { return panels + stage * PANEL_BYTES; }
  DEVICE u32 right(i32 stage) const { return left(stage) + ROWS * STEPS * 2; }
  DEVICE u32 full(i32 stage) const { return barriers + 8 * stage; }
  DEVICE u32 empty(i32 stage) const { return barriers + 8 * (STAGES + stage); }
};

/**
 * Computes `tiles` tiles of sums over `turns` panels. `fill(tile, turn, place, stage)` asks for the two copies of a panel, and `store(tile, results)`
 * is called by consumers. All threads of the block call this together.
 */
template <class Type, class Fill, class Store> DEVICE void groupProducts(u32 shared, i32 tiles, i32 turns, const Fill &fill, const Store &store) {
  const RingPlace place(shared);
  if (threadIdx.x == 0) {
    for (i32 s = 0; s < STAGES; s++) {
      initBarrier(place.full(s), 1);
      // One arrival for every warp of consumers.
      initBarrier(place.empty(s), 8);
    }
    publishBarriers();
  }
  __syncthreads();
  Ring<STAGES> ring;
  if (threadIdx.x < 128) {
    giveRegisters<40>();
    if (threadIdx.x == 0) {
      for (i32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        for (i32 t = 0; t < turns; t++) {
          await(place.empty(ring.stage), ring.parity ^ 1u);
          arriveExpecting(place.full(ring.stage), PANEL_BYTES);
          fill(tile, t, place, ring.stage);
          ring.advance();
        }
      }
    }
  } else {
    takeRegisters<232>();
    const i32 half = (threadIdx.x / 128 - 1) * (ROWS / 2) * STEPS * 2;
    for (i32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      GroupTile<Type> results;
      i32 before = 0;
      for (i32 t = 0; t < turns; t++) {
        await(place.full(ring.stage), ring.parity);
        const u64 left = operandDescriptor(place.left(ring.stage) + half), right = operandDescriptor(place.right(ring.stage));
        UNROLL for (i32 i = 0; i < MF; i++) fenceSums(results.sum[i]);
        beginProducts();
        UNROLL for (i32 k = 0; k < STEPS / 16; k++) {
          // 16 terms are 32 bytes, 2 units of a descriptor's address; 64 rows are 64 * 128 bytes.
          UNROLL for (i32 i = 0; i < MF; i++) {
            multiplyAdd64x128x16<Type>(results.sum[i], left + 2 * k + i * (64 * 128 >> 4), right + 2 * k, t > 0 || k > 0 ? 1 : 0);
          }
        }
        commitProducts();
        // What was multiplied before these is done: its panel may be filled again.
        waitProducts<1>();
        if (t > 0 && threadIdx.x % 32 == 0) arrive(place.empty(before));
        before = ring.stage;
        ring.advance();
      }
      waitProducts<0>();
      UNROLL for (i32 i = 0; i < MF; i++) fenceSums(results.sum[i]);
      if (threadIdx.x % 32 == 0) arrive(place.empty(before));
      store(tile, results);
    }
  }
}
