/** Random changes to training images: what may happen, to which class, how often. */
import { OptionError } from '../errors.ts';
import type { PhiloxStream } from '../random/philox.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Height, width, channels. */
export type ImageShape = readonly [height: number, width: number, channels: number];

/** The grey levels that a normalisation takes off. */
export interface MeanLevels {
  /** Of each channel. */
  readonly mean: readonly number[];
  /** In their place, of each pixel, row-major. */
  readonly image?: { readonly shape: ImageShape; readonly data: Float32Array };
}

/** What a traced transform is given besides the images. */
export interface TransformContext {
  /**
   * float32 [N, ...shape] of random numbers, uniform on [0, 1) or of mean 0 and deviation 1: by seed, epoch and sample, so that they
   * depend neither on the batch nor on the device. Calls with different names draw independently.
   */
  random(distribution: 'uniform' | 'normal', shape: readonly number[], name?: string): Tensor;
  /** [N, count]: each image's own, as `TracedTransform.parameters` drew them on the host. */
  readonly parameters: Tensor | undefined;
  /** Mean grey level of each channel over the training part, where the normalisation has one, else zeros. */
  readonly mean: readonly number[];
  /** [1, H, W, C]: the mean grey level of each pixel, where the normalisation takes off a mean image, which `mean` is the mean of. */
  readonly meanImage?: Tensor;
}

/**
 * Images [N, H, W, C], float32, in grey levels of 0 to 255, to images of the same form. It is traced into the training step and
 * computes all images of a batch; those on which the augmentation does not fall keep what they were.
 */
export interface TracedTransform {
  (images: Tensor, context: TransformContext): Tensor;
  /** Numbers that are drawn on the host for each image. */
  readonly parameters?: {
    readonly count: number;
    draw(rng: PhiloxStream, shape: ImageShape): ArrayLike<number>;
  };
}

/** Changes one image's bytes in place: H x W x C, row-major, grey levels of 0 to 255. It must draw from `rng` alone. */
export type PixelTransform = (pixels: Uint8Array, shape: ImageShape, rng: PhiloxStream) => void;

export interface AugmentOptions {
  /** Default: the function's own. Random numbers are drawn by it, so two augmentations of a run have two names. */
  readonly name?: string;
  /** Names or numbers of the classes on which it falls; default all. */
  readonly class?: string | number | readonly (string | number)[];
  /** That it falls on an image of these classes; drawn anew for each, each epoch. Default 1. */
  readonly probability?: number;
  /** What is done: tensors, traced into the step, on the device ... */
  readonly tensor?: TracedTransform;
  /** ... or bytes, on the host, ahead of all that is traced. */
  readonly pixels?: PixelTransform;
}

export interface Augmentation {
  readonly name: string;
  /** Undefined for all. */
  readonly classes: readonly (string | number)[] | undefined;
  readonly probability: number;
  readonly tensor?: TracedTransform;
  readonly pixels?: PixelTransform;
}

/**
 * An augmentation for `fit`'s list. They are carried out in the order of the list, those of bytes first.
 *
 * @throws OptionError where it has not exactly one function, no name, or a probability out of range
 */
export function augment({ name, class: which, probability = 1, tensor, pixels }: AugmentOptions): Augmentation {
  const given = tensor ?? pixels;
  if (given === undefined || (tensor !== undefined && pixels !== undefined)) {
    throw new OptionError('augment: expected one of tensor and pixels, the function that changes an image');
  }
  const own = name ?? given.name;
  if (own === '') throw new OptionError('augment: the function has no name; give one, since random numbers are drawn by it');
  if (!(probability >= 0 && probability <= 1)) {
    throw new OptionError(`augment ${own}: probability: expected a number from 0 to 1, got ${probability}`);
  }
  const classes = which === undefined ? undefined : typeof which === 'object' ? which : [which];
  return { name: own, classes, probability, ...(tensor ? { tensor } : { pixels }) };
}
