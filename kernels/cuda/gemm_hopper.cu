// y[m,n] = act(bias[n] + sum over k of left[m,k] right[k,n]) of Half or Bfloat16 (XT), either of which may lie transposed: LEFT_ROWS, RIGHT_ROWS
// as in gemm.cu, of which this is Hopper's rung, also for convolutions of single pixels. A sum may be cut into runs of `run` terms, a multiple of
// STEPS, whose partial results, yRun apart, sum_runs.cu adds in order.
// YT: storage type of y. ALIGNED: two results may be stored at once. STATS: statistics too; NORM: normalized by
// `constants`, of a sum that is whole (lib/results.cuh).
// Tile ROWS x COLUMNS, block 384, shared memory STAGES panels (lib/hopper_product.cuh); grid of blocks that stay, at most one a tile and run.
#include "lib/hopper_product.cuh"

struct GroupGemm { i32 rows, columns, depth, yStride, run, yRun, hasBias, relu; };

KERNEL(gemm_hopper, 384, 1)(TENSOR_MAP left, TENSOR_MAP right, Span<const float> bias, Span<YT> y, Span<float> partial, Span<const float> constants,
                             GroupGemm p) {
  DYNAMIC_SHARED(u8, panels);
  const RunTiles tiles{tileCount(p.rows, p.columns), p.depth, p.run};
  groupProducts<XT, LEFT_ROWS, RIGHT_ROWS>(sharedAddress(panels, 0), tiles.all(), [&](i32 index) { return tiles.turns(index); },
    [&](i32 index) {
      return [&, tile = tilePlace(tiles.tile(index), p.rows, p.columns), term = tiles.first(index)](const RingPlace &place, i32 stage) mutable {
        copyMatrix<LEFT_ROWS, ROWS>(place.left(stage), left, term, tile.row, place.full(stage));
        copyMatrix<RIGHT_ROWS, COLUMNS>(place.right(stage), right, term, tile.column, place.full(stage));
        term += STEPS;
      };
    },
    [&](i32 index, GroupTile &results) {
      const TilePlace tile = tilePlace(tiles.tile(index), p.rows, p.columns);
      storeRows(results, panels, y, partial, tile, p.rows, p.columns, static_cast<i64>(tiles.run(index)) * p.yRun, p.yStride,
                Epilogue{bias, constants, p.columns, p.hasBias, p.relu});
    });
}
