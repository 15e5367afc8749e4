/** How products of matrices are computed by kernels/cuda/lib/product.cuh: on which rung of the ladder, by which tile, with what macros. */
import type { CudaLaunch, GpuFeatures, Placed, TensorType } from '../../device/types.ts';
import { bytesPerElement, isHalfType, isVectorizable } from '../../device/types.ts';

/** Multiply-adds of float, TF32 on matrix units, 16-bit operands on matrix units: MATH of lib/panel.cuh. */
type Arithmetic = 'fma' | 'tf32' | 'half';

/** Results of a block, terms that are staged at a time, and owners (threads or warps) along rows and columns. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly steps: number;
  readonly down: number;
  readonly across: number;
  /** Of the large tile's results in the time that it takes for one. By reasoning, not measured. */
  readonly speed: number;
}

/** Large to small. All of a kind add the terms of a result in the same order, so their bits are equal, and the device may choose by time. */
const tiles: Readonly<Record<Arithmetic, readonly Tile[]>> = {
  fma: [
    { rows: 128, columns: 128, steps: 8, down: 16, across: 16, speed: 1 },
    { rows: 128, columns: 64, steps: 16, down: 16, across: 16, speed: 0.9 },
    { rows: 64, columns: 64, steps: 16, down: 8, across: 16, speed: 0.8 },
    { rows: 32, columns: 32, steps: 16, down: 8, across: 8, speed: 0.45 },
  ],
  tf32: [
    { rows: 128, columns: 128, steps: 16, down: 2, across: 4, speed: 1 },
    { rows: 128, columns: 64, steps: 16, down: 4, across: 2, speed: 0.8 },
    { rows: 64, columns: 64, steps: 16, down: 2, across: 2, speed: 0.6 },
    { rows: 32, columns: 32, steps: 16, down: 2, across: 1, speed: 0.3 },
  ],
  half: [
    { rows: 128, columns: 128, steps: 32, down: 2, across: 4, speed: 1 },
    { rows: 128, columns: 64, steps: 32, down: 4, across: 2, speed: 0.8 },
    { rows: 64, columns: 64, steps: 32, down: 2, across: 2, speed: 0.6 },
    { rows: 32, columns: 32, steps: 32, down: 2, across: 1, speed: 0.3 },
  ],
};

/** Multiprocessors that work should be spread over, whatever the device has: tiles follow from shapes alone. An H100's. */
export const PROCESSORS = 132;

/** Rows and columns of a product, and how many products of that size a launch computes: of a batch, of runs, of phases. */
export interface Extent {
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
}

/** A product with the terms of its sums, as one launch computes it. */
export interface Sized extends Extent {
  readonly depth: number;
}

/** What follows from types and features, before anything is placed. */
export interface ProductPlan {
  readonly arithmetic: Arithmetic;
  readonly tile: Tile;
  /** Tiles among which the device may choose by time. */
  readonly others: readonly Tile[];
  readonly extent: Sized;
  /** The copying rung is asked for also where it moves single elements. */
  readonly forceAsync: boolean;
  readonly mayCopy: boolean;
  /** An operand's elements are worked on between memory and panel, alone or with those of a value beside them. */
  readonly worked?: 'alone' | 'beside';
}

function arithmeticOf([left, right]: readonly TensorType[], features: GpuFeatures | undefined): Arithmetic {
  const gpu = features?.cuda;
  if (gpu === undefined || gpu.capability < 80 || gpu.rung === 'simt' || gpu.rung === 'async') return 'fma';
  if (isHalfType(left.dtype) && right.dtype === left.dtype) return 'half';
  return gpu.tf32 === true && left.dtype === 'float32' && right.dtype === 'float32' ? 'tf32' : 'fma';
}

/** The tile by which the busiest multiprocessor is done first. */
export function planProduct(operands: readonly TensorType[], extent: Sized, features: GpuFeatures | undefined): ProductPlan {
  const arithmetic = arithmeticOf(operands, features);
  const time = ({ rows, columns, speed }: Tile): number => {
    const blocks = Math.ceil(extent.rows / rows) * Math.ceil(extent.columns / columns) * extent.count;
    return (Math.ceil(blocks / PROCESSORS) * rows * columns) / speed;
  };
  const choices = tiles[arithmetic];
  const { rung, tile: index } = features?.cuda ?? {};
  const tile = index === undefined ? choices.reduce((best, t) => (time(t) < time(best) ? t : best)) : choices[index];
  const others = index === undefined ? choices.filter((t) => t !== tile) : [];
  return {
    arithmetic, tile, others, extent, forceAsync: rung === 'async', mayCopy: (features?.cuda?.capability ?? 0) >= 80 && rung !== 'simt',
  };
}

/** The plan for operands that something is done to on their way, if so: they pass through registers, and there is no choice of tiles. */
export const throughRegisters = (plan: ProductPlan, worked: ProductPlan['worked']): ProductPlan =>
  (worked === undefined ? plan : { ...plan, others: [], mayCopy: false, worked });

/** An operand, and whether neighbours in memory are terms of one sum. */
export interface Operand {
  readonly value: Placed;
  readonly byRows: boolean;
  /** A value of its shape that is read along with it. */
  readonly beside?: Placed | undefined;
}

type Macros = Readonly<Record<string, string | number>>;

/** What a launch of a product has in common with every other: macros, block, shared memory, and the widths of its operands. */
interface TileForm {
  readonly define: Macros;
  readonly block: number;
  readonly shared: number;
  readonly grid: readonly [number, number, number];
  /** Elements of the operands that are read at once. */
  readonly left: number;
  readonly right: number;
}

export interface ProductForm extends TileForm {
  readonly tile: Tile;
  /** With other tiles, whose operands are read in the same widths. */
  readonly others: readonly (TileForm & { readonly tile: Tile })[];
  /** Powers of two of the sizes: products for which one tile is expected to be fastest. */
  readonly tuning: string;
}

const MATH: Readonly<Record<Arithmetic, number>> = { fma: 0, tf32: 1, half: 2 };

/** Elements of a panel, as lib/panel.cuh pads it. */
function panelSize(byRows: boolean, extent: number, steps: number, arithmetic: Arithmetic): number {
  if (byRows && arithmetic !== 'fma') return (steps + (arithmetic === 'half' ? 8 : 4)) * extent;
  return (extent + (arithmetic === 'fma' ? 4 : 8)) * steps;
}

const powerOfTwo = (n: number): number => Math.round(Math.log2(Math.max(1, n)));

/** `sameWidth`: both operands are read in vectors or neither, as where one walks the terms for both. */
export function productForm(plan: ProductPlan, operands: readonly [Operand, Operand], sameWidth = false): ProductForm {
  const { tile, extent: { rows, columns, depth, count } } = plan;
  const formOf = (one: Tile): TileForm & { tile: Tile } => ({ ...tileForm(plan, one, operands, sameWidth), tile: one });
  const form = formOf(tile);
  // Callers build macros and arguments on the widths.
  const others = plan.others.map(formOf).filter((one) => one.left === form.left && one.right === form.right);
  return { ...form, others, tuning: [rows, columns, depth, count].map(powerOfTwo).join(',') };
}

function tileForm(
  { arithmetic, extent, forceAsync, mayCopy, worked }: ProductPlan, tile: Tile, [left, right]: readonly [Operand, Operand], sameWidth: boolean,
): TileForm {
  const most = arithmetic === 'half' ? 8 : 4;
  const widthOf = ({ value, beside = value }: Operand): number => (isVectorizable(value, most) && isVectorizable(beside, most) ? most : 1);
  let widths = [widthOf(left), widthOf(right)];
  if (sameWidth && widths.includes(1)) widths = [1, 1];
  const vectors = !widths.includes(1);
  let copies: boolean;
  if (arithmetic === 'fma') {
    // Panels of multiply-adds are by steps: what lies by rows is turned on the way, element by element.
    const floats = [left, right].every(({ value }) => value.dtype === 'float32');
    copies = mayCopy && floats && (forceAsync || (vectors && !left.byRows && !right.byRows));
    if (copies) widths = [left, right].map(({ byRows }, i) => (byRows ? 1 : widths[i]));
    if (copies && sameWidth && widths.includes(1)) widths = [1, 1];
  } else {
    copies = mayCopy && [left, right].every(({ value }, i) => widths[i] * bytesPerElement[value.dtype] >= 4);
  }
  const single = widths.includes(1);
  // A thread that loads single elements keeps more places: fewer steps at a time, or fewer blocks at once. ptxas' reports have no spills so.
  const oblong = arithmetic !== 'tf32' && tile.rows === 128 && tile.columns === 64;
  const steps = !single ? tile.steps : arithmetic === 'half' ? 16 : oblong ? 8 : tile.steps;
  // Of so few steps there are not as many vectors as threads.
  if (single && oblong) widths = [1, 1];
  // What an operand is worked on with finds no registers beside the results of the largest tile where two blocks share them, nor do halves that are
  // widened and turned on their way; vectors of two values of halves do not beside those of the next tile.
  const halves = isHalfType(left.value.dtype);
  const widened = arithmetic === 'fma' && halves && left.byRows && !right.byRows;
  const crowded = tile.columns === 128 ? worked !== undefined || widened : worked === 'beside' && tile.rows === 128 && halves;
  const alone = (single && !(oblong && arithmetic === 'fma')) || crowded;
  const stages = !copies ? 2 : arithmetic === 'fma' && steps === 8 ? 4 : 3;
  const size = panelSize(left.byRows, tile.rows, steps, arithmetic) + panelSize(right.byRows, tile.columns, steps, arithmetic);
  const threads = tile.down * tile.across * (arithmetic === 'fma' ? 1 : 32);
  return {
    define: {
      MATH: MATH[arithmetic], ASYNC: copies ? 1 : 0, STAGES: stages, ROWS: tile.rows, COLUMNS: tile.columns, STEPS: steps, DOWN: tile.down,
      ACROSS: tile.across, BLOCKS: alone ? 1 : 2,
    },
    block: threads,
    shared: stages * size * (arithmetic === 'half' ? 2 : 4),
    grid: [Math.ceil(extent.rows / tile.rows) * Math.ceil(extent.columns / tile.columns), extent.count, 1],
    left: widths[0],
    right: widths[1],
  };
}

/** A launch of a kernel that computes by a form, with the other tiles as variants; without, where tiles leave statistics of their rows. */
export function productLaunch(kernel: string, form: ProductForm, define: Macros, args: CudaLaunch['args'], label: string): CudaLaunch {
  const shapeOf = ({ define: own, grid, block, shared }: TileForm) => ({ define: { ...own, ...define }, grid, block, shared });
  const launch: CudaLaunch = { kernel, ...shapeOf(form), args, label };
  if (form.others.length === 0 || define.STATS === 1) return launch;
  const variants = [form, ...form.others].map((one) => ({ name: `${one.tile.rows}x${one.tile.columns}`, ...shapeOf(one) }));
  return { ...launch, variants, tuning: form.tuning };
}

/** Blocks of 64 x 64 results below which a sum is cut, and terms that a run has at least. */
const ENOUGH_BLOCKS = 512;
const ENOUGH_TERMS = 128;

/**
 * Runs into which sums of `depth` terms are cut, of so many terms each: from shapes alone. A run is whole turns of `turn` terms; for a larger
 * `turn` there are no more of them.
 */
export function runsOf({ rows, columns, count }: Extent, depth: number, turn = 32): { readonly runs: number; readonly run: number } {
  const blocks = Math.ceil(rows / 64) * Math.ceil(columns / 64) * count;
  const wanted = Math.max(1, Math.min(Math.ceil(ENOUGH_BLOCKS / blocks), Math.floor(depth / ENOUGH_TERMS), Math.floor(65535 / count)));
  // Whole turns of every tile, and whole vectors.
  const run = Math.ceil(Math.ceil(depth / wanted) / turn) * turn;
  return { runs: Math.max(1, Math.ceil(depth / run)), run };
}
