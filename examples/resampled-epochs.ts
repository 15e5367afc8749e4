/**
 * What the article did, after it had overfitted: in every epoch the healthy photographs are drawn anew from the larger pool and the
 * infected ones too, as many of each; noise and a turn by 180 degrees, each at random, fall on the infected alone.
 */
import type { Dataset, EachEpoch } from '../src/data/index.ts'; // elsewhere: from 'fovea/data', and so on
import { augment, gaussianNoise, rotate180 } from '../src/data/index.ts';
import { inceptionBNSmall } from '../src/models/index.ts';
import { fit } from '../src/train/index.ts';
import type { FitOptions, FitResult } from '../src/train/index.ts';

/** @param each samples of each class an epoch */
export function resampled(data: Dataset, train: ArrayLike<number>, each: number, options: Partial<FitOptions> = {}): Promise<FitResult> {
  const eachEpoch: EachEpoch = (pool, rng) => {
    const draw = (name: string) => Array.from({ length: each }, () => pool.of(name)[rng.int(pool.of(name).length)]);
    return { indices: rng.shuffle([...draw('healthy'), ...draw('infected')]) };
  };
  return fit({
    symbol: inceptionBNSmall({ classes: 2, width: 0.125 }), data, train, epochs: 2, batch: 8, eachEpoch,
    augment: [
      augment({ class: 'infected', probability: 0.5, tensor: gaussianNoise(2) }), // of deviation 2, in grey levels of 0 to 255
      augment({ class: 'infected', probability: 0.5, tensor: rotate180 }),
    ],
    ...options,
  });
}
