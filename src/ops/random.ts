/** random and dropout: numbers by Philox4x32-10, a function of seed, step, sample and element alone. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { philox4x32Into } from '../random/philox.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/random.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, i32 } from './support/samples.ts';
import { checkDType, named, shapeError, show } from './support/shapes.ts';
import * as gpuRandom from './webgpu/random.ts';

export type RandomAttrs = {
  /** On [0, 1); of mean 0 and deviation 1; or 1 with `probability`, else 0. */
  readonly distribution: 'uniform' | 'normal' | 'bernoulli';
  readonly probability?: number;
  /** 32 bits that tell one source of numbers from another, such as the hash of a layer's name. */
  readonly key: number;
  /** [N, ...]: one slice for each id. */
  readonly shape: Shape;
};

/**
 * Draws of one sample: element e takes lane e & 3 of block e >> 2, with
 *   block b = philox(counter = [b, id, step, 0], key = [seed, key])
 *   uniform = (word >>> 8) / 2^24
 *   normal, lanes (0,1) and (2,3) with words (a, b): sqrt(-2 ln((a >>> 8) + 1) / 2^24) cos(2 pi uniform(b)), and with sin.
 */
function draws(attrs: Omit<RandomAttrs, 'shape'>, perSample: number, seed: number, step: number, id: number): Float64Array {
  const out = new Float64Array(perSample);
  const words = new Uint32Array(4);
  const uniform = (lane: number): number => (words[lane] >>> 8) / 2 ** 24;
  for (let e = 0; e < perSample; e++) {
    const lane = e & 3;
    if (lane === 0) philox4x32Into(words, e >>> 2, id | 0, step | 0, 0, seed | 0, attrs.key | 0);
    if (attrs.distribution === 'normal') {
      const first = lane & 2;
      const radius = Math.sqrt(-2 * Math.log(uniform(first) + 2 ** -24));
      const angle = 2 * Math.PI * uniform(first + 1);
      out[e] = radius * (lane === first ? Math.cos(angle) : Math.sin(angle));
    } else if (attrs.distribution === 'bernoulli') {
      out[e] = uniform(lane) < Math.fround(attrs.probability ?? 0.5) ? 1 : 0;
    } else {
      out[e] = uniform(lane);
    }
  }
  return out;
}

function checkCounters(op: string, [seed, step, ids]: readonly TensorType[], samples: number): void {
  [seed, step, ids].forEach((t, i) => checkDType(op, ['seed', 'step', 'ids'][i], t, 'int32'));
  if (seed.shape.length !== 0) shapeError(op, `${named('seed', seed)} should be a scalar`);
  if (step.shape.length !== 0) shapeError(op, `${named('step', step)} should be a scalar`);
  if (ids.shape.length !== 1 || ids.shape[0] !== samples) {
    shapeError(op, `${named('ids', ids)} should be [${samples}], one for each sample`);
  }
}

function checkProbability(op: string, name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) throw new OptionError(`${op}: ${name} ${value} should be from 0 to 1`);
}

const scalar = (value: number): SampleInput => ({ shape: [], dtype: 'int32', values: [value], differentiable: false });

export const randomOp: DifferentiableOp<RandomAttrs> = defineOp<RandomAttrs>({
  name: 'random',
  inputs: ['seed', 'step', 'ids'],
  infer(inputs: readonly TensorType[], { shape, distribution, probability }) {
    if (shape.length === 0) shapeError('random', `shape ${show(shape)} should begin with the number of samples`);
    if (!['uniform', 'normal', 'bernoulli'].includes(distribution)) {
      throw new OptionError(`random: distribution "${String(distribution)}" should be uniform, normal or bernoulli`);
    }
    checkProbability('random', 'probability', probability ?? 0.5);
    checkCounters('random', inputs, shape[0]);
    return [{ shape, dtype: 'float32' }];
  },
  reference([seed, step, ids]: readonly HostTensor[], attrs) {
    const perSample = sizeOf(attrs.shape.slice(1));
    const out = new Float64Array(sizeOf(attrs.shape));
    ids.data.forEach((id, n) => out.set(draws(attrs, perSample, seed.data[0], step.data[0], id), n * perSample));
    return [out];
  },
  // the radius is the logarithm's, whose argument may be near 1
  magnitude: (inputs, attrs) => [new Float64Array(sizeOf(attrs.shape)).fill(attrs.distribution === 'normal' ? 4 : 1)],
  kernels: { cpu: cpu.randomLowering, webgpu: gpuRandom.randomLowering, cuda: cuda.randomLowering },
  precision: 'keep',
  cost: elementwiseCost(40),
  samples(): Sample<RandomAttrs>[] {
    const ids = (n: number): SampleInput => i32([n], 100000);
    return (['uniform', 'normal', 'bernoulli'] as const).flatMap((distribution) => [
      { inputs: [scalar(1), scalar(0), ids(3)], attrs: { distribution, probability: 0.3, key: 0, shape: [3] } },
      { inputs: [scalar(-7), scalar(123456), ids(2)], attrs: { distribution, probability: 0.5, key: 0xdeadbeef, shape: [2, 3, 5] } },
      { inputs: [scalar(5), scalar(2), ids(4)], attrs: { distribution, probability: 0.9, key: 77, shape: [4, 32] } },
    ]);
  },
});

export type DropoutAttrs = {
  /** Probability that an element is dropped, from 0 to below 1. */
  readonly rate: number;
  readonly key: number;
};

export const dropoutOp: DifferentiableOp<DropoutAttrs> = defineOp<DropoutAttrs>({
  name: 'dropout',
  inputs: ['x', 'seed', 'step', 'ids'],
  infer([x, ...counters]: readonly TensorType[], { rate }) {
    checkDType('dropout', 'x', x, 'float32');
    if (x.shape.length === 0) shapeError('dropout', `${named('x', x)} should begin with an axis of samples`);
    if (!(rate >= 0 && rate < 1)) throw new OptionError(`dropout: rate ${rate} should be from 0 to below 1`);
    checkCounters('dropout', counters, x.shape[0]);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  // y = x mask / (1 - rate): the same mask, drawn again, falls on dy
  gradient: ({ attrs, inputs: [, seed, step, ids], grads: [dy] }) => [
    dy && apply1(dropoutOp, [dy, seed, step, ids], attrs), undefined, undefined, undefined,
  ],
  // kept where uniform >= rate
  reference([x, seed, step, ids]: readonly HostTensor[], { rate, key }) {
    const perSample = sizeOf(x.shape.slice(1));
    const scale = 1 / (1 - rate);
    const y = new Float64Array(x.data.length);
    ids.data.forEach((id, n) => {
      const dropped = draws({ distribution: 'bernoulli', probability: rate, key }, perSample, seed.data[0], step.data[0], id);
      dropped.forEach((d, e) => {
        y[n * perSample + e] = d === 1 ? 0 : x.data[n * perSample + e] * scale;
      });
    });
    return [y];
  },
  kernels: { cpu: cpu.dropoutLowering, webgpu: gpuRandom.dropoutLowering, cuda: cuda.dropoutLowering },
  inPlace: () => [[0, 0]],
  precision: 'follow',
  cost: elementwiseCost(40),
  samples(): Sample<DropoutAttrs>[] {
    return [
      { inputs: [f32([3, 9]), scalar(1), scalar(0), i32([3], 1000)], attrs: { rate: 0.4, key: 0 } },
      { inputs: [f32([2, 3, 3, 8]), scalar(9), scalar(44), i32([2], 1000)], attrs: { rate: 0.5, key: 0xfedcba98 } },
      { inputs: [f32([5]), scalar(9), scalar(44), i32([5], 1000)], attrs: { rate: 0.2, key: 3 } },
      { inputs: [f32([2, 4]), scalar(9), scalar(44), i32([2], 1000)], attrs: { rate: 0, key: 3 } },
    ];
  },
});

/** float32 `shape` [N,...] of random numbers, by int32 scalars seed and step and int32 ids [N]. */
export function random(seed: TensorLike, step: TensorLike, ids: TensorLike, attrs: RandomAttrs): Tensor {
  return apply1(randomOp, [seed, step, ids], attrs);
}

/**
 * x [N,...] with each element dropped with probability `rate`, the others scaled by 1 / (1 - rate). Which ones, follows from seed,
 * step, key and the ids [N] of the samples, so that it depends neither on the batch nor on when it is computed.
 */
export function dropout(x: TensorLike, seed: TensorLike, step: TensorLike, ids: TensorLike, attrs: DropoutAttrs): Tensor {
  return apply1(dropoutOp, [x, seed, step, ids], attrs);
}
