/** Tiles that the hardware kernels of convolution and matrix products (shaders/tile.wgsl) may compute, and the default among them. */
import type { GpuFeatures, WebgpuLaunch } from '../../device/types.ts';
import { foldedGrid, MAX_GRID } from '../../device/webgpu/launch.ts';

/** Results along rows and columns, of a workgroup and of a thread, and steps of the sum that are staged at a time. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly threadRows: number;
  readonly threadColumns: number;
  readonly steps: number;
}

/** Small to large. All add the terms of a result in the same order, so their bits are equal. At most 256 threads and 16 KB. */
const tiles: readonly Tile[] = [
  { rows: 32, columns: 32, threadRows: 4, threadColumns: 4, steps: 16 },
  { rows: 64, columns: 64, threadRows: 4, threadColumns: 4, steps: 16 },
  { rows: 64, columns: 64, threadRows: 8, threadColumns: 4, steps: 16 },
  { rows: 128, columns: 64, threadRows: 8, threadColumns: 4, steps: 16 },
  { rows: 128, columns: 128, threadRows: 8, threadColumns: 8, steps: 8 },
];

/** Those whose kernel is also offered with values exchanged within subgroups. */
const shared: readonly Tile[] = [tiles[2], tiles[3]];

/** Workgroups that a large tile should leave: below, a smaller one keeps more of the GPU busy. By reasoning, not measured. */
const ENOUGH_GROUPS = 128;

/** Results of a launch: rows and columns of the product, and products of that size (parity classes, runs). */
export interface Extent {
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
  /** Terms of each sum. */
  readonly depth: number;
  /** Rows of the product lie along the grid's x (default) or y. */
  readonly rowsAlong?: 'x' | 'y';
  /** Of the default tile. */
  readonly mostRows?: number;
}

/** What a kernel's panels are like: whether the four values of a load follow each other along steps, or along rows and columns. */
export interface PanelOrder {
  readonly leftByRows: boolean;
  readonly rightByColumns: boolean;
}

export const orderReplacements = ({ leftByRows, rightByColumns }: PanelOrder): Record<string, number> =>
  ({ LEFT_BY_ROWS: leftByRows ? 1 : 0, RIGHT_BY_COLUMNS: rightByColumns ? 1 : 0 });

export type TileChoice = Pick<WebgpuLaunch, 'grid' | 'replace' | 'variants' | 'tuning'>;

interface Size {
  readonly rows: number;
  readonly columns: number;
}

interface Kernel {
  readonly name: string;
  readonly replace: Record<string, string | number>;
}

const powerOfTwo = (n: number): number => Math.round(Math.log2(Math.max(1, n)));

/**
 * A launch's grid and replacements with the default tile, and the other tiles as variants. The default is the largest of 32x32, 64x64 and
 * 128x64 that leaves enough workgroups and is not half empty, or the smallest there is.
 */
export function chooseAmong<T extends Size>(e: Extent, choices: readonly T[], kernelOf: (tile: T) => Kernel): TileChoice {
  const groupsOf = (t: Size): number => Math.ceil(e.rows / t.rows) * Math.ceil(e.columns / t.columns) * e.count;
  const fits = (t: Size): boolean => t.rows <= (e.mostRows ?? Infinity) && groupsOf(t) >= ENOUGH_GROUPS && e.rows > t.rows / 2 && e.columns > t.columns / 2;
  const sized = (rows: number, columns: number): T | undefined => choices.find((t) => t.rows === rows && t.columns === columns);
  const [large, medium, small] = [sized(128, 64), sized(64, 64), choices[0]];
  const first = [large, medium].find((t) => t !== undefined && fits(t)) ??
    (medium === undefined || groupsOf(medium) < ENOUGH_GROUPS ? small : medium);
  const variant = (t: T): { name: string; grid: [number, number, number]; replace: Record<string, string | number> } => {
    const along = [Math.ceil(e.rows / t.rows), Math.ceil(e.columns / t.columns)];
    const [x, y] = e.rowsAlong === 'y' ? along.reverse() : along;
    return { ...kernelOf(t), grid: foldedGrid(x, y, e.count) };
  };
  const all = [first, ...choices.filter((t) => t !== first)].map(variant);
  const possible = all.filter(({ grid }) => grid.every((n) => n <= MAX_GRID));
  // Where there is none, the device says so when it builds the default.
  const variants = possible.length > 0 ? possible : [all[0]];
  const { grid, replace } = variants[0];
  return { grid, replace, variants, tuning: [e.rows, e.columns, e.depth, e.count].map(powerOfTwo).join(',') };
}

/** Tiles that are added up in registers, by any adapter's kernels; `features` offers more of equal bits. */
export function tiled(
  e: Extent, order: PanelOrder, replace: Readonly<Record<string, string | number>>, { subgroup }: GpuFeatures = {},
): TileChoice {
  // Threads of a subgroup load the values of their rows, a vector each.
  const exchanged = subgroup === undefined ? [] : shared.filter((t) => t.threadRows <= subgroup).map((t) => ({ ...t, share: subgroup }));
  return chooseAmong(e, [...tiles.map((t) => ({ ...t, share: 0 })), ...exchanged], (t) => {
    const threads = (t.rows / t.threadRows) * (t.columns / t.threadColumns);
    return {
      name: `${t.rows}x${t.columns}x${t.steps}, ${t.threadRows}x${t.threadColumns} a thread${t.share > 0 ? ', subgroups' : ''}`,
      replace: {
        ...replace, TILE: 'tile_registers', MATRIX: 0, ...orderReplacements(order),
        ROWS: t.rows, COLUMNS: t.columns, STEPS: t.steps, THREADS: threads, MI: t.threadRows / 4, NQ: t.threadColumns / 4,
        LA: (t.rows * t.steps) / 4 / threads, LB: (t.columns * t.steps) / 4 / threads, SHARE: t.share,
      },
    };
  });
}
