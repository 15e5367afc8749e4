/** Lowerings of random numbers and dropout. */
import type { Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, read, readWrite, sameMemory, write } from '../../device/webgpu/launch.ts';

interface RandomAttrs {
  readonly distribution: 'uniform' | 'normal' | 'bernoulli';
  readonly probability?: number;
  readonly key: number;
}

const kinds = { uniform: 0, normal: 1, bernoulli: 2 } as const;

function launch(
  counters: readonly Placed[], x: Placed | undefined, y: Placed, key: number, probability: number, scale: number, kind: number, label: string,
): WebgpuLaunch {
  const [seed, step, ids] = counters;
  const samples = y.shape[0];
  const perSample = samples === 0 ? 0 : (y.rows * y.channels) / samples;
  const blocks = Math.ceil(perSample / 4);
  const inPlace = x !== undefined && sameMemory(x, y);
  const bindings = [read(seed), read(step), read(ids), inPlace ? readWrite(y) : write(y)];
  if (x !== undefined && !inPlace) bindings.push(read(x));
  return {
    shader: 'random',
    replace: {
      KIND: kind,
      DROPOUT: x === undefined ? 0 : 1,
      X: x === undefined || inPlace ? '' : '@group(0) @binding(5) var<storage, read> x: array<f32>;',
      SOURCE: inPlace ? 'y[at]' : 'x[u.xOffset + row * u.xStride + c]',
    },
    uniforms: [
      samples * blocks, blocks, perSample, key >>> 0, boundOffset(seed), boundOffset(step), boundOffset(ids),
      x === undefined ? 0 : boundOffset(x), x === undefined ? 0 : x.stride, y.channels, boundOffset(y), y.stride,
      f32(Infinity), f32(probability), f32(scale),
    ],
    bindings,
    grid: linearGrid(samples * blocks),
    label,
  };
}

export const randomLowering: Lowering<RandomAttrs, WebgpuLaunch> = {
  launches: ({ inputs, outputs: [y], attrs: { key, probability, distribution } }) =>
    [launch(inputs, undefined, y, key, probability ?? 0.5, 1, kinds[distribution], 'random')],
};

export const dropoutLowering: Lowering<{ readonly rate: number; readonly key: number }, WebgpuLaunch> = {
  launches: ({ inputs: [x, ...counters], outputs: [y], attrs: { rate, key } }) =>
    [launch(counters, x, y, key, rate, 1 / (1 - rate), 0, 'dropout')],
};
