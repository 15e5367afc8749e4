/**
 * The augmentation of MXNet's ImageRecordIter (image_aug_default.cc, iter_normalize.h), in its order: affine map, padding, crop, hue,
 * lightness and saturation, then contrast, illumination and mirroring. A mean image is taken off before mirroring, as there.
 */
import { OptionError } from '../errors.ts';
import { getOp } from '../graph/op.ts';
import { didYouMean } from '../nearest.ts';
import { interpolations } from '../ops/warp-affine.ts';
import type { Interpolation } from '../ops/warp-affine.ts';
import type { PhiloxStream } from '../random/philox.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply1, tensor } from '../tensor/tensor.ts';
import type { ImageShape, TracedTransform } from './augment.ts';

/**
 * How pixels between others are told: MXNet's `inter_method` 0 to 4 (`warpAffine` says what each is), 9 and 10. `auto` is cubic for images that
 * grow along both axes, area for those that shrink along both, else bilinear; `random` any of the five for each image.
 */
export const interMethods = [...interpolations, 'auto', 'random'] as const;
export type InterMethod = typeof interMethods[number];

/** By MXNet's names and with its defaults: nothing is changed. Random numbers are uniform. */
export interface RecordAugmentationOptions {
  /** Degrees, an integer from -max to max. */
  readonly maxRotateAngle?: number;
  /** Always this angle, in degrees. */
  readonly rotate?: number;
  /** One of these angles, in degrees: [0, 180]. */
  readonly rotateList?: readonly number[];
  /** Shear from -max to max. */
  readonly maxShearRatio?: number;
  /** Width over height from 1 - max to 1 + max; below 1. */
  readonly maxAspectRatio?: number;
  readonly minRandomScale?: number;
  readonly maxRandomScale?: number;
  /** Sides of the scaled image are kept within these, in pixels. */
  readonly minImgSize?: number;
  readonly maxImgSize?: number;
  /** Grey level of what lies outside of the image, 0 to 255. Default 255. */
  readonly fillValue?: number;
  /** Pixels on each side. */
  readonly pad?: number;
  /** Whether the crop lies anywhere, or in the middle. */
  readonly randCrop?: boolean;
  /**
   * Where the crop begins instead, in pixels of the scaled and padded image, wherever that is larger than the crop; at most as far as it goes.
   * Of MXNet of 2015.
   */
  readonly cropXStart?: number;
  readonly cropYStart?: number;
  /** A square crop's side in pixels, an integer from min to max, which is then scaled to the image's size. Default: no scaling. */
  readonly minCropSize?: number;
  readonly maxCropSize?: number;
  /** Hue moved by up to this, an integer in OpenCV's unit of 2 degrees; saturation and lightness in grey levels. */
  readonly randomH?: number;
  readonly randomS?: number;
  readonly randomL?: number;
  /** (x - mean) times 1 - max to 1 + max; the mean is that which the normalisation takes off: a mean image's pixels, or a channel's. */
  readonly maxRandomContrast?: number;
  /** Plus -max to max, in grey levels. */
  readonly maxRandomIllumination?: number;
  /** Default bilinear. */
  readonly interMethod?: InterMethod;
  readonly mirror?: boolean;
  readonly randMirror?: boolean;
}

const defaults = {
  maxRotateAngle: 0, rotate: 0, rotateList: [] as readonly number[], maxShearRatio: 0, maxAspectRatio: 0, minRandomScale: 1,
  maxRandomScale: 1, minImgSize: 0, maxImgSize: Infinity, fillValue: 255, pad: 0, randCrop: false, randomH: 0, randomS: 0, randomL: 0,
  maxRandomContrast: 0, maxRandomIllumination: 0, interMethod: 'bilinear' as InterMethod, mirror: false, randMirror: false,
};
type Settings = typeof defaults & Pick<RecordAugmentationOptions, 'minCropSize' | 'maxCropSize' | 'cropXStart' | 'cropYStart'>;

/**
 * As one transform. What MXNet does in two or three resamplings is done in one, about the centre of the pixels, so that a turn by 180
 * degrees moves none off the edge; colours are not rounded in between, but what cubic and lanczos4 overshoot is cut to 0 to 255. An image that is
 * smaller than what is cut from it, which MXNet refuses, is filled around.
 *
 * @throws OptionError for options out of range
 */
export function recordAugmentation(options: RecordAugmentationOptions): TracedTransform {
  const settings: Settings = { ...defaults, ...options };
  check(settings);
  const { randomH, randomS, randomL, maxRandomContrast, maxRandomIllumination, fillValue, interMethod } = settings;
  const recolours = randomH > 0 || randomS > 0 || randomL > 0;
  const relights = maxRandomContrast > 0 || maxRandomIllumination > 0;
  const overshoots = !['nearest', 'bilinear', 'area'].includes(interMethod);
  const mirrors = settings.mirror || settings.randMirror;
  const transform = function record(images: Tensor, { parameters, mean, meanImage }: Parameters<TracedTransform>[1]): Tensor {
    const n = images.shape[0];
    const part = (begin: number, count: number): Tensor => parameters!.slice([0, begin], [n, count]);
    let x = apply1(getOp('warpAffine'), [images, part(0, interMethod === 'bilinear' ? 6 : 7)], { fill: fillValue });
    if (overshoots) x = x.maximum(0).minimum(255);
    if (recolours) x = apply1(getOp('shiftHls'), [x, part(7, 3)], {});
    const turnsMean = mirrors && meanImage !== undefined;
    if (!relights && !turnsMean) return x;
    const middle = meanImage ?? tensor(Float32Array.from(mean));
    const each = (column: number): Tensor => part(column, 1).reshape([n, 1, 1, 1]);
    // MXNet mirrors last, what the mean image was taken off already: from a mirrored image goes the mirrored mean. The map says which those are.
    const mirrored = (): Tensor => each(0).mul(each(4)).sub(each(1).mul(each(3))).less(0);
    const own = turnsMean ? apply1(getOp('where'), [mirrored(), apply1(getOp('flip'), [middle], { axes: [2] }), middle]) : middle;
    const less = x.sub(own);
    return (relights ? less.mul(each(10)).add(each(11)) : less).add(middle);
  };
  const draw = (rng: PhiloxStream, shape: ImageShape): number[] => drawOne(settings, rng, shape);
  return Object.assign(transform, { parameters: { count: 12, draw } });
}

function check(settings: Settings): void {
  const refuse = (name: string, expected: string): never => {
    throw new OptionError(`recordAugmentation: ${name}: expected ${expected}, got ${String(settings[name as keyof Settings])}`);
  };
  const notNegative = [
    'maxRotateAngle', 'maxShearRatio', 'pad', 'randomH', 'randomS', 'randomL', 'maxRandomContrast', 'maxRandomIllumination', 'minImgSize',
  ] as const;
  for (const name of notNegative) if (!(settings[name] >= 0 && Number.isFinite(settings[name]))) refuse(name, 'a number of 0 or more');
  for (const name of ['maxRotateAngle', 'pad', 'randomH', 'randomS', 'randomL'] as const) {
    if (!Number.isInteger(settings[name])) refuse(name, 'an integer');
  }
  const { maxAspectRatio, minRandomScale, maxRandomScale, minImgSize, maxImgSize, minCropSize, maxCropSize, rotateList, fillValue } = settings;
  if (!(fillValue >= 0 && fillValue <= 255)) refuse('fillValue', 'a grey level from 0 to 255');
  if (!(maxAspectRatio >= 0 && maxAspectRatio < 1)) refuse('maxAspectRatio', 'a number from 0 to below 1');
  if (!(minRandomScale > 0)) refuse('minRandomScale', 'a number above 0');
  if (!(maxRandomScale >= minRandomScale && Number.isFinite(maxRandomScale))) refuse('maxRandomScale', `a number of minRandomScale ${minRandomScale} or more`);
  if (!(maxImgSize >= Math.max(1, minImgSize))) refuse('maxImgSize', `a number of minImgSize ${minImgSize} or more`);
  if (!rotateList.every(Number.isFinite)) refuse('rotateList', 'angles');
  if (!interMethods.includes(settings.interMethod)) {
    const given = String(settings.interMethod);
    throw new OptionError(`recordAugmentation: interMethod: '${given}' is none of ${interMethods.join(', ')}${didYouMean(given, interMethods)}`);
  }
  for (const name of ['cropXStart', 'cropYStart'] as const) {
    const start = settings[name];
    if (start !== undefined && !(Number.isInteger(start) && start >= 0)) refuse(name, 'an integer of 0 or more');
  }
  if (minCropSize === undefined && maxCropSize === undefined) return;
  if (!Number.isInteger(minCropSize) || minCropSize! < 1) refuse('minCropSize', 'an integer of 1 or more, beside maxCropSize');
  if (!Number.isInteger(maxCropSize) || maxCropSize! < minCropSize!) refuse('maxCropSize', `an integer of minCropSize ${minCropSize} or more`);
}

/** Cosine and sine of degrees, exact at right angles. */
function turn(degrees: number): [number, number] {
  const quarters = degrees / 90;
  if (Number.isInteger(quarters)) return ([[1, 0], [0, 1], [-1, 0], [0, -1]] as const)[((quarters % 4) + 4) % 4] as [number, number];
  const radians = (degrees / 180) * Math.PI;
  return [Math.cos(radians), Math.sin(radians)];
}

/** The interpolation of an image that becomes `growth` times as wide and high. */
function interpolationFor(method: InterMethod, growth: readonly number[], rng: PhiloxStream): Interpolation {
  if (method === 'random') return interpolations[rng.int(interpolations.length)];
  if (method !== 'auto') return method;
  return growth.every((g) => g > 1) ? 'cubic' : growth.every((g) => g < 1) ? 'area' : 'bilinear';
}

/** The map from the result's pixels to the image's (7 numbers, see `warpAffine`), hue, lightness, saturation, contrast, illumination. */
function drawOne(settings: Settings, rng: PhiloxStream, [height, width]: ImageShape): number[] {
  const spread = (most: number): number => (most === 0 ? 0 : rng.uniform(-most, most));
  const upTo = (most: number): number => rng.int(Math.max(0, Math.trunc(most)) + 1);
  const { maxRotateAngle, rotate, rotateList, minRandomScale, maxRandomScale, minImgSize, maxImgSize, pad } = settings;
  const shear = spread(settings.maxShearRatio);
  let angle = rng.int(2 * maxRotateAngle + 1) - maxRotateAngle;
  if (rotate !== 0) angle = rotate;
  if (rotateList.length > 0) angle = rotateList[rng.int(rotateList.length)];
  const [cosine, sine] = turn(angle);
  const scale = minRandomScale === maxRandomScale ? minRandomScale : rng.uniform(minRandomScale, maxRandomScale);
  const ratio = 1 + spread(settings.maxAspectRatio);
  const hs = (2 * scale) / (1 + ratio);
  const ws = ratio * hs;
  const [a, b, c, d] = [hs * cosine - shear * sine * ws, hs * sine + shear * cosine * ws, -sine * ws, cosine * ws];
  const side = (length: number): number => Math.trunc(Math.max(minImgSize, Math.min(maxImgSize, scale * length)));
  const [scaledWidth, scaledHeight] = [side(width), side(height)];

  const { minCropSize, maxCropSize } = settings;
  const crop = minCropSize === undefined ? undefined : minCropSize + rng.int(maxCropSize! - minCropSize + 1);
  const [cropHeight, cropWidth] = crop === undefined ? [height, width] : [crop, crop];
  const place = (room: number, start: number | undefined): number => {
    if (room > 0 && start !== undefined) return Math.min(start, room);
    return settings.randCrop && room > 0 ? upTo(room) : Math.trunc(room / 2);
  };
  const top = place(scaledHeight + 2 * pad - cropHeight, settings.cropYStart) - pad;
  const left = place(scaledWidth + 2 * pad - cropWidth, settings.cropXStart) - pad;

  const hls = [settings.randomH, settings.randomS, settings.randomL].map((most) => Math.trunc(spread(most)));
  const [hue, saturation, lightness] = [2 * hls[0], hls[1], hls[2]];
  const contrast = 1 + spread(settings.maxRandomContrast);
  const illumination = spread(settings.maxRandomIllumination);
  const mirrored = (settings.randMirror && rng.chance(0.5)) || settings.mirror;

  // Column j of the result is column kx j + ox of the scaled image; about its middle, back by the inverse of [[a, b], [c, d]].
  const [kx, ky] = [cropWidth / width, cropHeight / height];
  const sx = mirrored ? -kx : kx;
  const ox = (mirrored ? kx * (width - 1) : 0) + kx / 2 - 0.5 + left - (scaledWidth - 1) / 2;
  const oy = ky / 2 - 0.5 + top - (scaledHeight - 1) / 2;
  const interpolation = interpolationFor(settings.interMethod, [scaledWidth / (width * kx), scaledHeight / (height * ky)], rng);
  const determinant = a * d - b * c;
  const [ia, ib, ic, id] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [
    ia * sx, ib * ky, ia * ox + ib * oy + (width - 1) / 2,
    ic * sx, id * ky, ic * ox + id * oy + (height - 1) / 2,
    interpolations.indexOf(interpolation), hue, lightness, saturation, contrast, illumination,
  ];
}
