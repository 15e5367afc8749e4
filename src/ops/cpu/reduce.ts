/** Lowerings of reductions to kernels/wasm/reduce.ts. Parts and tiles follow from shapes alone. */
import type { CpuArg, CpuLaunch, Lowering, Placed, Scratch, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { placedStrides } from '../support/strides.ts';

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

type Kind = 'sum' | 'mean' | 'max' | 'min';

const kinds: Readonly<Record<Kind, number>> = { sum: 0, mean: 0, max: 1, min: 2 };
const MOST_AXES = 4;
/** Elements that a tile reads, and tiles worth having. */
const TILE = 16384;
const ENOUGH_TILES = 32;

const ceil = (a: number, b: number): number => Math.ceil(a / b);

interface Axis {
  length: number;
  x: number;
  out: number;
}

/** Joins neighbours that continue each other. */
function joined(axes: readonly Axis[]): Axis[] {
  const result: Axis[] = [];
  for (const axis of axes) {
    if (axis.length === 1) continue;
    const previous = result[result.length - 1];
    if (previous && previous.x === axis.x * axis.length && previous.out === axis.out * axis.length) {
      previous.length *= axis.length;
      previous.x = axis.x;
      previous.out = axis.out;
    } else result.push({ ...axis });
  }
  if (result.length > MOST_AXES) throw new Error(`reduction over ${result.length} separate axes, at most ${MOST_AXES}`);
  return result;
}

const count = (axes: readonly Axis[]): number => axes.reduce((n, a) => n * a.length, 1);

/** Where the parts of a long reduction are cut: from types alone, since scratch is asked for before anything is placed. */
function partsOf(x: TensorType, attrs: ReduceAttrs): { columns: boolean; parts: number; chunk: number; outputs: number } {
  const last = x.shape.length - 1;
  const columns = x.shape.length > 0 && !attrs.axes.includes(last) && x.shape[last] > 1;
  const reduced = attrs.axes.reduce((n, a) => n * x.shape[a], 1);
  const outputs = reduced === 0 ? sizeOf(x.shape.filter((_, i) => !attrs.axes.includes(i))) : sizeOf(x.shape) / reduced;
  // the unit that is cut: rows of columns, rows outside of the inner run, or elements of a single run
  const inner = columns || x.shape.length === 0 ? 1 : x.shape[last];
  const rows = columns ? reduced : reduced / Math.max(1, inner);
  const units = columns || rows > 1 ? rows : reduced;
  const unitCost = columns ? outputs : rows > 1 ? inner * outputs : outputs;
  const cost = units * unitCost;
  const tilesOfOutputs = columns ? ceil(outputs, 64) : ceil(outputs, 64);
  const wanted = Math.min(ceil(ENOUGH_TILES, tilesOfOutputs), Math.floor(cost / TILE));
  const chunk = ceil(units, Math.max(1, wanted));
  return { columns, parts: Math.max(1, ceil(units, Math.max(1, chunk))), chunk: Math.max(1, chunk), outputs };
}

/** Strides of the result along the axes of x: 0 where reduced. */
function outStrides(x: Placed, out: Placed, attrs: ReduceAttrs): number[] {
  if (attrs.keepDims) return placedStrides(out, out.shape).map((s, i) => (attrs.axes.includes(i) ? 0 : s));
  const strides = placedStrides(out, out.shape);
  let next = 0;
  return x.shape.map((_, i) => (attrs.axes.includes(i) ? 0 : strides[next++]));
}

function reduceLaunches(kind: Kind, x: Placed, out: Placed, attrs: ReduceAttrs, scratch: Scratch | undefined): CpuLaunch[] {
  const { parts, chunk, outputs, columns } = partsOf(x, attrs);
  const xs = placedStrides(x, x.shape);
  const os = outStrides(x, out, attrs);
  // partial results are contiguous, in the order of the kept axes
  const partial = new Array<number>(x.shape.length).fill(0);
  let step = 1;
  for (let i = x.shape.length - 1; i >= 0; i--) {
    if (attrs.axes.includes(i)) continue;
    partial[i] = step;
    step *= x.shape[i];
  }
  const target = parts > 1 ? partial : os;
  const all: Axis[] = x.shape.map((length, i) => ({ length, x: xs[i] * 4, out: target[i] * 4 }));
  const last = x.shape.length - 1;
  const keptAxes = all.filter((_, i) => !attrs.axes.includes(i) && !(columns && i === last));
  const reducedAxes = all.filter((_, i) => attrs.axes.includes(i) && (columns || i !== last));
  const inner = last < 0 ? 1 : x.shape[last];
  const innerReduced = !columns && attrs.axes.includes(last);
  const kept = joined(keptAxes);
  const reduced = joined(reducedAxes.map((a) => ({ ...a, out: 0 })));
  const size = attrs.axes.reduce((n, a) => n * x.shape[a], 1);
  const scale = kind === 'mean' ? 1 / size : 1;
  const perTile = columns ? 64 : Math.max(1, Math.min(1024, Math.floor(TILE / Math.max(1, ceil(size, parts)))));
  const tiles = columns ? ceil(inner, perTile) : ceil(outputs, perTile);
  const args: CpuArg[] = [
    { address: x }, { address: parts > 1 ? scratch! : out }, kinds[kind], { f32: parts > 1 ? 1 : scale },
    columns || innerReduced ? inner : 1, kept.length, count(kept), reduced.length, count(reduced), parts, chunk, perTile, tiles,
    parts > 1 ? outputs * 4 : 0, 4, chunk,
  ];
  for (let i = 0; i < MOST_AXES; i++) args.push(kept[i]?.length ?? 1, kept[i]?.x ?? 0, kept[i]?.out ?? 0);
  for (let i = 0; i < MOST_AXES; i++) args.push(reduced[i]?.length ?? 1, reduced[i]?.x ?? 0);
  const launches: CpuLaunch[] = [{
    kernel: columns ? 'reduceColumns' : 'reduceRows',
    tiles: outputs === 0 ? 0 : parts * tiles * (columns ? count(kept) : 1),
    args,
    label: kind,
  }];
  if (parts > 1) {
    launches.push({
      kernel: 'reduceParts',
      tiles: ceil(outputs, 512),
      args: [
        { address: scratch! }, { address: out }, kinds[kind], { f32: scale }, parts, outputs * 4, out.rows, out.channels, out.stride * 4,
        512,
      ],
      label: `${kind}: join parts`,
    });
  }
  return launches;
}

export function reduction(kind: Kind): Lowering<ReduceAttrs, CpuLaunch> {
  return {
    scratch([x], _outputs, attrs) {
      const { parts, outputs } = partsOf(x, attrs);
      return parts > 1 ? [parts * outputs * 4] : [];
    },
    launches: ({ attrs, inputs: [x], outputs: [out], scratch: [scratch] }) => reduceLaunches(kind, x, out, attrs, scratch),
  };
}

export const argMaxLowering: Lowering<{ readonly axis: number }, CpuLaunch> = {
  launches({ attrs: { axis }, inputs: [x], outputs: [out] }) {
    const xs = placedStrides(x, x.shape);
    const os = outStrides(x, out, { axes: [axis], keepDims: false });
    const kept = joined(x.shape.map((length, i) => ({ length, x: xs[i] * 4, out: os[i] * 4 })).filter((_, i) => i !== axis));
    const outputs = count(kept);
    const perTile = Math.max(1, Math.floor(TILE / x.shape[axis]));
    const args: CpuArg[] = [{ address: x }, { address: out }, outputs, x.shape[axis], xs[axis] * 4, kept.length, perTile];
    while (args.length < 16) args.push(0);
    for (let i = 0; i < MOST_AXES; i++) args.push(kept[i]?.length ?? 1, kept[i]?.x ?? 0, kept[i]?.out ?? 0);
    return [{ kernel: 'argMax', tiles: ceil(outputs, perTile), args, label: 'argMax' }];
  },
};
