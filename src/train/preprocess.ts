/** From bytes to what a network sees: scaling and mean subtraction, as ops on the device. */
import type { Dataset } from '../data/dataset.ts';
import { DataError, ShapeError } from '../errors.ts';
import { getOp } from '../graph/op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply1, tensor, wrap } from '../tensor/tensor.ts';

/**
 * What is done to bytes before the network sees them: x = (byte - mean) / deviation, a channel each, in units of a byte.
 * With a `window`, x = (byte - mean of the window x window pixels around it) / deviation: local average subtraction, after
 * B. Graham's winning report on Kaggle's diabetic retinopathy competition (2015). It takes away what differs from camera to
 * camera and from eye to eye (colour, illumination), and leaves what is small, as lesions are.
 */
export interface Normalization {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Odd, in pixels; 0 for none. With one, `mean` is not used. */
  readonly window: number;
  /** The mean of each pixel, row-major: taken off in place of `mean`, where a network was trained so. */
  readonly image?: { readonly shape: readonly [height: number, width: number, channels: number]; readonly data: Float32Array };
}

export const normalizations = ['channel', 'local'] as const;
export type NormalizationKind = (typeof normalizations)[number];

/**
 * The part of an image's side that the window of `local` covers: a tenth, 1.35 mm of a field of 13.5 mm. Wider than lesions
 * (cotton-wool spots, among the largest, are 0.4 to 0.6 mm), narrower than the fall of light over a field.
 */
const windowShare = 0.1;

/** The odd number of pixels next to a tenth of an image's side, 3 or more. */
export function localWindow(side: number): number {
  return 2 * Math.max(1, Math.round((side * windowShare - 1) / 2)) + 1;
}

/** Images that the statistics are taken from, evenly spread over those given. */
const sampledImages = 256;

/**
 * Mean and standard deviation of each channel over images of a dataset (the training part: nothing of the others may enter).
 *
 * @param indices dataset indices.
 * @throws DataError where there are none.
 */
export function measureNormalization(data: Dataset, indices: ArrayLike<number>, kind: NormalizationKind = 'channel'): Normalization {
  if (indices.length === 0) throw new DataError(`${data.name}: no images to take channel means from`);
  const [height, width, channels] = data.shape;
  const window = kind === 'local' ? localWindow(Math.min(height, width)) : 0;
  const pixels = new Uint8Array(height * width * channels);
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  const taken = Math.min(indices.length, sampledImages);
  for (let k = 0; k < taken; k++) {
    data.readInto(indices[Math.floor(k * indices.length / taken)], pixels);
    const x = window > 0 ? subtractLocalMean(pixels, data.shape, window) : pixels;
    for (let at = 0; at < x.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const v = x[at + c];
        sums[c] += v;
        squares[c] += v * v;
      }
    }
  }
  const count = taken * height * width;
  // Rounded, so that a config file holds what was used, in few digits. A channel that never varies is left as it is.
  const round = (x: number): number => Math.round(x * 1000) / 1000;
  const mean = Array.from(sums, (s) => (window > 0 ? 0 : round(s / count)));
  const deviation = Array.from(squares, (s, c) => round(Math.sqrt(Math.max(0, s / count - (sums[c] / count) ** 2))) || 1);
  return { mean, deviation, window };
}

/** As `preprocess` does it on the device, but for rounding; windows are cut off at the image's edges. */
export function subtractLocalMean(
  pixels: Uint8Array, [height, width, channels]: readonly [number, number, number], window: number,
): Float64Array {
  const across = boxMean(Float64Array.from(pixels), height, width, width * channels, channels, channels, window);
  const both = boxMean(across, width, height, channels, width * channels, channels, window);
  return both.map((mean, i) => pixels[i] - mean);
}

/** Means along one axis of `length` elements, `step` apart, of each of `lines` lines, `lineStep` apart. */
function boxMean(
  x: Float64Array, lines: number, length: number, lineStep: number, step: number, channels: number, window: number,
): Float64Array {
  const out = new Float64Array(x.length);
  const half = (window - 1) / 2;
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < channels; c++) {
      const at = (i: number): number => line * lineStep + i * step + c;
      let sum = 0;
      for (let i = 0; i < Math.min(half, length); i++) sum += x[at(i)];
      for (let i = 0; i < length; i++) {
        if (i + half < length) sum += x[at(i + half)];
        if (i - half - 1 >= 0) sum -= x[at(i - half - 1)];
        out[at(i)] = sum / (Math.min(i + half, length - 1) - Math.max(i - half, 0) + 1);
      }
    }
  }
  return out;
}

/** Grey levels [N, H, W, C] of 0 to 255, uint8 or float32, to float32, normalised. @throws ShapeError for a mean image of another size */
export function preprocess(pixels: Tensor, { mean, deviation, window, image }: Normalization): Tensor {
  const x = pixels.dtype === 'float32' ? pixels : pixels.cast('float32');
  const factor = tensor(Float32Array.from(deviation, (d) => 1 / d));
  if (image) {
    if (image.shape.join() !== pixels.shape.slice(1).join()) {
      throw new ShapeError(`the mean image has [${image.shape.join(', ')}], the images [${pixels.shape.slice(1).join(', ')}]`);
    }
    return x.sub(wrap(image.data, [1, ...image.shape], 'float32')).mul(factor);
  }
  if (window === 0) return x.sub(tensor(Float32Array.from(mean))).mul(factor);
  return x.sub(localMean(x, window)).mul(factor);
}

/**
 * Means over the window x window pixels around each, cut off at the image's edges: a square window as two strips (the divisor,
 * the number of pixels within the image, is a product too). Each strip lies along the second axis, with all else in the last,
 * where kernels take many elements at a time: three channels alone are few.
 */
function localMean(x: Tensor, window: number): Tensor {
  const [n, height, width, channels] = x.shape;
  const half = (window - 1) / 2;
  const pool = (y: Tensor, length: number): Tensor => apply1(getOp('avgPool2d'), [y.reshape([n, length, 1, y.size / n / length])], {
    size: [window, 1], stride: [1, 1], padding: [half, half, 0, 0], ceil: false, countPadding: false,
  });
  const down = pool(x, height).reshape([n, height, width, channels]);
  const across = pool(down.transpose([0, 2, 1, 3]), width).reshape([n, width, height, channels]);
  return across.transpose([0, 2, 1, 3]);
}
