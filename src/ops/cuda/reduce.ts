/** Lowerings to kernels/cuda/reduce_columns.cu, reduce_rows.cu and arg_max.cu. */
import type { CudaLaunch, Lowering, Placed, Scratch, Shape } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK, f32, linearGrid, storageType, vectorizable } from '../../device/cuda/launch.ts';
import { DeviceError } from '../../errors.ts';
import type { JoinedAxis } from '../support/strides.ts';
import { joinAxes, placedStrides } from '../support/strides.ts';
import type { Columns } from './columns.ts';
import { columnsOf, runsOf } from './columns.ts';

const MAX_AXES = 4;

type Combine = 'sum' | 'max' | 'min';
type ReduceAttrs = { readonly axes: readonly number[]; readonly keepDims: boolean };

const folds: Readonly<Record<Combine, { readonly FOLD: string; readonly FIRST: string }>> = {
  sum: { FOLD: 'Add', FIRST: '0.0f' },
  max: { FOLD: 'Larger', FIRST: '-infinity()' },
  min: { FOLD: 'Smaller', FIRST: 'infinity()' },
};

/** Elements of a row that a block reduces at least, before another takes a part of it. */
const ROW_RUN = 16384;

/** Blocks of rows from which on rows are not cut. */
const ENOUGH = 2048;

/** How a reduction is computed, from its shape alone. */
interface Plan {
  readonly outputs: number;
  readonly count: number;
  /** Neighbours that are kept run along threads; absent where neighbours are reduced: rows. */
  readonly columns?: Columns;
  readonly width: 1 | 4;
  readonly run: number;
  readonly runs: number;
}

const kept = (shape: Shape, axes: readonly number[]): number[] => shape.map((_, i) => i).filter((i) => !axes.includes(i));

function planOf(shape: Shape, axes: readonly number[]): Plan {
  const rest = kept(shape, axes);
  const count = axes.reduce((n, a) => n * shape[a], 1);
  const outputs = rest.reduce((n, a) => n * shape[a], 1);
  const innermost = shape.findLastIndex((d) => d !== 1);
  const last = shape.length - 1;
  const width = last >= 0 && shape[last] % 4 === 0 ? 4 : 1;
  if (innermost >= 0 && rest.includes(innermost)) {
    const columns = columnsOf(outputs, width);
    return { outputs, count, columns, width, ...runsOf(count, columns) };
  }
  const runs = Math.min(1024, Math.max(1, Math.floor(ENOUGH / Math.max(1, outputs))), Math.max(1, Math.ceil(count / ROW_RUN)));
  const run = Math.max(4, Math.ceil(count / runs / 4) * 4);
  return { outputs, count, width, run, runs: Math.max(1, Math.ceil(count / run)) };
}

const four = (axes: readonly JoinedAxis[], of: (a: JoinedAxis, i: number) => number, missing: number): number[] =>
  Array.from({ length: MAX_AXES }, (_, i) => (i < axes.length ? of(axes[i], i) : missing));

const atMostFour = (axes: readonly JoinedAxis[], label: string): readonly JoinedAxis[] => {
  if (axes.length > MAX_AXES) throw new DeviceError(`${label}: more than ${MAX_AXES} kept or reduced axes that cannot be joined`);
  return axes;
};

/** The sum, or another, of every column of x; kept axes have strides in x and y, reduced ones in x. */
function columnsLaunch(
  x: Placed | Scratch, y: Placed | Scratch, { width, lanes, blocks }: Columns, aligned: boolean, keep: readonly JoinedAxis[],
  reduced: readonly JoinedAxis[], plan: Pick<Plan, 'outputs' | 'count' | 'run' | 'runs'>, combine: Combine, scale: number, label: string,
): CudaLaunch {
  const unit = (i: number): number => (i === 0 ? width : 1);
  return {
    kernel: 'reduce_columns',
    define: {
      ...folds[combine], RANK: reduced.length, COLUMNS: lanes, WIDTH: width, ALIGNED: aligned && width === 4 ? 1 : 0,
      XT: 'dtype' in x ? storageType(x) : 'float', YT: 'dtype' in y ? storageType(y) : 'float',
    },
    args: [
      at(x), at(y), plan.outputs / width, plan.count, plan.run, plan.outputs, keep[0].strides[1], f32(scale),
      ...four(keep, (a, i) => Math.max(1, a.length / unit(i)), 1),
      ...four(keep, (a, i) => a.strides[0] * unit(i), 0), ...four(keep, (a, i) => a.strides[1] * unit(i), 0),
      ...reduced.map((a) => Math.max(1, a.length)), ...reduced.map((a) => a.strides[0]),
    ],
    grid: [blocks, plan.runs, 1],
    block: BLOCK,
    label,
  };
}

function rowsLaunch(
  x: Placed, y: Placed | Scratch, plan: Plan, keep: readonly JoinedAxis[], reduced: readonly JoinedAxis[], combine: Combine, scale: number,
  label: string,
): CudaLaunch {
  const threads = plan.count > 1024 ? BLOCK : 32;
  return {
    kernel: 'reduce_rows',
    define: {
      ...folds[combine], RANK: reduced.length, THREADS: threads, WIDTH: plan.width, ALIGNED: plan.width === 4 && vectorizable([x]) ? 1 : 0,
      XT: storageType(x), YT: 'dtype' in y ? storageType(y) : 'float',
    },
    args: [
      at(x), at(y), plan.outputs, plan.count, plan.run, plan.outputs, f32(scale),
      ...four(keep, (a) => Math.max(1, a.length), 1), ...four(keep, (a) => a.strides[0], 0), ...four(keep, (a) => a.strides[1], 0),
      ...reduced.map((a) => Math.max(1, a.length)), ...reduced.map((a) => a.strides[0]),
    ],
    grid: [linearGrid(plan.outputs * threads)[0], plan.runs, 1],
    block: BLOCK,
    label,
  };
}

/** Steps between neighbours along each axis of contiguous elements. */
function packed(lengths: readonly number[]): number[] {
  const steps = new Array<number>(lengths.length).fill(1);
  for (let i = lengths.length - 2; i >= 0; i--) steps[i] = steps[i + 1] * lengths[i + 1];
  return steps;
}

export function reduction(combine: Combine, mean = false): Lowering<ReduceAttrs, CudaLaunch> {
  return {
    scratch([x], _outputs, { axes }) {
      const { outputs, runs } = planOf(x.shape, axes);
      return runs > 1 ? [4 * outputs * runs] : [];
    },
    launches({ inputs: [x], outputs: [y], scratch: [partial], attrs: { axes } }) {
      const label = mean ? 'mean' : combine;
      const plan = planOf(x.shape, axes);
      if (plan.outputs === 0) return [];
      const scale = mean ? 1 / plan.count : 1;
      const strides = placedStrides(x, x.shape);
      const yStrides = alignedStrides(y, x.shape, axes);
      const rest = kept(x.shape, axes);
      const lengths = rest.map((a) => x.shape[a]);
      const parts = packed(lengths);
      const cut = plan.runs > 1;
      const keep = atMostFour(joinAxes(lengths, [rest.map((a) => strides[a]), cut ? parts : rest.map((a) => yStrides[a])]), label);
      const reduced = atMostFour(joinAxes(axes.map((a) => x.shape[a]), [axes.map((a) => strides[a])]), label);
      const to = cut ? partial : y;
      const first = plan.columns === undefined ? rowsLaunch(x, to, plan, keep, reduced, combine, cut ? 1 : scale, label) :
        columnsLaunch(x, to, plan.columns, vectorizable([x]), keep, reduced, plan, combine, cut ? 1 : scale, label);
      if (!cut) return [first];
      const again = atMostFour(joinAxes(lengths, [parts, rest.map((a) => yStrides[a])]), label);
      const runs = [{ length: plan.runs, strides: [plan.outputs] }];
      return [first, columnsLaunch(partial, y, columnsOf(plan.outputs, plan.columns?.width ?? 1), true, again, runs,
        { outputs: plan.outputs, count: plan.runs, run: plan.runs, runs: 1 }, combine, scale, label)];
    },
  };
}

/** y = the sum, in order, of `runs` contiguous results of its size that lie one after another in scratch memory. */
export function sumRuns(y: Placed, runs: number, scratch: Scratch, label: string): CudaLaunch[] {
  const outputs = sizeOf(y.shape);
  if (outputs === 0) return [];
  const keep = joinAxes([y.rows, y.channels], [[y.channels, 1], [y.stride, 1]]);
  const width = y.channels % 4 === 0 ? 4 : 1;
  return [columnsLaunch(scratch, y, columnsOf(outputs, width), true, keep, [{ length: runs, strides: [outputs] }],
    { outputs, count: runs, run: runs, runs: 1 }, 'sum', 1, label)];
}

/** Strides of y along the axes of x, whether reduced axes were kept as 1 or dropped. */
function alignedStrides(y: Placed, shape: Shape, axes: readonly number[]): number[] {
  const own = placedStrides(y, y.shape);
  if (y.shape.length === shape.length) return own.map((s, i) => (axes.includes(i) ? 0 : s));
  let next = 0;
  return shape.map((_, i) => (axes.includes(i) ? 0 : own[next++]));
}

export const argMaxLowering: Lowering<{ readonly axis: number }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { axis } }) {
    const outputs = sizeOf(y.shape);
    if (outputs === 0) return [];
    const strides = placedStrides(x, x.shape);
    const yStrides = alignedStrides(y, x.shape, [axis]);
    const rest = kept(x.shape, [axis]);
    const keep = atMostFour(joinAxes(rest.map((i) => x.shape[i]), [rest.map((i) => strides[i]), rest.map((i) => yStrides[i])]), 'argMax');
    const lanes = strides[axis] === 1 ? 32 : 1;
    return [{
      kernel: 'arg_max',
      define: { LANES: lanes },
      args: [
        at(x), at(y), outputs, x.shape[axis], strides[axis],
        ...four(keep, (a) => a.length, 1), ...four(keep, (a) => a.strides[0], 0), ...four(keep, (a) => a.strides[1], 0),
      ],
      grid: linearGrid(outputs * lanes),
      block: BLOCK,
      label: 'argMax',
    }];
  },
};
