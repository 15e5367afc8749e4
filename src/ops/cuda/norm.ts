/** Lowerings of batch statistics, normalization and its gradients. */
import type { CudaArg, CudaLaunch, Lowering, Placed, Scratch, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK, f32, linearGrid, storageType, vectorizable } from '../../device/cuda/launch.ts';
import { columnsOf, runsOf } from './columns.ts';
import type { Columns } from './columns.ts';

interface NormAttrs {
  readonly epsilon: number;
  readonly fixGamma: boolean;
}
type ActiveAttrs = NormAttrs & { readonly activation: 'none' | 'relu' };

interface Cut {
  readonly rows: number;
  readonly channels: number;
  readonly columns: Columns;
  readonly run: number;
  readonly runs: number;
}

/** How sums over rows are cut, from the shape alone. */
function cutOf(x: TensorType): Cut {
  const channels = x.shape[x.shape.length - 1];
  const rows = channels === 0 ? 0 : sizeOf(x.shape) / channels;
  const columns = columnsOf(channels);
  return { rows, channels, columns, ...runsOf(rows, columns) };
}

/** Blocks that are enough for all processors. */
const ENOUGH = 1024;

/** Rows of a block of the kernels that add nothing up: eight a thread, or four where that leaves too few blocks. */
function applyRun({ rows, columns: { groups, blocks } }: Cut): number {
  return groups * (Math.ceil(rows / (8 * groups)) * blocks >= ENOUGH ? 8 : 4);
}

/** A launch of a kernel that lies over rows and channels as lib/norm.cuh says. */
function overRows(
  kernel: string, { columns, rows }: Cut, run: number, values: readonly Placed[], types: Readonly<Record<string, string>>, args: readonly CudaArg[],
): CudaLaunch {
  const aligned = columns.width === 4 && vectorizable(values);
  return {
    kernel,
    define: { COLUMNS: columns.lanes, WIDTH: columns.width, ALIGNED: aligned ? 1 : 0, ...types },
    args,
    grid: [Math.max(1, Math.ceil(rows / run)), columns.blocks, 1],
    block: BLOCK,
    label: kernel,
  };
}

/** lib/norm.cuh for kernels that have one channel a thread. */
const SINGLE = { COLUMNS: BLOCK, WIDTH: 1, ALIGNED: 0 };

/** Channels that a block of norm_combine and norm_grad_combine takes. */
const COMBINED = 8;

/** Partial results that one block combines of a channel: more go to so many blocks each, and what these leave to one. */
const FEW = 1024;
const PART = 256;

/** Bytes for `runs` partial results, two a channel, and for those that they are combined into first. */
export const combineScratch = (channels: number, runs: number): number => 8 * channels * (runs + (runs > FEW ? Math.ceil(runs / PART) : 0));

function statisticsScratch(x: TensorType): number {
  const { channels, runs } = cutOf(x);
  return combineScratch(channels, runs);
}

/** mean and variance (biased) from `runs` partial results at the beginning of the scratch memory, of `run` rows each. */
export function combineLaunches(
  partial: Scratch, mean: Placed, variance: Placed, rows: number, channels: number, run: number, runs: number,
): CudaLaunch[] {
  const stage = (from: Scratch, to: readonly [Placed | Scratch, Placed | Scratch], each: number, count: number, part: number, divisor: number) => ({
    kernel: 'norm_combine',
    args: [at(from), ...to.map(at), rows, channels, each, count, part, divisor],
    grid: [Math.ceil(channels / COMBINED), Math.ceil(count / part), 1] as const,
    block: BLOCK,
    label: 'norm_combine',
  });
  if (runs <= FEW) return [stage(partial, [mean, variance], run, runs, runs, rows)];
  const behind = (elements: number): Scratch => ({ ...partial, byteOffset: partial.byteOffset + 4 * elements, bytes: partial.bytes - 4 * elements });
  const fewer = behind(2 * channels * runs);
  return [
    stage(partial, [fewer, behind(2 * channels * runs + channels)], run, runs, PART, 1),
    stage(fewer, [mean, variance], PART * run, Math.ceil(runs / PART), Math.ceil(runs / PART), rows),
  ];
}

/** mean and variance (biased) of x over all but the last axis. */
function statisticsLaunches(x: Placed, mean: Placed, variance: Placed, scratch: Scratch): CudaLaunch[] {
  const cut = cutOf(x);
  const { rows, channels, run, runs } = cut;
  if (rows * channels === 0) return [];
  return [
    overRows('norm_stats', cut, run, [x], { XT: storageType(x) }, [at(x), at(scratch), rows, channels, run, x.stride]),
    ...combineLaunches(scratch, mean, variance, rows, channels, run, runs),
  ];
}

function applyLaunches(x: Placed, mean: Placed, variance: Placed, gamma: Placed, beta: Placed, y: Placed, attrs: ActiveAttrs): CudaLaunch[] {
  const cut = cutOf(x);
  if (cut.rows * cut.channels === 0) return [];
  const run = applyRun(cut);
  return [overRows('norm_apply', cut, run, [x, mean, variance, gamma, beta, y], { XT: storageType(x), YT: storageType(y) }, [
    at(x), at(mean), at(variance), at(gamma), at(beta), at(y), cut.rows, cut.channels, run, x.stride, y.stride,
    attrs.fixGamma ? 1 : 0, attrs.activation === 'relu' ? 1 : 0, f32(attrs.epsilon),
  ])];
}

/** Bytes of a prologue's constants. */
export const constantsScratch = ([, mean]: readonly TensorType[]): number => 12 * sizeOf(mean.shape);

/** Writes a prologue's constants. */
export function constantsLaunch([, mean, variance, gamma, beta]: readonly Placed[], constants: Scratch, { epsilon, fixGamma }: NormAttrs): CudaLaunch {
  const channels = sizeOf(mean.shape);
  return {
    kernel: 'norm_constants', define: SINGLE,
    args: [...[mean, variance, gamma, beta].map(at), at(constants), channels, fixGamma ? 1 : 0, f32(epsilon)],
    grid: linearGrid(channels), block: BLOCK, label: 'norm_constants',
  };
}

export const batchNormLowering: Lowering<ActiveAttrs, CudaLaunch> = {
  scratch: ([x]) => [statisticsScratch(x)],
  launches: ({ inputs: [x, gamma, beta], outputs: [y, mean, variance], scratch: [partial], attrs }) => [
    ...statisticsLaunches(x, mean, variance, partial),
    ...applyLaunches(x, mean, variance, gamma, beta, y, attrs),
  ],
};

export const normalizeLowering: Lowering<ActiveAttrs, CudaLaunch> = {
  launches: ({ inputs: [x, mean, variance, gamma, beta], outputs: [y], attrs }) => applyLaunches(x, mean, variance, gamma, beta, y, attrs),
};

/** Bytes for partial sums, and for the terms of each channel: mean, scale, beta, shift and slope of lib/normalized.cuh. */
export const gradientScratch = (x: TensorType): number[] => [statisticsScratch(x), 20 * x.shape[x.shape.length - 1]];

interface Behind {
  /** The gradient behind ReLU, not yet masked. */
  readonly relu: boolean;
  /** The statistics are constants. */
  readonly frozen: boolean;
}

/** What comes ahead of the gradient by x: dgamma, dbeta, and the terms that it is a function of, element by element. */
export function gradientTermsLaunches(
  [dy, x, mean, variance, gamma, ownBeta]: readonly Placed[], dgamma: Placed, dbeta: Placed, [partial, terms]: readonly Scratch[],
  { epsilon, fixGamma }: NormAttrs, { relu, frozen }: Behind,
): CudaLaunch[] {
  const cut = cutOf(x);
  const { rows, channels, run, runs } = cut;
  if (channels === 0) return [];
  // without an activation beta does not matter: mean stands in for it
  const vectors = [mean, variance, gamma, ownBeta ?? mean];
  const fixed = fixGamma ? 1 : 0;
  return [
    overRows('norm_grad_sums', cut, run, [dy, x, ...vectors], { XT: storageType(x), DYT: storageType(dy) }, [
      at(dy), at(x), ...vectors.map(at), at(partial), rows, channels, run, dy.stride, x.stride, fixed, relu ? 1 : 0, f32(epsilon),
    ]),
    {
      kernel: 'norm_grad_combine', define: SINGLE,
      args: [at(partial), ...vectors.map(at), at(terms), at(dgamma), at(dbeta), channels, runs, rows, fixed, frozen ? 1 : 0, f32(epsilon)],
      grid: [Math.ceil(channels / COMBINED), 1, 1], block: BLOCK, label: 'norm_grad_combine',
    },
  ];
}

function gradient(behind: Behind): Lowering<NormAttrs, CudaLaunch> {
  return {
    scratch: ([, x]) => gradientScratch(x),
    launches({ inputs, outputs: [dx, dgamma, dbeta], scratch, attrs }) {
      const [dy, x] = inputs;
      const ahead = gradientTermsLaunches(inputs, dgamma, dbeta, scratch, attrs, behind);
      if (ahead.length === 0) return [];
      const cut = cutOf(x);
      const run = applyRun(cut);
      return [...ahead, overRows('norm_grad_apply', cut, run, [dy, x, dx], { XT: storageType(x), DYT: storageType(dy), YT: storageType(dx) }, [
        at(dy), at(x), at(scratch[1]), at(dx), cut.rows, cut.channels, run, dy.stride, x.stride, dx.stride, behind.relu ? 1 : 0,
      ])];
    },
  };
}

export const batchNormGradLowering = gradient({ relu: false, frozen: false });
export const normalizeGradLowering = gradient({ relu: false, frozen: true });
export const batchNormReluGradLowering = gradient({ relu: true, frozen: false });
