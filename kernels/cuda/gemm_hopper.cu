// y[m,n] = act(bias[n] + sum over k of left[m,k] right[n,k]) of Half or Bfloat16 (XT), both by rows: Hopper's rung of gemm.cu, also for convolutions
// of single pixels. ALIGNED: two results may be stored at once. YT: storage type of y.
// Tile ROWS x COLUMNS, block 384, shared memory STAGES panels (lib/hopper_product.cuh); grid of blocks that stay, at most one a tile.
#include "lib/hopper_product.cuh"
#include "lib/results.cuh"

struct GroupGemm { i32 rows, columns, depth, yStride, hasBias, relu; };

KERNEL(gemm_hopper, 384, 1)(TENSOR_MAP left, TENSOR_MAP right, Span<const float> bias, Span<YT> y, GroupGemm p) {
  DYNAMIC_SHARED(u8, panels);
  const i32 tiles = ((p.rows + ROWS - 1) / ROWS) * ((p.columns + COLUMNS - 1) / COLUMNS);
  groupProducts<XT>(sharedAddress(panels, 0), tiles, (p.depth + STEPS - 1) / STEPS,
    [&](i32 index, i32 turn, const RingPlace &place, i32 stage) {
      const TilePlace tile = tilePlace(index, p.rows, p.columns);
      copyBox(place.left(stage), left, turn * STEPS, tile.row, place.full(stage));
      copyBox(place.right(stage), right, turn * STEPS, tile.column, place.full(stage));
    },
    [&](i32 index, GroupTile<XT> &results) {
      const TilePlace tile = tilePlace(index, p.rows, p.columns);
      storeTile(results, y, tile.column, p.columns, [&](i32 row, i64 &at) {
        at = static_cast<i64>(tile.row + row) * p.yStride;
        return tile.row + row < p.rows;
      }, [&](i32 k) { return p.hasBias != 0 ? static_cast<float>(bias[k]) : 0.0f; }, p.relu);
    });
}
