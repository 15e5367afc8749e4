/** Lowerings of random numbers and dropout. */
import type { CudaLaunch, Lowering, Placed } from '../../device/types.ts';
import { at, BLOCK, f32, linearGrid, vectorizable } from '../../device/cuda/launch.ts';

interface RandomAttrs {
  readonly distribution: 'uniform' | 'normal' | 'bernoulli';
  readonly probability?: number;
  readonly key: number;
}

const kinds = { uniform: 0, normal: 1, bernoulli: 2, dropout: 3 } as const;

function launches(
  counters: readonly Placed[], x: Placed | undefined, y: Placed, key: number, probability: number, scale: number, kind: keyof typeof kinds, label: string,
): CudaLaunch[] {
  const samples = y.shape[0];
  const perSample = samples === 0 ? 0 : (y.rows * y.channels) / samples;
  const blocks = Math.ceil(perSample / 4);
  if (blocks === 0) return [];
  // blocks of four never cross a row, nor a sample, where rows are whole vectors: those of vectors [N] are samples
  const vector = y.shape.length > 1 && vectorizable(x === undefined ? [y] : [x, y]);
  return [{
    kernel: 'philox',
    define: { KIND: kinds[kind], WIDTH: vector ? 4 : 1 },
    args: [
      ...counters.map(at), ...(x === undefined ? [] : [at(x), x.stride]), at(y), samples * blocks, blocks, perSample, y.channels, y.stride, key | 0,
      f32(probability), f32(scale),
    ],
    grid: linearGrid(samples * blocks),
    block: BLOCK,
    label,
  }];
}

export const randomLowering: Lowering<RandomAttrs, CudaLaunch> = {
  launches: ({ inputs, outputs: [y], attrs: { key, probability, distribution } }) =>
    launches(inputs, undefined, y, key, probability ?? 0.5, 1, distribution, 'random'),
};

export const dropoutLowering: Lowering<{ readonly rate: number; readonly key: number }, CudaLaunch> = {
  launches: ({ inputs: [x, ...counters], outputs: [y], attrs: { rate, key } }) => launches(counters, x, y, key, rate, 1 / (1 - rate), 'dropout', 'dropout'),
};
