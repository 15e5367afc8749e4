// dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p strideH - padTop + r dilationH, q strideW - padLeft + s dilationW, c], of Half or Bfloat16 (XT):
// Hopper's rung of conv_filter_grad.cu. Both operands lie by steps, which are the pixels of y: dy is read as a matrix, x as windows that the copy
// engine gathers as in conv_hopper.cu. Rows are filters; columns come in units of 64 channels of one tap, of which a tile has two.
// The sum is cut into runs of `run` pixels, a multiple of STEPS, whose partial results, yRun apart, sum_runs.cu adds in order.
// WT: storage type of dw. ALIGNED: two results may be stored at once.
// Tile ROWS x COLUMNS, block 384, shared memory STAGES panels (lib/hopper_product.cuh); grid of blocks that stay, at most one a tile and run.
// Source: PTX ISA, "Im2col mode"; split-K wgrad as in CUTLASS (sm90 conv).
#include "lib/hopper_product.cuh"

struct GroupFilterGrad {
  i32 images, outH, outW, channels, filters, kernelH, kernelW, strideH, strideW, firstH, firstW, dilationH, dilationW, wStride, run, yRun;
};

/** Where a tile's units of columns begin in x: channel, and distance of the tap. */
struct TileUnits {
  i32 channel[COLUMNS / 64];
  u16 right[COLUMNS / 64], down[COLUMNS / 64];
};

KERNEL(conv_filter_hopper, 384, 1)(TENSOR_MAP dy, TENSOR_MAP x, Span<WT> dw, GroupFilterGrad c) {
  DYNAMIC_SHARED(u8, panels);
  const i32 parts = (c.channels + 63) / 64, taps = c.kernelH * c.kernelW, units = taps * parts, columns = 64 * units;
  const RunTiles tiles{tileCount(c.filters, columns), c.images * c.outH * c.outW, c.run};
  groupProducts<XT, false, false>(sharedAddress(panels, 0), tiles.all(), [&](i32 index) { return tiles.turns(index); },
    [&](i32 index) {
      const TilePlace tile = tilePlace(tiles.tile(index), c.filters, columns);
      TileUnits sources;
      UNROLL for (i32 u = 0; u < COLUMNS / 64; u++) {
        // Where a tile has a unit behind the last, that is read again, and not stored.
        const i32 wanted = tile.column / 64 + u, unit = wanted < units ? wanted : units - 1;
        const i32 tap = unit / parts, r = tap / c.kernelW, s = tap - r * c.kernelW;
        sources.channel[u] = (unit - tap * parts) * 64;
        sources.right[u] = static_cast<u16>(s * c.dilationW);
        sources.down[u] = static_cast<u16>(r * c.dilationH);
      }
      // Digits: columns and rows of y, images.
      return [&, row = tile.row, sources, pixel = tiles.first(index), at = Walk(tiles.first(index), STEPS, c.outW, c.outH)]
             (const RingPlace &place, i32 stage) mutable {
        copyMatrix<false, ROWS>(place.left(stage), dy, pixel, row, place.full(stage));
        UNROLL for (i32 u = 0; u < COLUMNS / 64; u++) {
          copyWindows(place.right(stage) + u * 64 * 128, x, sources.channel[u], at.low * c.strideW + c.firstW, at.mid * c.strideH + c.firstH, at.high,
                      sources.right[u], sources.down[u], place.full(stage));
        }
        pixel += STEPS;
        at.advance();
      };
    },
    [&](i32 index, GroupTile &results) {
      const TilePlace tile = tilePlace(tiles.tile(index), c.filters, columns);
      const i64 runAt = static_cast<i64>(tiles.run(index)) * c.yRun;
      UNROLL for (i32 u = 0; u < COLUMNS / 64; u++) {
        const i32 unit = tile.column / 64 + u, tap = unit / parts, first = (unit - tap * parts) * 64;
        if (unit >= units) continue;
        UNROLL for (i32 i = 0; i < GroupTile::rows; i++) {
          const i32 filter = tile.row + results.row(i);
          if (filter >= c.filters) continue;
          const i64 at = runAt + (static_cast<i64>(filter) * taps + tap) * c.wStride;
          UNROLL for (i32 j = 16 * u; j < 16 * u + 16; j += 2) {
            const Vector<WT, 2> stored{{fromFloat<WT>(results.at(i, j)), fromFloat<WT>(results.at(i, j + 1))}};
            storeRun(dw, at, first + results.column(j) - 64 * u, c.channels, stored);
          }
        }
      }
    });
}
