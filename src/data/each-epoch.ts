/** The hook of the data provider: which samples an epoch has, and what becomes of each. */
import { DataError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import type { PhiloxStream } from '../random/philox.ts';

/** The samples that an epoch may draw from: the training part. */
export interface Pool {
  /** From 1. */
  readonly epoch: number;
  /** Dataset indices. */
  readonly indices: Int32Array;
  /** Class of each of them. */
  readonly labels: Int32Array;
  /** Dataset indices of the samples of a class, by its name or number. @throws DataError for a class that is unknown */
  of(which: string | number): Int32Array;
}

export interface Epoch {
  /** Dataset indices, in order; repetition and omission are free. */
  readonly indices: ArrayLike<number>;
  /**
   * For each index the augmentations that it undergoes, as objects or by name, in place of those that fall on it by class and chance;
   * `undefined` leaves a sample to these.
   */
  readonly transforms?: readonly (readonly (string | { readonly name: string })[] | undefined)[];
}

/** Draws an epoch. From `rng` alone: the same epoch is asked for again when a run resumes. */
export type EachEpoch = (pool: Pool, rng: PhiloxStream) => Epoch;

/** Names of the augmentations that are asked for, sample by sample. */
export type Chosen = readonly (readonly string[] | undefined)[];

export function poolOf(epoch: number, indices: Int32Array, labels: Int32Array, classes: readonly string[]): Pool {
  return {
    epoch, indices, labels,
    of(which) {
      const label = typeof which === 'number' ? which : classes.indexOf(which);
      if (typeof which === 'string' && label < 0) {
        throw new DataError(`there is no class '${which}'; there are ${classes.join(', ')}${didYouMean(which, classes)}`);
      }
      if (!(label >= 0 && label < classes.length && Number.isInteger(label))) {
        throw new DataError(`there is no class ${label}; there are 0 to ${classes.length - 1} (${classes.join(', ')})`);
      }
      return indices.filter((_, i) => labels[i] === label);
    },
  };
}

/** @throws DataError for what is no epoch of this pool */
export function checkEpoch({ epoch, indices: pool }: Pool, drawn: Epoch): { indices: Int32Array; chosen?: Chosen } {
  if (typeof drawn?.indices?.length !== 'number') {
    const what = (drawn as unknown) instanceof Promise ? 'a promise' : drawn === undefined ? 'nothing' : 'no indices';
    throw new DataError(`eachEpoch gave ${what} in epoch ${epoch}; { indices, transforms? } was expected, at once`);
  }
  const members = new Set(pool);
  // Before they become integers: undefined, NaN and fractions would become samples.
  for (let i = 0; i < drawn.indices.length; i++) {
    const index = drawn.indices[i];
    if (!members.has(index)) throw new DataError(`eachEpoch gave index ${index} at ${i} of epoch ${epoch}, which is not in the training part`);
  }
  const indices = Int32Array.from(drawn.indices);
  if (drawn.transforms === undefined) return { indices };
  if (drawn.transforms.length !== indices.length) {
    throw new DataError(`eachEpoch gave ${drawn.transforms.length} transforms for the ${indices.length} samples of epoch ${epoch}`);
  }
  return { indices, chosen: drawn.transforms.map((list) => list?.map((one) => (typeof one === 'string' ? one : one.name))) };
}
