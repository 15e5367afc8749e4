/** Convolution problems as other engines state them. */
import type { HostData } from '../../src/device/types.ts';
import { outputTypes } from '../../src/benchmark/check.ts';
import type { KernelProblem } from '../../src/benchmark/types.ts';

export type Direction = 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad';

export interface Convolution {
  readonly direction: Direction;
  /** NHWC. */
  readonly image: readonly [number, number, number, number];
  /** KRSC. */
  readonly filter: readonly [number, number, number, number];
  readonly output: readonly [number, number, number, number];
  readonly stride: readonly [number, number];
  /** Top, bottom, left, right. */
  readonly padding: readonly [number, number, number, number];
}

/** The problem's convolution; undefined for other ops, and for conv2dStats, which is a fusion of ours. */
export function convolutionOf(problem: KernelProblem): Convolution | undefined {
  const { op, inputs: [a, b], attrs } = problem;
  if (op !== 'conv2d' && op !== 'conv2dInputGrad' && op !== 'conv2dFilterGrad') return undefined;
  const [{ shape }] = outputTypes(problem);
  const [image, filter, output] = op === 'conv2d' ? [a.shape, b.shape, shape]
    : op === 'conv2dInputGrad' ? [shape, b.shape, a.shape] : [a.shape, shape, b.shape];
  const { stride, padding } = attrs as unknown as Pick<Convolution, 'stride' | 'padding'>;
  return { direction: op, stride, padding, image, filter, output } as unknown as Convolution;
}

/** Filters KRSC as [height, width, in, out]. */
export function filterHwio(values: HostData, [k, r, s, c]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  const taps = r * s * c;
  for (let o = 0; o < k; o++) for (let t = 0; t < taps; t++) out[t * k + o] = values[o * taps + t];
  return out;
}

/** The way back. */
export function filterKrsc(values: ArrayLike<number>, [k, r, s, c]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  const taps = r * s * c;
  for (let o = 0; o < k; o++) for (let t = 0; t < taps; t++) out[o * taps + t] = values[t * k + o];
  return out;
}

/** NHWC to NCHW, and KRSC to OIHW. */
export function channelsFirst(values: ArrayLike<number>, [n, h, w, c]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < h * w; p++) for (let k = 0; k < c; k++) out[(i * c + k) * h * w + p] = values[(i * h * w + p) * c + k];
  }
  return out;
}

/** NCHW, of the NHWC shape given, to NHWC. */
export function channelsLast(values: ArrayLike<number>, [n, h, w, c]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < h * w; p++) for (let k = 0; k < c; k++) out[(i * h * w + p) * c + k] = values[(i * c + k) * h * w + p];
  }
  return out;
}
