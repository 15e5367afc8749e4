// Hopper's rung of conv_forward.cu and, with stride 1, of conv_input_grad.cu, of Half or Bfloat16 (XT). With RIGHT_ROWS y is the convolution of x
// with filters [columns][taps][depth]. Without, y is the gradient by its input, x that by its result, filters [depth][taps][columns]: a convolution
// too, whose filter is read backwards and by steps.
// The copy engine gathers windows as it copies (im2col mode): it walks the windows' first pixels from a tile's first on, by the strides of x's map,
// each moved by the tap, and fills with zeros what lies outside; it reads filters as boxes of one tap. The sum runs over taps, then panels of STEPS
// of the `depth` channels of x. YT: storage type of y. ALIGNED: two results may be stored at once. STATS: statistics too;
// NORM: y = act((bias + sum - mean) scale + beta), by `constants` (lib/results.cuh).
// Tile ROWS x COLUMNS, block 384, shared memory STAGES panels (lib/hopper_product.cuh); grid of blocks that stay, at most one a tile.
// Source: PTX ISA, "Im2col mode"; implicit GEMM by it as in CUTLASS (sm90 conv).
#include "lib/hopper_product.cuh"

struct GroupConv {
  i32 images, outH, outW, depth, columns, kernelH, kernelW, strideH, strideW, firstH, firstW, dilationH, dilationW, yStride, hasBias, relu;
};

KERNEL(conv_hopper, 384, 1)(TENSOR_MAP x, TENSOR_MAP w, Span<const float> bias, Span<YT> y, Span<float> partial, Span<const float> constants,
                             GroupConv c) {
  DYNAMIC_SHARED(u8, panels);
  const i32 pixels = c.images * c.outH * c.outW, parts = (c.depth + STEPS - 1) / STEPS, taps = c.kernelH * c.kernelW;
  groupProducts<XT, true, RIGHT_ROWS>(sharedAddress(panels, 0), tileCount(pixels, c.columns), [&](i32) { return taps * parts; },
    [&](i32 index) {
      const TilePlace tile = tilePlace(index, pixels, c.columns);
      const i32 line = tile.row / c.outW, image = line / c.outH;
      const i32 left = (tile.row - line * c.outW) * c.strideW + c.firstW, top = (line - image * c.outH) * c.strideH + c.firstH;
      // Digits: panels of the channels, columns and rows of taps.
      return [&, column = tile.column, image, left, top, at = Walk(0, 1, parts, c.kernelW)](const RingPlace &place, i32 stage) mutable {
        const i32 channel = at.low * STEPS, tap = at.high * c.kernelW + at.mid;
        const u32 barrier = place.full(stage);
        copyWindows(place.left(stage), x, channel, left, top, image, static_cast<u16>(at.mid * c.dilationW), static_cast<u16>(at.high * c.dilationH),
                    barrier);
        copyTap<RIGHT_ROWS, COLUMNS>(place.right(stage), w, channel, RIGHT_ROWS ? tap : taps - 1 - tap, column, barrier);
        at.advance();
      };
    },
    [&](i32 index, GroupTile &results) {
      const TilePlace tile = tilePlace(index, pixels, c.columns);
      storeRows(results, panels, y, partial, tile, pixels, c.columns, 0, c.yStride,
                Epilogue{bias, constants, c.columns, c.hasBias, c.relu});
    });
}
