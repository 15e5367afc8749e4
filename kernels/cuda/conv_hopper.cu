// The convolution of conv_forward.cu with stride 1, of Half or Bfloat16 (XT): Hopper's rung. The copy engine gathers windows as it copies (im2col
// mode): it walks pixels of x from a tile's first window on, each moved by the tap, and fills with zeros what lies outside; it reads filters
// [filters][taps][channels] as boxes of one tap. The sum runs over taps, then panels of STEPS channels. ALIGNED: two results may be stored at once.
// Tile ROWS x COLUMNS, block 384, shared memory STAGES panels (lib/hopper_product.cuh); grid of blocks that stay, at most one a tile.
// Source: PTX ISA, "Im2col mode"; implicit GEMM by it as in CUTLASS (sm90 conv).
#include "lib/hopper_product.cuh"
#include "lib/results.cuh"

struct GroupConv {
  i32 images, outH, outW, channels, filters, kernelH, kernelW, padTop, padLeft, dilationH, dilationW, yStride, hasBias, relu;
};

KERNEL(conv_hopper, 384, 1)(TENSOR_MAP x, TENSOR_MAP w, Span<const float> bias, Span<YT> y, GroupConv c) {
  DYNAMIC_SHARED(u8, panels);
  const i32 pixels = c.images * c.outH * c.outW, parts = (c.channels + STEPS - 1) / STEPS;
  const i32 tiles = ((pixels + ROWS - 1) / ROWS) * ((c.filters + COLUMNS - 1) / COLUMNS);
  groupProducts<XT>(sharedAddress(panels, 0), tiles, c.kernelH * c.kernelW * parts,
    [&](i32 index, i32 turn, const RingPlace &place, i32 stage) {
      const TilePlace tile = tilePlace(index, pixels, c.filters);
      const i32 line = tile.row / c.outW, image = line / c.outH;
      const i32 tap = turn / parts, part = (turn - tap * parts) * STEPS, r = tap / c.kernelW, s = tap - r * c.kernelW;
      copyWindows(place.left(stage), x, part, tile.row - line * c.outW - c.padLeft, line - image * c.outH - c.padTop, image,
                  static_cast<u16>(s * c.dilationW), static_cast<u16>(r * c.dilationH), place.full(stage));
      copyBox(place.right(stage), w, part, tap, tile.column, place.full(stage));
    },
    [&](i32 index, GroupTile<XT> &results) {
      const TilePlace tile = tilePlace(index, pixels, c.filters);
      storeTile(results, y, tile.column, c.filters, [&](i32 row, i64 &at) {
        at = static_cast<i64>(tile.row + row) * c.yStride;
        return tile.row + row < pixels;
      }, [&](i32 k) { return c.hasBias != 0 ? static_cast<float>(bias[k]) : 0.0f; }, c.relu);
    });
}
