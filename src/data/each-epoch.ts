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
      // Without names the classes are those that are there.
      const isKnown = classes.length > 0 ? Number.isInteger(label) && label >= 0 && label < classes.length : labels.includes(label);
      if (!isKnown) {
        const there = classes.length > 0 ? classes : [...new Set(labels)].sort((a, b) => a - b);
        throw new DataError(`there is no class '${which}'; there are ${there.join(', ')}${didYouMean(String(which), classes)}`);
      }
      return indices.filter((_, i) => labels[i] === label);
    },
  };
}

/** @throws DataError for what is no epoch of this pool */
export function checkEpoch({ epoch, indices: pool }: Pool, drawn: Epoch): { indices: Int32Array; chosen?: Chosen } {
  // Of a caller without types: anything.
  const given: unknown = (drawn as Epoch | undefined | null)?.indices;
  if (typeof given !== 'object' || given === null || typeof (given as ArrayLike<number>).length !== 'number') {
    const got = drawn instanceof Promise ? 'a Promise, which is not waited for' : Object.prototype.toString.call(drawn).slice(8, -1).toLowerCase();
    throw new DataError(`eachEpoch: epoch ${epoch}: expected { indices } with dataset indices, got ${given === undefined ? got : String(given)}`);
  }
  const members = new Set(pool);
  const indices = Array.from(drawn.indices);
  for (const [position, index] of indices.entries()) {
    if (members.has(index)) continue;
    throw new DataError(Number.isInteger(index)
      ? `eachEpoch gave index ${index} in epoch ${epoch}, which is not in the training part (position ${position})`
      : `eachEpoch gave ${String(index)} in epoch ${epoch} at position ${position}, where a dataset index was expected`);
  }
  if (drawn.transforms === undefined) return { indices: Int32Array.from(indices) };
  if (drawn.transforms.length !== indices.length) {
    throw new DataError(`eachEpoch gave ${drawn.transforms.length} transforms for the ${indices.length} samples of epoch ${epoch}`);
  }
  return {
    indices: Int32Array.from(indices),
    chosen: drawn.transforms.map((list) => list?.map((one) => (typeof one === 'string' ? one : one.name))),
  };
}
