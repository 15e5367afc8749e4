/** Launches of kernels/cuda/gemm.cu and sum_runs.cu, which matmul and convolutions of single pixels share. */
import type { CudaLaunch, GpuFeatures, Placed, Scratch, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, linearGrid, storageType } from '../../device/cuda/launch.ts';
import { prologueForm, workedBy } from './prologue.ts';
import type { Prologues } from './prologue.ts';
import type { ProductPlan } from './tiles.ts';
import { planProduct, productForm, productLaunch, runsOf, throughRegisters } from './tiles.ts';

/** A matrix as rows of `stride` elements, those of a batch `batch` elements apart. */
interface Matrix {
  readonly value: Placed;
  /** Neighbours in memory are terms of one sum. */
  readonly byRows: boolean;
  readonly batch?: number;
}

export interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batch: number;
}

/** How a product is cut and tiled; from types alone. Of statistics a product is never cut. */
export function planGemm(operands: readonly TensorType[], p: Product, features: GpuFeatures | undefined, whole = false): {
  readonly plan: ProductPlan; readonly runs: number; readonly run: number;
} {
  const extent = { rows: p.rows, columns: p.columns, count: p.batch };
  const cut = whole ? { runs: 1, run: Math.max(1, p.depth) } : runsOf(extent, p.depth);
  return { plan: planProduct(operands, { ...extent, depth: cut.run, count: p.batch * cut.runs }, features), ...cut };
}

/** Bytes of partial results. */
export function gemmScratch(operands: readonly TensorType[], p: Product, features: GpuFeatures | undefined): number[] {
  const { runs } = planGemm(operands, p, features);
  return runs > 1 ? [4 * runs * p.batch * p.rows * p.columns] : [];
}

/** y = left right, plus a bias for each column and through ReLU where asked for; with `statistics`, partial ones of each tile's rows. */
export function gemmLaunches(
  left: Matrix, right: Matrix, y: Placed, p: Product,
  { bias, relu = false, statistics, scratch, features, label, yBatch = 0, prologues = {}, epilogue }: {
    readonly bias?: Placed | undefined; readonly relu?: boolean; readonly statistics?: Scratch; readonly scratch?: Scratch | undefined;
    readonly features: GpuFeatures | undefined; readonly label: string; readonly yBatch?: number;
    /** Of operands whose channels lie side by side. */
    readonly prologues?: Prologues | undefined;
    /** Constants by which results are normalized ahead of ReLU; of whole sums. */
    readonly epilogue?: Scratch;
  },
): CudaLaunch[] {
  const whole = scratch === undefined;
  const { plan, runs, run } = planGemm([left.value, right.value], p, features, whole);
  const form = productForm(throughRegisters(plan, workedBy(prologues)), [{ ...left, beside: prologues.gradient?.normed }, right]);
  const cut = runs > 1;
  const size = p.rows * p.columns;
  const to = cut ? scratch! : y;
  const { define, constants, activated, gradient, beside } = prologueForm(prologues, to);
  const aligned = cut ? p.columns % 4 === 0 : y.channels % 4 === 0 && y.stride % 4 === 0 && y.offset % 4 === 0;
  const launch = productLaunch('gemm', form, {
    XT: storageType(left.value), WT: storageType(right.value), YT: cut ? 'float' : storageType(y), XW: form.left, WW: form.right,
    LEFT_ROWS: left.byRows ? 1 : 0, RIGHT_ROWS: right.byRows ? 1 : 0, ALIGNED: aligned ? 1 : 0, STATS: statistics ? 1 : 0,
    ...define, ...(epilogue && { NORM: 1 }),
  }, [
    // What is not there is not touched; its argument is any memory.
    at(left.value), at(right.value), at(bias ?? y), at(to), at(statistics ?? to), epilogue ? at(epilogue) : constants, ...gradient,
    p.rows, p.columns, p.depth, left.value.stride, right.value.stride, cut ? p.columns : y.stride,
    left.batch ?? 0, right.batch ?? 0, cut ? size : yBatch, runs, run, cut ? p.batch * size : 0, bias ? 1 : 0, relu ? 1 : 0,
    activated, ...beside,
  ], label);
  return cut ? [launch, sumRuns(scratch!, runs, y, label)] : [launch];
}

/** y = the sum, in order, of `runs` results of its size that lie one after another. */
export function sumRuns(scratch: Scratch, runs: number, y: Placed, label: string): CudaLaunch {
  return {
    kernel: 'sum_runs', define: { YT: storageType(y) }, args: [at(scratch), at(y), y.rows, y.channels, y.stride, runs],
    grid: linearGrid(sizeOf(y.shape), 32), block: 256, label,
  };
}
