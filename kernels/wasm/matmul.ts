/**
 * c[M, N] = a[M, K] b[K, N]: rows of a as they lie, b packed into panels (pack.ts). A tile is a run of rows by a run of panels of one
 * matrix of the batch; tiles of 4 x 8 inside.
 *
 * Arguments: 0 a, 1 panels, 2 bias or 0, 3 c, 4 M, 5 N, 6 K, 7 a's row stride, 8 c's row stride (bytes), 9 rows a tile, 10 panels a
 * tile, 11 row tiles, 12 column tiles, 13 a's, 14 panels', 15 c's stride from matrix to matrix (bytes), 16 flags.
 */
import { ACCUMULATE, MR, NR, RELU, rowsTimesPanel } from './lib/gemm';
import { addr, int, min32 } from './lib/simd';

/** Terms of one running sum. */
const DEPTH: i32 = 256;

export function matmul(args: usize, tile: i32, scratch: usize): void {
  const columnTiles = int(args, 12), perMatrix = int(args, 11) * columnTiles;
  const matrix = tile / perMatrix;
  const inMatrix = tile - matrix * perMatrix;
  const rowTile = inMatrix / columnTiles;
  const columnTile = inMatrix - rowTile * columnTiles;
  const n = int(args, 5), k = int(args, 6);
  const aStride = addr(args, 7), cStride = addr(args, 8);
  const firstRow = rowTile * int(args, 9), lastRow = min32(firstRow + int(args, 9), int(args, 4));
  const panels = (n + NR - 1) / NR;
  const firstPanel = columnTile * int(args, 10), lastPanel = min32(firstPanel + int(args, 10), panels);
  const a = addr(args, 0) + (<usize>matrix) * addr(args, 13);
  const b = addr(args, 1) + (<usize>matrix) * addr(args, 14);
  const c = addr(args, 3) + (<usize>matrix) * addr(args, 15);
  const bias = addr(args, 2);
  const flags = int(args, 16);
  for (let p = firstPanel; p < lastPanel; p++) {
    const panel = b + ((<usize>(p * k)) << 5);
    const column = (<usize>p) << 5;
    for (let r = firstRow; r < lastRow; r += MR) {
      const rows = min32(MR, lastRow - r);
      store<usize>(scratch, 0);
      // Sums of at most DEPTH terms, added up: rounding grows with the root of the longer of the two counts, not of K.
      let k0 = 0;
      do {
        for (let i = 0; i < MR; i++) {
          const row = a + (<usize>(r + (i < rows ? i : 0))) * aStride;
          store<usize>(scratch + ((<usize>(i + 1)) << 2), row + ((<usize>k0) << 2));
        }
        const last = k0 + DEPTH >= k;
        rowsTimesPanel(
          scratch, 1, last ? k - k0 : DEPTH, panel + ((<usize>k0) << 5), k0 == 0 && bias != 0 ? bias + column : 0,
          c + (<usize>r) * cStride + column, cStride, rows, min32(NR, n - p * NR),
          (last ? flags : flags & ~RELU) | (k0 == 0 ? 0 : ACCUMULATE),
        );
        k0 += DEPTH;
      } while (k0 < k);
    }
  }
}
