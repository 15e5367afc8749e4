/** What the optimizer updates share: flat arenas cut into chunks, each of one segment. */
import type { TensorType } from '../../device/types.ts';
import type { HostTensor, SampleInput } from '../../graph/op.ts';
import { checkDType, checkSameShape, checkVector, named, shapeError } from './shapes.ts';
import { fixed } from './samples.ts';

export type UpdateAttrs = {
  /** Multiplied by each segment's own multiplier. */
  readonly weightDecay: number;
  /** Multiplies gradients, before clipping. */
  readonly rescale: number;
  /** Clips rescaled gradients to [-clip, clip]; null for no clipping. */
  readonly clip: number | null;
};

/**
 * Flat arenas of one length, then chunks [n,3], multipliers [S,2] and the learning rate: a scalar, or [2] with a factor on the gradients
 * after it, which comes before `rescale`; where that is 0 nothing is updated.
 */
export function checkUpdate(op: string, names: readonly string[], inputs: readonly TensorType[], arenas: number): void {
  const weight = inputs[0];
  inputs.slice(0, arenas).forEach((t, i) => {
    checkDType(op, names[i], t, 'float32');
    if (t.shape.length !== 1) shapeError(op, `${named(names[i], t)} should be flat`);
    checkSameShape(op, names[0], weight, names[i], t);
  });
  const [chunks, multipliers, learningRate] = inputs.slice(arenas);
  checkDType(op, 'chunks', chunks, 'int32');
  if (chunks.shape.length !== 2 || chunks.shape[1] !== 3) {
    shapeError(op, `${named('chunks', chunks)} should be [n,3], rows of start, count and segment`);
  }
  checkDType(op, 'multipliers', multipliers, 'float32');
  if (multipliers.shape.length !== 2 || multipliers.shape[1] !== 2) {
    shapeError(op, `${named('multipliers', multipliers)} should be [segments,2], learning rate and weight decay`);
  }
  checkDType(op, 'learningRate', learningRate, 'float32');
  if (learningRate.shape.length !== 0 && learningRate.shape.join() !== '2') {
    shapeError(op, `${named('learningRate', learningRate)} should be a scalar, or [2] with the gradients' factor`);
  }
}

export function checkStep(op: string, step: TensorType): void {
  checkDType(op, 'step', step, 'int32');
  if (step.shape.length !== 0) shapeError(op, `${named('step', step)} should be a scalar`);
  checkVector(op, 'step', { ...step, shape: [1] }, 1, '');
}

/** The factor on the gradients that comes with the learning rate; 0 where nothing is to be updated. */
export function gradientFactor(learningRate: HostTensor): number {
  return learningRate.data.length === 2 ? learningRate.data[1] : 1;
}

/** Calls `visit(i, lr, wd)` for every element of every chunk, with the segment's multipliers. */
export function forEachUpdated(
  chunks: HostTensor,
  multipliers: HostTensor,
  visit: (i: number, lrMultiplier: number, wdMultiplier: number) => void,
): void {
  for (let row = 0; row < chunks.shape[0]; row++) {
    const [start, count, segment] = chunks.data.subarray(row * 3, row * 3 + 3);
    for (let i = start; i < start + count; i++) visit(i, multipliers.data[segment * 2], multipliers.data[segment * 2 + 1]);
  }
}

/**
 * Chunks of samples: segments of 64, 13 and 300 elements at multiples of 64, the third frozen and in two chunks that meet within a
 * vector of four; two elements of the second's within one vector; and a segment that begins and ends within vectors. Gaps lie between.
 */
export const sampleArena = 512;

export function sampleChunks(): SampleInput {
  return {
    shape: [7, 3], dtype: 'int32', differentiable: false,
    values: [0, 64, 0, 64, 13, 1, 81, 2, 1, 128, 253, 2, 381, 47, 2, 450, 29, 3, 479, 20, 0],
  };
}

export function sampleMultipliers(): SampleInput {
  return { shape: [4, 2], dtype: 'float32', differentiable: false, values: [1, 1, 2, 0, 0, 1, 0.5, 3] };
}

export function sampleArenaInput(low = -1, high = 1): SampleInput {
  return fixed([sampleArena], { low, high });
}
