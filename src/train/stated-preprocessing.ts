/** A normalisation as the files of a model state it, so that it travels with the model, and back. */
import { OptionError } from '../errors.ts';
import type { Preprocessing } from '../formats/preprocessing.ts';
import { toMinusOneToOne, withPreprocessing } from '../formats/preprocessing.ts';
import type { HostArray } from '../nn/host-array.ts';
import { permuteAxes } from '../nn/host-array.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import type { Network } from './network.ts';
import type { Normalization } from './preprocess.ts';

type MeanImage = NonNullable<Normalization['image']>;

/** @param image float32 [channels, height, width], as MXNet's `.nd` files have it */
export function fromMeanImage(image: HostArray): MeanImage {
  const { shape, data } = permuteAxes(image, [1, 2, 0]);
  return { shape: [shape[0], shape[1], shape[2]], data: data as Float32Array };
}

/** float32 [channels, height, width]. */
export function toMeanImage({ shape, data }: MeanImage): HostArray {
  return permuteAxes({ shape, dtype: 'float32', data: data as Float32Array<ArrayBuffer> }, [2, 0, 1]);
}

/** What a model wants done to images. */
export function fromPreprocessing({ mean, deviation, meanImage }: Preprocessing): Normalization {
  return { mean, deviation, window: 0, ...(meanImage && { image: fromMeanImage(meanImage) }) };
}

type Images = Pick<Network, 'imageShape' | 'features'>;

/** For a model's file to say; undefined for a local mean, which no such file has words for, and for features. */
export function toPreprocessing({ mean, deviation, window, image }: Normalization, { imageShape, features }: Images): Preprocessing | undefined {
  if (window > 0 || features) return undefined;
  const [height, width] = imageShape;
  return { mean: image ? mean.map(() => 0) : mean, deviation, size: [height, width], ...(image && { meanImage: toMeanImage(image) }) };
}

/**
 * A network with the normalisation that it was trained on as attributes of its input, in place of what they said; with nothing there
 * where there are no words for it. A mean image, being no attribute, is a file beside.
 */
export function stating(symbol: ModelSymbol, normalization: Normalization, images: Images): ModelSymbol {
  return withPreprocessing(symbol, toPreprocessing(normalization, images));
}

/**
 * Preprocessing in words: `minus1to1`, or a mean in units of a byte, red, green, blue, and a deviation after a slash (1 where there is none).
 *
 * @throws OptionError for what is neither
 */
export function parsePreprocessing(text: string): Preprocessing {
  if (text === 'minus1to1') return toMinusOneToOne;
  const [mean, deviation = [1, 1, 1], ...more] = text.split('/').map((part) => part.split(',').map((x) => (x.trim() === '' ? NaN : Number(x))));
  const isTriple = (numbers: readonly number[]): boolean => numbers.length === 3 && numbers.every(Number.isFinite);
  if (more.length === 0 && isTriple(mean) && isTriple(deviation) && deviation.every((d) => d > 0)) return { mean, deviation };
  throw new OptionError('expected minus1to1, or a mean of grey levels and a deviation above 0, red, green, blue, as in 124,116,104/58,57,57');
}
