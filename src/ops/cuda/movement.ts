/** Lowerings of ops that move elements: strided copies, transposing, padding, gathering. */
import type { CudaLaunch, Lowering, Placed, Shape } from '../../device/types.ts';
import { bytesPerElement, sizeOf } from '../../device/types.ts';
import { copyLaunch } from '../../device/cuda/copy.ts';
import { at, BLOCK, f32, linearGrid, storageType, vectorizable } from '../../device/cuda/launch.ts';
import { DeviceError } from '../../errors.ts';
import type { JoinedAxis } from '../support/strides.ts';
import { joinAxes, placedStrides } from '../support/strides.ts';
import { stridedLaunches } from './elementwise.ts';

const MAX_AXES = 8;

const copies = (from: Placed, to: Placed): CudaLaunch[] => (sizeOf(to.shape) === 0 ? [] : [copyLaunch(from, to)]);

/** A copy with the rows and channels of the input counted anew. */
export const copyLowering: Lowering<unknown, CudaLaunch> = {
  launches: ({ inputs: [x], outputs: [y] }) => copies(x, y),
};

/** y[index] = x at strides and a start given for the axes of y. */
function strided(x: Placed, y: Placed, strides: readonly number[], start: number, label: string): CudaLaunch[] {
  const out = { value: y, strides: placedStrides(y, y.shape) };
  return stridedLaunches(y.shape, out, { x: { value: x, strides, start } }, { expression: 'x', label });
}

/** Where x runs through another axis than y, in steps of one element each: by tiles; undefined elsewhere. */
function tiledTranspose(x: Placed, y: Placed, strides: readonly number[]): CudaLaunch | undefined {
  const axes = joinAxes(y.shape, [strides, placedStrides(y, y.shape)]);
  const [rows] = axes;
  const columns = axes.find((a) => a.strides[0] === 1);
  const batches = axes.filter((a) => a !== rows && a !== columns);
  if (rows.strides[1] !== 1 || columns === undefined || columns === rows || batches.length > 2) return undefined;
  const two = (of: (a: JoinedAxis) => number, missing: number): number[] => [0, 1].map((i) => (i < batches.length ? of(batches[i]) : missing));
  const tiles = Math.ceil(rows.length / 32) * Math.ceil(columns.length / 32) * batches.reduce((n, a) => n * a.length, 1);
  return {
    kernel: 'transpose',
    define: { WORD: bytesPerElement[x.dtype] === 2 ? 'u16' : 'u32' },
    args: [
      at(x), at(y), rows.length, columns.length, rows.strides[0], columns.strides[1],
      ...two((a) => a.length, 1), ...two((a) => a.strides[0], 0), ...two((a) => a.strides[1], 0),
    ],
    grid: [tiles, 1, 1],
    block: BLOCK,
    label: 'transpose',
  };
}

export const transposeLowering: Lowering<{ readonly permutation: readonly number[] }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { permutation } }) {
    const own = placedStrides(x, x.shape);
    const strides = permutation.map((axis) => own[axis]);
    const tiled = sizeOf(y.shape) === 0 ? undefined : tiledTranspose(x, y, strides);
    return tiled ? [tiled] : strided(x, y, strides, 0, 'transpose');
  },
};

export const flipLowering: Lowering<{ readonly axes: readonly number[] }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { axes } }) {
    const own = placedStrides(x, x.shape);
    const start = axes.reduce((sum, axis) => sum + (x.shape[axis] - 1) * own[axis], 0);
    return strided(x, y, own.map((s, axis) => (axes.includes(axis) ? -s : s)), start, 'flip');
  },
};

export const sliceLowering: Lowering<{ readonly begin: Shape }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { begin } }) {
    const own = placedStrides(x, x.shape);
    return strided(x, y, own, begin.reduce((sum, b, axis) => sum + b * own[axis], 0), 'slice');
  },
};

/** Elements `start` and on of a flat vector. */
export const sliceFlatLowering: Lowering<{ readonly start: number }, CudaLaunch> = {
  launches: ({ inputs: [x], outputs: [y], attrs: { start } }) =>
    copies({ ...x, shape: y.shape, offset: x.offset + start, rows: y.rows, channels: y.channels, stride: y.channels }, y),
};

export const padLowering: Lowering<{ readonly before: Shape; readonly mode: 'constant' | 'edge'; readonly value: number }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { before, mode, value } }) {
    const rank = Math.max(1, y.shape.length);
    if (rank > MAX_AXES) throw new DeviceError(`pad: more than ${MAX_AXES} axes`);
    const vector = y.channels === x.channels && vectorizable([x, y]);
    const total = sizeOf(y.shape) / (vector ? 4 : 1);
    if (total === 0) return [];
    const inner = (values: readonly number[], missing: number): number[] => (values.length === 0 ? [missing] : [...values].reverse());
    return [{
      kernel: 'pad',
      define: { XT: storageType(x), WIDTH: vector ? 4 : 1, RANK: rank },
      args: [
        at(x), at(y), total, mode === 'edge' ? 1 : 0, f32(value),
        ...inner(y.shape, 1), ...inner(x.shape, 1), ...inner(before, 0), ...inner(placedStrides(x, x.shape), 0), ...inner(placedStrides(y, y.shape), 0),
      ],
      grid: linearGrid(total),
      block: BLOCK,
      label: 'pad',
    }];
  },
};

function gather(x: Placed, indices: Placed, y: Placed, shape: Shape, axis: number, gradient: boolean): CudaLaunch[] {
  // only where the last axis is not the one that is picked from does it hold neighbours of both
  const vector = axis < shape.length - 1 && vectorizable([x, y]);
  const width = vector ? 4 : 1;
  const total = sizeOf(y.shape) / width;
  if (total === 0) return [];
  return [{
    kernel: 'gather',
    define: { GRADIENT: gradient ? 1 : 0, TYPE: gradient ? 'float' : 'i32', WIDTH: width },
    args: [
      at(x), at(indices), at(y), total, sizeOf(shape.slice(axis + 1)), shape[axis], sizeOf(indices.shape),
      ...[indices, x, y].flatMap((v) => [v.channels, v.stride]),
    ],
    grid: linearGrid(total),
    block: BLOCK,
    label: gradient ? 'gatherGrad' : 'gather',
  }];
}

export const gatherLowering: Lowering<{ readonly axis: number }, CudaLaunch> = {
  launches: ({ inputs: [x, indices], outputs: [y], attrs: { axis } }) => gather(x, indices, y, x.shape, axis, false),
};

export const gatherGradLowering: Lowering<{ readonly axis: number }, CudaLaunch> = {
  launches: ({ inputs: [dy, indices], outputs: [dx], attrs: { axis } }) => gather(dy, indices, dx, dx.shape, axis, true),
};

export const oneHotLowering: Lowering<{ readonly depth: number }, CudaLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { depth } }) {
    const total = sizeOf(y.shape);
    return total === 0 ? [] : [{
      kernel: 'one_hot',
      args: [at(x), at(y), total, depth, x.channels, x.stride, y.stride],
      grid: linearGrid(total),
      block: BLOCK,
      label: 'oneHot',
    }];
  },
};
