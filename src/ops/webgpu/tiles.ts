/** Tiles that the hardware kernels of convolution and matrix products (shaders/tile.wgsl) may compute, and the default among them. */
import type { WebgpuLaunch } from '../../device/types.ts';

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

/** Workgroups that a large tile should leave: below, a smaller one keeps more of the GPU busy. By reasoning, not measured. */
const ENOUGH_GROUPS = 128;

/** Results of a launch: rows and columns of the product, and products of that size (parity classes, runs). */
interface Extent {
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
  /** Terms of each sum. */
  readonly depth: number;
  /** Rows of the product lie along the grid's x (default) or y. */
  readonly rowsAlong?: 'x' | 'y';
}

type TileChoice = Pick<WebgpuLaunch, 'grid' | 'replace' | 'variants' | 'tuning'>;

const nameOf = (t: Tile): string => `${t.rows}x${t.columns}x${t.steps}, ${t.threadRows}x${t.threadColumns} a thread`;

const groupsOf = (t: Tile, e: Extent): number => Math.ceil(e.rows / t.rows) * Math.ceil(e.columns / t.columns) * e.count;

/** The largest of the tiles 32, 64 (4x4) and 128x64 that leaves enough workgroups and is not half empty. */
function defaultTile(e: Extent): Tile {
  const fits = (t: Tile): boolean => groupsOf(t, e) >= ENOUGH_GROUPS && e.rows > t.rows / 2 && e.columns > t.columns / 2;
  return [tiles[3], tiles[1]].find(fits) ?? (groupsOf(tiles[1], e) < ENOUGH_GROUPS ? tiles[0] : tiles[1]);
}

const powerOfTwo = (n: number): number => Math.round(Math.log2(Math.max(1, n)));

/** A launch's grid and replacements with the default tile, and the other tiles as variants. */
export function tiled(e: Extent, replace: Readonly<Record<string, string | number>>): TileChoice {
  const choice = (t: Tile): { name: string; grid: [number, number, number]; replace: Record<string, string | number> } => {
    const threads = (t.rows / t.threadRows) * (t.columns / t.threadColumns);
    const along = [Math.ceil(e.rows / t.rows), Math.ceil(e.columns / t.columns)];
    const [x, y] = e.rowsAlong === 'y' ? along.reverse() : along;
    return {
      name: nameOf(t),
      grid: [x, y, e.count],
      replace: {
        ...replace, ROWS: t.rows, COLUMNS: t.columns, STEPS: t.steps, THREADS: threads, RM: t.threadRows, NQ: t.threadColumns / 4,
        LA: (t.rows * t.steps) / 4 / threads, LB: (t.columns * t.steps) / 4 / threads,
      },
    };
  };
  const first = defaultTile(e);
  const { grid, replace: own } = choice(first);
  return {
    grid, replace: own, variants: [first, ...tiles.filter((t) => t !== first)].map(choice),
    tuning: [e.rows, e.columns, e.depth, e.count].map(powerOfTwo).join(','),
  };
}
