/** Lowerings of what moves, converts or draws elements: kernels/wasm/movement.ts, random.ts and the elementwise identity. */
import type { CpuArg, CpuLaunch, DType, Lowering, Placed, Shape } from '../../device/types.ts';
import { bytesPerElement, sizeOf } from '../../device/types.ts';
import { placedStrides } from '../support/strides.ts';
import { stridedLaunch } from './elementwise.ts';

const TILE = 16384;
const ceil = (a: number, b: number): number => Math.ceil(a / b);
const dtypes: readonly DType[] = ['float32', 'int32', 'uint8', 'bool'];

export const castLowering: Lowering<unknown, CpuLaunch> = {
  launches({ inputs: [x], outputs: [y] }) {
    const perTile = Math.max(1, Math.floor(TILE / Math.max(1, x.channels)));
    return [{
      kernel: 'cast',
      tiles: ceil(x.rows, perTile),
      args: [
        { address: x }, { address: y }, x.rows, x.channels, x.stride * bytesPerElement[x.dtype], y.stride * bytesPerElement[y.dtype],
        dtypes.indexOf(x.dtype), dtypes.indexOf(y.dtype), perTile,
      ],
      label: 'cast',
    }];
  },
};

/** The same elements in raveled order, whatever the rows of either side. */
export const ravelLowering: Lowering<unknown, CpuLaunch> = {
  launches: ({ inputs: [x], outputs: [y] }) => [{
    kernel: 'ravel',
    tiles: ceil(sizeOf(y.shape), TILE),
    args: [{ address: x }, { address: y }, sizeOf(y.shape), x.channels, x.stride * 4, y.channels, y.stride * 4, TILE],
    label: 'reshape',
  }],
};

export const sliceFlatLowering: Lowering<{ readonly start: number }, CpuLaunch> = {
  launches: ({ attrs: { start }, inputs: [x], outputs: [y] }) => [{
    kernel: 'ravel',
    tiles: ceil(sizeOf(y.shape), TILE),
    args: [
      { address: { ...x, offset: x.offset + start } }, { address: y }, sizeOf(y.shape), x.channels, x.stride * 4, y.channels,
      y.stride * 4, TILE,
    ],
    label: 'sliceFlat',
  }],
};

export const transposeLowering: Lowering<{ readonly permutation: readonly number[] }, CpuLaunch> = {
  launches({ attrs: { permutation }, inputs: [x], outputs: [y] }) {
    const strides = placedStrides(x, x.shape);
    // a matrix, or a batch of one: squares at a time
    const fast = matrixTranspose(permutation, x, y);
    if (fast) return fast;
    return [stridedLaunch('identity', y.shape, [
      { value: y, strides: placedStrides(y, y.shape) }, { value: x, strides: permutation.map((a) => strides[a]) },
    ])];
  },
};

/** Where the permutation exchanges two blocks of axes behind a batch, each uniformly strided. */
function matrixTranspose(permutation: readonly number[], x: Placed, y: Placed): CpuLaunch[] | undefined {
  const rank = permutation.length;
  let batchAxes = 0;
  while (batchAxes < rank && permutation[batchAxes] === batchAxes) batchAxes++;
  const split = permutation[batchAxes];
  if (split === undefined) return undefined;
  for (let i = batchAxes; i < rank; i++) {
    if (permutation[i] !== (i - batchAxes < rank - split ? split + i - batchAxes : i - (rank - split))) return undefined;
  }
  const size = (from: number, to: number): number => x.shape.slice(from, to).reduce((n, d) => n * d, 1);
  const batch = size(0, batchAxes);
  const rows = size(batchAxes, split);
  const columns = size(split, rank);
  // columns of x, rows of the result, must be contiguous
  const uniform = (v: Placed, width: number): boolean => v.channels === width || v.stride === v.channels;
  if (batch > 64 || !uniform(x, columns) || !uniform(y, rows)) return undefined;
  const xStep = x.channels === columns ? x.stride : columns;
  const yStep = y.channels === rows ? y.stride : rows;
  return Array.from({ length: batch }, (_, i): CpuLaunch => ({
    kernel: 'transposeRows',
    tiles: ceil(columns, 16),
    args: [
      { address: { ...x, offset: x.offset + i * rows * xStep } }, { address: { ...y, offset: y.offset + i * columns * yStep } }, rows,
      columns, xStep * 4, yStep * 4, 16,
    ],
    label: 'transpose',
  }));
}

export const sliceLowering: Lowering<{ readonly begin: Shape }, CpuLaunch> = {
  launches({ attrs: { begin }, inputs: [x], outputs: [y] }) {
    const strides = placedStrides(x, x.shape).map((s, i) => (x.shape[i] === 1 ? 0 : s));
    const start = begin.reduce((n, b, i) => n + b * strides[i], 0);
    return [stridedLaunch('identity', y.shape, [
      { value: y, strides: placedStrides(y, y.shape) }, { value: x, strides: placedStrides(x, x.shape), start },
    ])];
  },
};

export const flipLowering: Lowering<{ readonly axes: readonly number[] }, CpuLaunch> = {
  launches({ attrs: { axes }, inputs: [x], outputs: [y] }) {
    const strides = placedStrides(x, x.shape);
    const start = axes.reduce((n, a) => n + (x.shape[a] - 1) * strides[a], 0);
    return [stridedLaunch('identity', y.shape, [
      { value: y, strides: placedStrides(y, y.shape) },
      { value: x, strides: strides.map((s, i) => (axes.includes(i) ? -s : s)), start },
    ])];
  },
};

interface PadAttrs {
  readonly before: Shape;
  readonly mode: 'constant' | 'edge';
  readonly value: number;
}

export const padLowering: Lowering<PadAttrs, CpuLaunch> = {
  launches({ attrs: { before, mode, value }, inputs: [x], outputs: [y] }) {
    const rank = y.shape.length;
    const perTile = Math.max(1, Math.floor(TILE / Math.max(1, y.channels)));
    if (mode === 'edge') {
      const args: CpuArg[] = [
        { address: x }, { address: y }, y.rows, Math.max(0, rank - 1), x.channels, before[rank - 1] ?? 0, y.channels, x.stride * 4,
        y.stride * 4, perTile,
      ];
      while (args.length < 16) args.push(0);
      for (let axis = rank - 2; axis >= 0; axis--) args.push(y.shape[axis], before[axis], x.shape[axis]);
      return [{ kernel: 'padEdge', tiles: ceil(y.rows, perTile), args, label: 'pad' }];
    }
    const fill: CpuLaunch = {
      kernel: 'fill',
      tiles: ceil(y.rows, perTile),
      args: [{ address: y }, y.rows, y.channels, y.stride, { f32: value }, perTile],
      label: 'pad: border',
    };
    const strides = placedStrides(y, y.shape);
    const start = before.reduce((n, b, i) => n + b * strides[i], 0);
    return [fill, stridedLaunch('identity', x.shape, [
      { value: y, strides, start }, { value: x, strides: placedStrides(x, x.shape) },
    ])];
  },
};

function gatherArgs(x: Placed, indices: Placed, out: Placed, shape: Shape, axis: number, pairsPerTile: number): CpuArg[] {
  const size = (from: number, to?: number): number => shape.slice(from, to).reduce((n, d) => n * d, 1);
  return [
    { address: x }, { address: indices }, { address: out }, size(0, axis), shape[axis], sizeOf(indices.shape), size(axis + 1),
    x.channels, x.stride * 4, indices.channels, indices.stride * 4, out.channels, out.stride * 4, pairsPerTile,
  ];
}

export const gatherLowering: Lowering<{ readonly axis: number }, CpuLaunch> = {
  launches({ attrs: { axis }, inputs: [x, indices], outputs: [out] }) {
    const inner = sizeOf(x.shape.slice(axis + 1));
    const perTile = Math.max(1, Math.floor(TILE / Math.max(1, inner)));
    const pairs = sizeOf(x.shape.slice(0, axis)) * sizeOf(indices.shape);
    return [{ kernel: 'gather', tiles: ceil(pairs, perTile), args: gatherArgs(x, indices, out, x.shape, axis, perTile), label: 'gather' }];
  },
};

export const gatherGradLowering: Lowering<{ readonly axis: number; readonly inputShape: Shape }, CpuLaunch> = {
  launches({ attrs: { axis, inputShape }, inputs: [dy, indices], outputs: [dx] }) {
    const inner = sizeOf(inputShape.slice(axis + 1));
    const perTile = Math.max(1, Math.floor(1024 / Math.max(1, inner)));
    const pairs = sizeOf(inputShape.slice(0, axis + 1));
    return [{
      kernel: 'gatherGrad', tiles: ceil(pairs, perTile), args: gatherArgs(dy, indices, dx, inputShape, axis, perTile), label: 'gatherGrad',
    }];
  },
};

export const oneHotLowering: Lowering<{ readonly depth: number }, CpuLaunch> = {
  launches({ attrs: { depth }, inputs: [indices], outputs: [y] }) {
    const perTile = Math.max(1, Math.floor(TILE / depth));
    return [{
      kernel: 'oneHot',
      tiles: ceil(y.rows, perTile),
      args: [{ address: indices }, { address: y }, y.rows, depth, indices.channels, indices.stride * 4, y.stride * 4, perTile],
      label: 'oneHot',
    }];
  },
};

interface RandomAttrs {
  readonly distribution: 'uniform' | 'normal' | 'bernoulli';
  readonly probability?: number;
  readonly key: number;
}

const distributions = ['uniform', 'normal', 'bernoulli'] as const;

/** A vector of samples is rows of one element each. */
function sampleRows(v: Placed): { rows: number; channels: number; stride: number; perSample: number } {
  if (v.shape.length === 1) return { rows: v.shape[0], channels: 1, stride: 1, perSample: 1 };
  return { rows: v.rows, channels: v.channels, stride: v.stride, perSample: v.shape[0] === 0 ? 1 : v.rows / v.shape[0] };
}

interface RandomParts {
  readonly counters: readonly Placed[];
  readonly x?: Placed;
  readonly out: Placed;
  readonly distribution: number;
  readonly probability: number;
  readonly key: number;
}

function randomLaunch({ counters: [seed, step, ids], x, out, distribution, probability, key }: RandomParts): CpuLaunch {
  const to = sampleRows(out);
  const perTile = Math.max(1, Math.floor(4096 / Math.max(1, to.channels)));
  return {
    kernel: 'random',
    tiles: ceil(to.rows, perTile),
    args: [
      { address: seed }, { address: step }, { address: ids }, x ? { address: x } : 0, { address: out }, to.rows, to.channels,
      to.perSample, x ? sampleRows(x).stride * 4 : 0, to.stride * 4, perTile, distribution, { f32: probability }, key | 0,
      { f32: x ? 1 / (1 - probability) : 1 },
    ],
    label: x ? 'dropout' : 'random',
  };
}

export const randomLowering: Lowering<RandomAttrs, CpuLaunch> = {
  launches: ({ attrs: { distribution, probability, key }, inputs, outputs: [out] }) => [randomLaunch({
    counters: inputs, out, distribution: distributions.indexOf(distribution), probability: probability ?? 0.5, key,
  })],
};

export const dropoutLowering: Lowering<{ readonly rate: number; readonly key: number }, CpuLaunch> = {
  launches: ({ attrs: { rate, key }, inputs: [x, ...counters], outputs: [out] }) =>
    [randomLaunch({ counters, x, out, distribution: 0, probability: rate, key })],
};
