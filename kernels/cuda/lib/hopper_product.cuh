// The loop over tiles and their sums on Hopper: a warpgroup of producers, one thread of which has the copy engine fill a ring of panels, and two
// of consumers, each with the matrix products of half of a tile's rows. Blocks stay and take every gridDim.x-th tile, so that a tile's results are
// stored while the next one's panels are on their way.
// Operands lie by rows or by steps (lib/hopper_layout.cuh), as the copy engine has brought them.
// Tile ROWS (128 or 256) x COLUMNS (128), STEPS (64) 16-bit terms a panel, of 128 bytes with the 128-byte swizzle; block 384, one a multiprocessor.
// Source: warp-specialized persistent kernels as in CUTLASS (sm90) and pranjalssh/fast.cu.
#pragma once
#include "lib/hopper.cuh"
#include "lib/results.cuh"
#include "lib/walk.cuh"

/** Fragments of 64 rows that a consumer has. */
#define MF (ROWS / 128)
#define PANEL_BYTES ((ROWS + COLUMNS) * STEPS * 2)
/** Panels with two barriers each, wherever they begin. */
#define RING_BYTES (1024 + STAGES * (PANEL_BYTES + 16))

/** The results of a consumer, as lib/results.cuh stores them. */
struct GroupTile {
  static constexpr i32 rows = 2 * MF, columns = 32, run = 2, sharers = 64;
  float sum[MF][16][4];

  DEVICE i32 row(i32 i) const { return (threadIdx.x / 128 - 1) * (ROWS / 2) + i / 2 * 64 + resultRow(threadIdx.x, i % 2 * 2); }
  DEVICE i32 column(i32 j) const { return resultColumn(threadIdx.x, j / 2, j % 2); }
  DEVICE float &at(i32 i, i32 j) { return sum[i / 2][j / 2][i % 2 * 2 + j % 2]; }
  DEVICE i32 sharer() const { return (threadIdx.x - 128) / 4; }
  /** Of those who have results. */
  static constexpr i32 threads = 256;
  static DEVICE i32 thread() { return threadIdx.x - 128; }
  static DEVICE void sync() { meet<1, threads>(); }
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

/** Asks for STEPS terms from `term` on of `Lines` rows (or columns) from `line` on, of a matrix that lies by rows or by steps. */
template <bool ByRows, i32 Lines> DEVICE void copyMatrix(u32 to, const TensorMap &map, i32 term, i32 line, u32 barrier) {
  if constexpr (ByRows) {
    copyBox(to, map, term, line, barrier);
  } else {
    UNROLL for (i32 i = 0; i < Lines; i += 64) copyBox(to + i * 128, map, line + i, term, barrier);
  }
}

/** The same of one tap of filters [lines][taps][terms], or by steps [terms][taps][lines]. */
template <bool ByRows, i32 Lines> DEVICE void copyTap(u32 to, const TensorMap &map, i32 term, i32 tap, i32 line, u32 barrier) {
  if constexpr (ByRows) {
    copyBox(to, map, term, tap, line, barrier);
  } else {
    UNROLL for (i32 i = 0; i < Lines; i += 64) copyBox(to + i * 128, map, line + i, tap, term, barrier);
  }
}

/** Tiles whose sums of `depth` terms are cut into runs of `length`: all tiles of a run, then those of the next. */
struct RunTiles {
  i32 tiles, depth, length;
  DEVICE i32 all() const { return tiles * ((depth + length - 1) / length); }
  DEVICE i32 run(i32 index) const { return index / tiles; }
  DEVICE i32 tile(i32 index) const { return index - run(index) * tiles; }
  DEVICE i32 first(i32 index) const { return run(index) * length; }
  DEVICE i32 turns(i32 index) const {
    const i32 left = depth - first(index);
    return ((left < length ? left : length) + STEPS - 1) / STEPS;
  }
};

/**
 * Stores a tile of `rows` x `columns` results, rows of which begin `stride` elements apart from element `from` of y on, and with STATS the
 * statistics of its rows (lib/results.cuh), for which there is room behind the ring.
 */
template <class Type> DEVICE void storeRows(GroupTile &results, const SharedSpan<u8> &shared, const Span<Type> &y, const Span<float> &partial,
                                            const TilePlace &tile, i32 rows, i32 columns, i64 from, i32 stride, const Epilogue &after) {
  storeTile(results, y, tile.column, columns, [&](i32 row, i64 &at) {
    at = from + static_cast<i64>(tile.row + row) * stride;
    return tile.row + row < rows;
  }, after);
#if STATS
  const SharedSpan<float> sums = shared.part<float>(RING_BYTES, (GroupTile::sharers + 1) * COLUMNS);
  storeStatistics(results, sums, partial, tile.row / ROWS, rows - tile.row < ROWS ? rows - tile.row : ROWS, tile.column, columns);
#endif
}

/**
 * Computes `tiles` tiles, each of sums over `turnsOf(tile)` panels, one or more. `begin(tile)` gives what is called each turn, as
 * `fill(place, stage)`, to ask for the copies of both operands' panels and go on to the next: what needs a division is computed once a tile.
 * `store(tile, results)` is called by consumers. All threads of the block call this together.
 */
template <class Type, bool LeftRows, bool RightRows, class Turns, class Begin, class Store>
DEVICE void groupProducts(u32 shared, i32 tiles, const Turns &turnsOf, const Begin &begin, const Store &store) {
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
        const i32 turns = turnsOf(tile);
        auto fill = begin(tile);
        for (i32 t = 0; t < turns; t++) {
          await(place.empty(ring.stage), ring.parity ^ 1u);
          arriveExpecting(place.full(ring.stage), PANEL_BYTES);
          fill(place, ring.stage);
          ring.advance();
        }
      }
    }
  } else {
    takeRegisters<232>();
    const i32 half = (threadIdx.x / 128 - 1) * (ROWS / 2) * STEPS * 2;
    for (i32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      GroupTile results;
      const i32 turns = turnsOf(tile);
      i32 before = 0;
      // Overwritten by a tile's first products. Without a value here, ptxas may give them one between products, which it then serializes (C7514).
      UNROLL for (i32 i = 0; i < MF * 64; i++) results.sum[i / 64][i / 4 % 16][i % 4] = 0.0f;
      for (i32 t = 0; t < turns; t++) {
        await(place.full(ring.stage), ring.parity);
        const u64 left = Operand<LeftRows>::descriptor(place.left(ring.stage) + half);
        const u64 right = Operand<RightRows>::descriptor(place.right(ring.stage));
        UNROLL for (i32 i = 0; i < MF; i++) fenceSums(results.sum[i]);
        beginProducts();
        UNROLL for (i32 k = 0; k < STEPS / 16; k++) {
          UNROLL for (i32 i = 0; i < MF; i++) {
            multiplyAdd64x128x16<Type, LeftRows, RightRows>(results.sum[i], left + Operand<LeftRows>::step * k + rows64 * i,
                                                            right + Operand<RightRows>::step * k, t > 0 || k > 0 ? 1 : 0);
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
