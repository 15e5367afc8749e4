/** Tiles that the hardware kernels compute by matrix units (shaders/tile_matrices.wgsl), where the GPU has them and operands are float16. */
import type { GpuFeatures, Placed, TensorType } from '../../device/types.ts';
import type { Extent, PanelOrder, TileChoice } from './tiles.ts';
import { chooseAmong, orderReplacements, tiled } from './tiles.ts';

/** Results along rows and columns, and subgroups among which they are divided. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
}

/** Small to large; a subgroup has 16x16 to 64x64 results. At most 28 KB, with matrices of 16x16 and eight subgroups. Sizes as in ggml's and CUTLASS's. */
const tiles: readonly Tile[] = [
  { rows: 32, columns: 32, down: 2, across: 2 },
  { rows: 64, columns: 64, down: 2, across: 2 },
  { rows: 128, columns: 64, down: 4, across: 2 },
  { rows: 128, columns: 64, down: 2, across: 2 },
  { rows: 128, columns: 128, down: 4, across: 2 },
  { rows: 128, columns: 128, down: 2, across: 2 },
];

/** Steps of the sum that are staged at a time. */
const STEPS = 32;

/** Threads that every adapter's workgroup may have. */
const MOST_THREADS = 256;

/** Whether the product of these operands is one for matrix units. */
export function takesMatrices(features: GpuFeatures | undefined, ...operands: readonly TensorType[]): boolean {
  return features?.matrices !== undefined && operands.every(({ dtype }) => dtype === 'float16');
}

/** As `tiled`, for matrix units: of equal bits among each other, but not with `tiled`. Only where `takesMatrices`. */
function tiledByMatrices(
  e: Extent, order: PanelOrder, { matrices, subgroup }: GpuFeatures, replace: Readonly<Record<string, string | number>>,
): TileChoice {
  const { M, N, K } = matrices!;
  const lanes = subgroup!;
  const fitting = tiles.filter((t) => t.down * t.across * lanes <= MOST_THREADS);
  return chooseAmong(e, fitting, ({ rows, columns, down, across }) => {
    const threads = down * across * lanes;
    return {
      name: `matrices ${rows}x${columns}x${STEPS}, ${down}x${across} subgroups`,
      replace: {
        ...replace, TILE: 'tile_matrices', MATRIX: 1, M, N, K, LANES: lanes, MR: rows / down / M, MC: columns / across / N,
        ...orderReplacements(order),
        ROWS: rows, COLUMNS: columns, STEPS, THREADS: threads, LA: (rows * STEPS) / 4 / threads, LB: (columns * STEPS) / 4 / threads,
      },
    };
  });
}

/** How hardware adapters compute a product of `left` and `right`: by matrix units where they can, else in registers. */
export function tiledProduct(
  e: Extent, [left, right]: readonly [Placed, Placed], order: PanelOrder, features: GpuFeatures | undefined,
  replace: Readonly<Record<string, string | number>>,
): TileChoice {
  return takesMatrices(features, left, right) ? tiledByMatrices(e, order, features!, replace) : tiled(e, order, replace, features);
}
