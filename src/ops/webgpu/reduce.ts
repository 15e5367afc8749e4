/** Lowerings to shaders/reduce.wgsl and arg_max.wgsl. */
import type { GpuFeatures, Lowering, Placed, Scratch, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { adapterKind, sizeOf } from '../../device/types.ts';
import { DeviceError } from '../../errors.ts';
import { boundOffset, f32, linearGrid, read, storageType, write } from '../../device/webgpu/launch.ts';
import { joinAxes, placedStrides } from '../support/strides.ts';
import type { JoinedAxis } from '../support/strides.ts';

const MAX_AXES = 4;

export type Combine = 'sum' | 'max' | 'min';

const combines: Readonly<Record<Combine, { readonly start: string; readonly combine: string }>> = {
  sum: { start: '${T}(0.0)', combine: 'a + v' },
  max: { start: '${T}(x[p])', combine: 'max(a, v)' },
  min: { start: '${T}(x[p])', combine: 'min(a, v)' },
};

/** Terms below which a reduction stays in one run, and the most runs one is cut into: on hardware many, for all its threads to have work. */
const cuts = { software: { run: 256, splits: 1024 }, hardware: { run: 64, splits: 4096 } } as const;

function splitsOf(count: number, features: GpuFeatures | undefined): number {
  const { run, splits } = cuts[adapterKind(features)];
  return Math.min(splits, Math.max(1, Math.ceil(count / run)));
}

/** Something to reduce: where it starts in its binding, and its axes with strides. */
export interface Reducible {
  readonly binding: Placed | Scratch;
  readonly start: number;
  readonly kept: readonly { readonly length: number; readonly stride: number; readonly yStride: number }[];
  readonly reduced: readonly { readonly length: number; readonly stride: number }[];
}

const four = (axes: readonly JoinedAxis[], of: (a: JoinedAxis) => number, missing: number): number[] =>
  Array.from({ length: MAX_AXES }, (_, i) => (i < axes.length ? of(axes[i]) : missing));

/** Axes are given outermost first. Partial results go to `scratch` when the reduction is cut, in runs of ceil(count / splits). */
export function reduceLaunches(
  x: Reducible, y: { readonly binding: Placed | Scratch; readonly start: number }, combine: Combine, scale: number,
  splits: number, scratch: Scratch | undefined, label: string,
): WebgpuLaunch[] {
  const kept = joinAxes(x.kept.map((a) => a.length), [x.kept.map((a) => a.stride), x.kept.map((a) => a.yStride)]);
  const reduced = joinAxes(x.reduced.map((a) => a.length), [x.reduced.map((a) => a.stride)]);
  if (kept.length > MAX_AXES || reduced.length > MAX_AXES) {
    throw new DeviceError(`${label}: more than ${MAX_AXES} kept or reduced axes that cannot be joined`);
  }
  const outputs = kept.reduce((n, a) => n * a.length, 1);
  const count = reduced.reduce((n, a) => n * a.length, 1);
  const run = Math.max(1, Math.ceil(count / splits));
  const cut = splits > 1 && scratch !== undefined;

  const all = (v: (a: JoinedAxis) => number): boolean => kept.every((a, i) => i === 0 || v(a) % 4 === 0);
  const vector = kept[0].strides[0] === 1 && kept[0].strides[1] === 1 && kept[0].length % 4 === 0 && x.start % 4 === 0 &&
    y.start % 4 === 0 && all((a) => a.strides[0]) && all((a) => a.strides[1]) && reduced.every((a) => a.strides[0] % 4 === 0);
  const unit = vector ? 4 : 1;
  const T = vector ? 'vec4f' : 'f32';
  // partial results are float32
  const typeOf = (v: Placed | Scratch): string => ('dtype' in v ? storageType(v, vector) : T);
  const replace = {
    T, X: typeOf(x.binding), Y: typeOf(cut ? scratch : y.binding), START: combines[combine].start.replace('${T}', T),
    COMBINE: combines[combine].combine,
  };
  const inUnits = (a: JoinedAxis, i: number): number => (a === kept[0] ? a.strides[i] : a.strides[i] / unit);
  const keptLengths = four(kept, (a) => (a === kept[0] ? a.length / unit : a.length), 1);
  const lastLength = Math.max(1, count);

  // Partial results lie [splits][outputs], outputs in the order of the kept axes.
  const packed: number[] = [];
  kept.reduce((step, a) => (packed.push(step), step * (a === kept[0] ? a.length / unit : a.length)), 1);
  const n = outputs / unit;
  const first: WebgpuLaunch = {
    shader: 'reduce',
    replace,
    uniforms: [
      ...keptLengths, ...four(kept, (a) => inUnits(a, 0), 0),
      ...(cut ? four(kept, (a) => packed[kept.indexOf(a)], 0) : four(kept, (a) => inUnits(a, 1), 0)),
      ...four(reduced, (a) => Math.max(1, a.length), 1), ...four(reduced, (a) => a.strides[0] / unit, 0),
      x.start / unit, cut ? 0 : y.start / unit, n, count, cut ? splits : 1, cut ? run : lastLength, n, f32(cut ? 1 : scale),
    ],
    bindings: [read(x.binding), write(cut ? scratch : y.binding)],
    grid: linearGrid(n * (cut ? splits : 1)),
    label,
  };
  if (!cut) return [first];
  const second: WebgpuLaunch = {
    shader: 'reduce',
    replace: { ...replace, X: T, Y: typeOf(y.binding) },
    uniforms: [
      ...keptLengths, ...four(kept, (a) => packed[kept.indexOf(a)], 0), ...four(kept, (a) => inUnits(a, 1), 0),
      splits, 1, 1, 1, n, 0, 0, 0,
      0, y.start / unit, n, splits, 1, splits, n, f32(scale),
    ],
    bindings: [read(scratch), write(y.binding)],
    grid: linearGrid(n),
    label,
  };
  // On hardware one thread after another would wait for memory so many times.
  return [first, { ...second, adapter: 'software' }, { ...second, adapter: 'hardware', shader: 'reduce_runs', grid: linearGrid(64 * n) }];
}

/** Bytes of the partial results. */
export function reduceScratch(outputs: number, splits: number): number[] {
  return splits > 1 ? [4 * outputs * splits] : [];
}

/** y = the sum, in order, of `runs` contiguous results of its size that lie one after another in scratch memory. */
export function sumRuns(y: Placed, runs: number, scratch: Scratch, label: string): WebgpuLaunch[] {
  const kept = [
    { length: y.rows, stride: y.channels, yStride: y.stride },
    { length: y.channels, stride: 1, yStride: 1 },
  ];
  const reduced = [{ length: runs, stride: sizeOf(y.shape) }];
  return reduceLaunches({ binding: scratch, start: 0, kept, reduced }, { binding: y, start: boundOffset(y) }, 'sum', 1, 1, undefined,
    label);
}

type ReduceAttrs = { readonly axes: readonly number[]; readonly keepDims: boolean };

const lengthOf = (x: TensorType, axes: readonly number[]): number => axes.reduce((n, a) => n * x.shape[a], 1);

export function reduction(combine: Combine, mean = false): Lowering<ReduceAttrs, WebgpuLaunch> {
  return {
    scratch: ([x], [y], { axes }, features) => reduceScratch(sizeOf(y.shape), splitsOf(lengthOf(x, axes), features)),
    launches({ inputs: [x], outputs: [y], scratch, attrs: { axes }, features }) {
      const strides = placedStrides(x, x.shape);
      const yStrides = alignedStrides(y, x.shape, axes);
      const parts = x.shape.map((length, i) => ({ length, stride: strides[i], yStride: yStrides[i] }));
      const count = lengthOf(x, axes);
      return reduceLaunches(
        {
          binding: x, start: boundOffset(x), kept: parts.filter((_, i) => !axes.includes(i)), reduced: axes.map((a) => parts[a]),
        },
        { binding: y, start: boundOffset(y) }, combine, mean ? 1 / count : 1, splitsOf(count, features), scratch[0], mean ? 'mean' : combine,
      );
    },
  };
}

/** Strides of y along the axes of x, whether reduced axes were kept as 1 or dropped. */
function alignedStrides(y: Placed, shape: readonly number[], axes: readonly number[]): number[] {
  const own = placedStrides(y, y.shape);
  if (y.shape.length === shape.length) return own.map((s, i) => (axes.includes(i) ? 0 : s));
  let next = 0;
  return shape.map((_, i) => (axes.includes(i) ? 0 : own[next++]));
}

export const argMaxLowering: Lowering<{ readonly axis: number }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { axis } }) {
    const strides = placedStrides(x, x.shape);
    const yStrides = alignedStrides(y, x.shape, [axis]);
    const keep = x.shape.map((_, i) => i).filter((i) => i !== axis);
    const kept = joinAxes(keep.map((i) => x.shape[i]), [keep.map((i) => strides[i]), keep.map((i) => yStrides[i])]);
    if (kept.length > MAX_AXES) throw new DeviceError(`argMax: more than ${MAX_AXES} axes that cannot be joined`);
    const outputs = sizeOf(y.shape);
    return [{
      shader: 'arg_max',
      uniforms: [
        ...four(kept, (a) => a.length, 1), ...four(kept, (a) => a.strides[0], 0), ...four(kept, (a) => a.strides[1], 0),
        boundOffset(x), boundOffset(y), outputs, x.shape[axis], strides[axis],
      ],
      bindings: [read(x), write(y)],
      grid: linearGrid(outputs),
      label: 'argMax',
    }];
  },
};
