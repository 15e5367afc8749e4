/** What the article did to its images, and mirroring. */
import { OptionError } from '../errors.ts';
import { getOp } from '../graph/op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply1 } from '../tensor/tensor.ts';
import type { TracedTransform } from './augment.ts';

/**
 * Adds normal noise of this deviation to every pixel and channel, in grey levels of 0 to 255. What it leads to is neither rounded nor
 * cut to 0 and 255.
 *
 * @throws OptionError for a deviation below 0
 */
export function gaussianNoise(deviation: number): TracedTransform {
  if (!(deviation >= 0 && Number.isFinite(deviation))) {
    throw new OptionError(`gaussianNoise: expected a deviation of 0 or more, in grey levels, got ${deviation}`);
  }
  return function noise(images, { random }) {
    return images.add(random('normal', images.shape.slice(1)).mul(deviation));
  };
}

const flipped = (images: Tensor, axes: readonly number[]): Tensor => apply1(getOp('flip'), [images], { axes });

/** Turns by 180 degrees, as the article did. */
export const rotate180: TracedTransform = function rotate180(images) {
  return flipped(images, [1, 2]);
};

/** Mirrors top and bottom. */
export const flipUpDown: TracedTransform = function flipUpDown(images) {
  return flipped(images, [1]);
};

/** Mirrors left and right. */
export const flipLeftRight: TracedTransform = function flipLeftRight(images) {
  return flipped(images, [2]);
};
