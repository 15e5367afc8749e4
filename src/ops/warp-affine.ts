/** warpAffine: images resampled under a map of their own: rotation, shear, scale, shift and crop in one pass. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/image.ts';
import * as cuda from './cuda/image.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, checkRank, named, shapeError } from './support/shapes.ts';
import * as gpu from './webgpu/image.ts';

export type WarpAffineAttrs = {
  /** Value of what lies outside of the image. */
  readonly fill: number;
};

/** How pixels between others are told; their numbers, in this order, are the seventh of a map. OpenCV's INTER_NEAREST, ..., INTER_LANCZOS4. */
export const interpolations = ['nearest', 'bilinear', 'cubic', 'area', 'lanczos4'] as const;
export type Interpolation = typeof interpolations[number];

/** The pixels along an axis that a place is told from, the first of them, and their weights. */
interface Taps { readonly first: number; readonly weights: readonly number[] }

const taps = (first: number, count: number, weight: (pixel: number) => number): Taps =>
  ({ first, weights: Array.from({ length: count }, (_, k) => weight(first + k)) });

/** Keys 1981 with a = -3/4, as OpenCV has it. */
function cubic(distance: number): number {
  const d = Math.abs(distance);
  return d <= 1 ? (1.25 * d - 2.25) * d * d + 1 : ((-0.75 * d + 3.75) * d - 6) * d + 3;
}

const sinc = (t: number): number => (t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t));

/** The taps of a place by each interpolation; `span`: pixels from one place to the next, of which areas are averaged; `size`: of the axis. */
const tapsOf: Readonly<Record<Interpolation, (place: number, span: number, size: number) => Taps>> = {
  nearest: (place) => taps(Math.floor(place), 2, (p) => (p === Math.floor(place + 0.5) ? 1 : 0)),
  bilinear: (place) => taps(Math.floor(place), 2, (p) => 1 - Math.abs(p - place)),
  cubic: (place) => taps(Math.floor(place) - 1, 4, (p) => cubic(p - place)),
  area(place, span, size) {
    const [from, to] = [place - span / 2, place + span / 2];
    // All that lies outside on one side is one tap: an area may be much wider than the image.
    const [first, last] = [from, to].map((end) => Math.max(-1, Math.min(size, Math.floor(end + 0.5))));
    const begin = (p: number): number => (p < 0 ? -Infinity : p - 0.5);
    return taps(first, last - first + 1, (p) => (Math.min(to, p < size ? p + 0.5 : Infinity) - Math.max(from, begin(p))) / span);
  },
  lanczos4(place) {
    const { first, weights } = taps(Math.floor(place) - 3, 8, (p) => sinc(p - place) * sinc((p - place) / 4));
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((w) => w / sum) };
  },
};

/** Outside of any image. */
const nowhere: Taps = { first: -1, weights: [1] };

/** How many times the range of the pixels around a place a result moves at most, while the place moves by one pixel. */
const steepness: Readonly<Record<Interpolation, number>> = { nearest: 0, bilinear: 1, cubic: 2, area: 1, lanczos4: 4 };

/** Times float32's epsilon more than 1: the whole range of the pixels around is allowed. */
const LEAP = 2 ** 24;

/** Whether a place that is the sum of products of these magnitudes may be rounded to either side of the middle between two pixels. */
const isHalfWay = (place: number, size: number): boolean => Math.abs(place - Math.floor(place) - 0.5) <= (size + 1) * 2 ** -22;

/** A map's interpolation: bilinear where it names none that there is, or is no shrinking along the axes, which alone has areas. */
function interpolationOf(m: ArrayLike<number>): Interpolation {
  const named = m[6] >= 0 && m[6] <= 4 ? interpolations[Math.trunc(m[6])] : 'bilinear';
  const shrinks = m[1] === 0 && m[3] === 0 && Math.abs(m[0]) >= 1 && Math.abs(m[4]) >= 1;
  return named === 'area' && !shrinks ? 'bilinear' : named;
}

/** The elements of x (undefined outside) that an element of y is told from, and their weights. */
interface Told {
  readonly at: number;
  readonly values: readonly (number | undefined)[];
  readonly weights: readonly number[];
  /** The magnitudes that the place is the sum of, times what a place's error does to the result; `LEAP` where that may be another pixel. */
  readonly travel: number;
}

function forEachWarped([x, matrix]: readonly HostTensor[], visit: (told: Told) => void): void {
  const [n, height, width, channels] = x.shape;
  const columns = matrix.shape[1];
  for (let image = 0; image < n; image++) {
    const m = matrix.data.subarray(image * columns, (image + 1) * columns);
    const interpolation = interpolationOf(m);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const [u, v] = [m[0] * j + m[1] * i + m[2], m[3] * j + m[4] * i + m[5]];
        const across = Number.isFinite(u) ? tapsOf[interpolation](u, Math.abs(m[0]), width) : nowhere;
        const down = Number.isFinite(v) ? tapsOf[interpolation](v, Math.abs(m[4]), height) : nowhere;
        const size = Math.abs(m[0] * j) + Math.abs(m[1] * i) + Math.abs(m[2]) + Math.abs(m[3] * j) + Math.abs(m[4] * i) + Math.abs(m[5]);
        const leaps = interpolation === 'nearest' && (isHalfWay(u, size) || isHalfWay(v, size));
        const travel = leaps ? LEAP : steepness[interpolation] * size;
        const weights = down.weights.flatMap((v) => across.weights.map((w) => v * w));
        for (let c = 0; c < channels; c++) {
          const element = (row: number, column: number): number | undefined =>
            (row >= 0 && row < height && column >= 0 && column < width
              ? x.data[((image * height + row) * width + column) * channels + c] : undefined);
          const values = down.weights.flatMap((_, r) => across.weights.map((_w, k) => element(down.first + r, across.first + k)));
          visit({ at: ((image * height + i) * width + j) * channels + c, values, weights, travel });
        }
      }
    }
  }
}

export const warpAffineOp: DifferentiableOp<WarpAffineAttrs> = defineOp<WarpAffineAttrs>({
  name: 'warpAffine',
  inputs: ['x', 'matrix'],
  infer([x, matrix]: readonly TensorType[]) {
    checkFloat('warpAffine', ['x', 'matrix'], [x, matrix]);
    checkRank('warpAffine', 'x', x, 4, '[N,H,W,C]');
    if (matrix.shape.length !== 2 || matrix.shape[0] !== x.shape[0] || ![6, 7].includes(matrix.shape[1])) {
      const n = x.shape[0];
      shapeError('warpAffine', `${named('matrix', matrix)} should be [${n},6] or [${n},7], a map for each image of ${named('x', x)}`);
    }
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  reference(inputs: readonly HostTensor[], { fill }) {
    const y = new Float64Array(inputs[0].data.length);
    forEachWarped(inputs, ({ at, values, weights }) => {
      y[at] = values.reduce<number>((sum, value, k) => sum + weights[k] * (value ?? fill), 0);
    });
    return [y];
  },
  // A place is rounded to so many digits of the products that it is the sum of; that moves the result by the slope between pixels.
  magnitude(inputs, { fill }) {
    const m = new Float64Array(inputs[0].data.length);
    forEachWarped(inputs, ({ at, values: told, weights, travel }) => {
      const values = told.map((value) => value ?? fill);
      const slope = Math.max(...values) - Math.min(...values);
      m[at] = values.reduce((sum, v, k) => sum + Math.abs(weights[k] * v), 0) + travel * slope;
    });
    return [m];
  },
  kernels: { cpu: cpu.warpAffineLowering, webgpu: gpu.warpAffineLowering, cuda: cuda.warpAffineLowering },
  cost: elementwiseCost(8),
  samples(): Sample<WarpAffineAttrs>[] {
    const lines = (length: number, values: readonly number[]): SampleInput =>
      ({ shape: [values.length / length, length], dtype: 'float32', values, differentiable: false });
    const maps = (...values: number[]): SampleInput => lines(6, values);
    const all = (...map: number[]): SampleInput => lines(7, interpolations.flatMap((_, k) => [...map, k]));
    const image = { low: 0, high: 255, differentiable: false };
    const turned = [0.8, 0.45, -1.3, -0.5, 0.9, 2.1];
    return [
      { inputs: [f32([1, 5, 7, 3], image), maps(1, 0, 0, 0, 1, 0)], attrs: { fill: 255 }, note: 'identity' },
      { inputs: [f32([2, 6, 4, 3], image), maps(-1, 0, 3, 0, -1, 5, 1, 0, 2.25, 0, 1, -1.5)], attrs: { fill: 9 }, note: 'turned, shifted' },
      { inputs: [f32([3, 9, 11, 3], image), maps(...turned, 0.5, 0, 3, 0, 0.5, 2, 3, 0, -9, 0, 2, -4)], attrs: { fill: 0 } },
      { inputs: [f32([1, 3, 3, 1], image), maps(1, 0, 1e6, 0, 1, 0)], attrs: { fill: 4 }, note: 'far outside' },
      { inputs: [f32([2, 33, 40, 4], image), maps(...turned, ...turned.map((v) => -v))], attrs: { fill: 128 } },
      {
        inputs: [f32([5, 13, 11, 3], image), all(0.8123, 0.4517, -1.3371, -0.5093, 0.9011, 2.1337)], attrs: { fill: 30 },
        note: 'turned, by each interpolation',
      },
      { inputs: [f32([5, 12, 17, 2], image), all(0.37, 0, 1.21, 0, 0.61, -0.83)], attrs: { fill: 255 }, note: 'enlarged by each' },
      { inputs: [f32([5, 14, 19, 3], image), all(-2.3, 0, 21.13, 0, 1.7, -2.21)], attrs: { fill: 7 }, note: 'shrunk and mirrored by each' },
      { inputs: [f32([5, 4, 6, 1], image), all(1, 0, 0, 0, 1, 0)], attrs: { fill: 99 }, note: 'identity by each' },
      { inputs: [f32([5, 3, 4, 1], image), all(9, 0, -1e5, 0, 7, 1e6)], attrs: { fill: 3 }, note: 'far outside by each' },
      {
        inputs: [f32([4, 5, 1, 2], image), lines(7, [-1, 2.5, 2, 4].flatMap((k) => [0.7, 0, 0.13, 0, 0.8, 0.31, k]))], attrs: { fill: 50 },
        note: 'one column, no interpolation that there is, and one between two',
      },
      { inputs: [f32([5, 3, 4, 1], image), all(1e4, 0, 2.3, 0, 2e4, 1.2)], attrs: { fill: 3 }, note: 'areas much wider than the image' },
      { inputs: [f32([1, 3, 4, 1], image), lines(7, [1, 0, 0.5 - 2 ** -25, 0, 1, 0, 0])], attrs: { fill: 3 }, note: 'nearest, half way' },
    ];
  },
});

/**
 * Images x [N,H,W,C] resampled: y at row i, column j is x at column m0 j + m1 i + m2 and row m3 j + m4 i + m5, m being its image's
 * line of `matrix` [N,6] or [N,7]; what lies outside of the image counts as `fill`. Pixels between others are told from the four around by
 * bilinear weights, or as m6 says, a place in `interpolations`: cubic from 16 (Keys 1981, a = -3/4), lanczos4 from 64 (weights divided by
 * their sum), area by the mean over what lies between one pixel and the next, where the image shrinks along its axes, else bilinear.
 */
export function warpAffine(x: TensorLike, matrix: TensorLike, options: { readonly fill?: number } = {}): Tensor {
  return apply1(warpAffineOp, [x, matrix], { fill: options.fill ?? 0 });
}
