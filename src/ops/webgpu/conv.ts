/** Lowerings of convolution and its input gradient; the kernels' tile sizes are chosen here. */
import type { GpuFeatures, Lowering, Placed, Shape, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, read, storageType, texture, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { takesMatrices, tiledProduct } from './matrices.ts';
import { statisticsLaunches, statisticsScratch } from './norm.ts';
import { accurate, quick, winogradLaunches, winogradScratch } from './winograd.ts';

/** SIMD width of a software adapter: threads of a workgroup of the `rows` kernels. */
const LANES = 8;

export interface ConvSizes {
  /** Threads run over so many positions. */
  readonly pixels: number;
  readonly x: Shape;
  readonly y: Shape;
  readonly w: Shape;
}

/** Words of shaders/conv_uniforms.wgsl. */
export function convUniforms(
  { pixels, x, y, w }: ConvSizes, { stride, padding, dilation }: ConvAttrs,
  places: { readonly x: Placed; readonly y: Placed; readonly w: { offset: number; stride: number }; readonly bias?: Placed | undefined },
  options: { readonly relu?: boolean; readonly classes?: readonly [number, number]; readonly runs?: readonly [number, number, number, number] } = {},
): number[] {
  const [, inH, inW, channels] = x;
  const [, outH, outW, filters] = y;
  return [
    pixels, outH, outW, inH, inW, channels, filters, w[1], w[2], ...stride, padding[0], padding[2], ...dilation,
    boundOffset(places.x), places.x.stride, places.w.offset, places.w.stride,
    places.bias === undefined ? 0 : boundOffset(places.bias), places.bias === undefined ? 0 : 1, options.relu === true ? 1 : 0,
    boundOffset(places.y), places.y.stride,
    ...(options.classes ?? [0, 0]), ...(options.runs ?? [0, 0, 0, 0]),
  ];
}

/** Vectors of four columns that a thread of a `rows` kernel computes: as many as it can keep without idle columns. */
export function columnVectors(columns: number): number {
  const vectors = Math.ceil(columns / 4);
  if (vectors <= 2) return vectors;
  return vectors % 4 === 0 || vectors % 3 !== 0 ? 4 : 3;
}

/** What a software adapter copies into a texture at a time, unless one image is more. */
export const TEXTURE_BYTES = 6 << 20;

/** Images `first` to `first + count` of a value. */
export function images(v: Placed, first: number, count: number): Placed {
  const rows = v.rows / v.shape[0];
  return { ...v, shape: [count, ...v.shape.slice(1)], rows: count * rows, offset: v.offset + first * rows * v.stride };
}

/** The launches of `launch` over groups of images, so that what each reads of `x` keeps to TEXTURE_BYTES. */
function byImages(x: Placed, y: Placed, launch: (x: Placed, y: Placed) => WebgpuLaunch): WebgpuLaunch[] {
  const n = x.shape[0];
  const count = Math.max(1, Math.floor(TEXTURE_BYTES / (4 * (x.rows / n) * x.stride)));
  return Array.from({ length: Math.ceil(n / count) }, (_, i) => {
    const take = Math.min(count, n - i * count);
    return launch(images(x, i * count, take), images(y, i * count, take));
  });
}

/** How a software adapter reads operands: vectors of float32 through textures, which are such, anything else from its buffer. */
export function loadOf(vector: boolean, ...operands: readonly Placed[]): typeof read {
  return vector && operands.every(({ dtype }) => dtype === 'float32') ? texture : read;
}

/** Rows that a thread computes: fewer where there are few, so that all cores have work. */
const rowsPerThread = (pixels: number): number => (pixels >= 128 ? 8 : 4);

function forwardLaunches(
  x: Placed, w: Placed, bias: Placed | undefined, y: Placed, attrs: ConvAttrs, relu: boolean, features: GpuFeatures | undefined,
): WebgpuLaunch[] {
  const filters = w.shape[0];
  const vector = isVectorizable(x) && isVectorizable(w);
  const pixelsOf = ({ shape: [n, outH, outW] }: Placed): number => n * outH * outW;
  const uniforms = (from: Placed, to: Placed): number[] =>
    convUniforms({ pixels: pixelsOf(to), x: from.shape, y: to.shape, w: w.shape }, attrs,
      { x: from, y: to, bias, w: { offset: boundOffset(w), stride: w.stride } }, { relu });
  // Without a bias the binding is filled by the filters, and not read.
  const rest = (to: Placed): WebgpuLaunch['bindings'] => [read(bias ?? w), write(to)];
  const types = { V: vector ? 'vec4f' : 'f32', XT: storageType(x, vector), WT: storageType(w, vector), YT: storageType(y, false) };
  const load = loadOf(vector, x, w);
  const NV = columnVectors(filters);
  const rows = (from: Placed, to: Placed): WebgpuLaunch => {
    const TM = rowsPerThread(pixelsOf(to));
    return {
      adapter: 'software',
      shader: 'conv2d_forward_rows',
      replace: { TM, NV, TEX: load === texture ? 1 : 0, W: vector ? 4 : 1, M: vector ? 'mat4x4f' : 'vec4f', ...types },
      uniforms: uniforms(from, to),
      bindings: [load(from), load(w), ...rest(to)],
      grid: [Math.ceil(pixelsOf(to) / (LANES * TM)), Math.ceil(filters / (4 * NV)), 1],
      label: 'conv2d',
    };
  };
  return [
    ...byImages(x, y, rows),
    {
      adapter: 'hardware',
      shader: 'conv2d_forward_tiles',
      ...tiledProduct({ rows: pixelsOf(y), columns: filters, count: 1, depth: sizeOf(w.shape) / filters }, [x, w],
        { leftByRows: true, rightByColumns: true }, features, { VEC: vector ? 1 : 0, ...types }),
      uniforms: uniforms(x, y),
      bindings: [read(x), read(w), ...rest(y)],
      label: 'conv2d',
    },
  ];
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' }, WebgpuLaunch> = {
  scratch: ([, w], [y], attrs) => winogradScratch({ tiled: y.shape, filter: w.shape, attrs }, quick) ?? [],
  launches({ inputs: [x, w, bias], outputs: [y], scratch, attrs, features }) {
    const relu = attrs.activation === 'relu';
    if (takesMatrices(features, x, w) || winogradScratch({ tiled: y.shape, filter: w.shape, attrs }, quick) === undefined) {
      return forwardLaunches(x, w, bias, y, attrs, relu, features);
    }
    return winogradLaunches({ input: x, filter: w, bias, output: y, scratch, attrs, relu, gradient: false, method: quick, label: 'conv2d' });
  },
};

export const conv2dInputGradLowering: Lowering<ConvAttrs & { readonly inputShape: Shape }, WebgpuLaunch> = {
  scratch: ([, w], [dx], attrs) => winogradScratch({ tiled: dx.shape, filter: w.shape, attrs }, quick) ?? [],
  launches({ inputs: [dy, w], outputs: [dx], scratch, attrs, features }) {
    if (!takesMatrices(features, dy, w) && winogradScratch({ tiled: dx.shape, filter: w.shape, attrs }, quick) !== undefined) {
      return winogradLaunches({ input: dy, filter: w, output: dx, scratch, attrs, gradient: true, method: quick, label: 'conv2dInputGrad' });
    }
    const [, inH, inW, channels] = dx.shape;
    const [strideH, strideW] = attrs.stride;
    const classes = [Math.ceil(inH / strideH), Math.ceil(inW / strideW)] as const;
    const pixelsOf = (to: Placed): number => to.shape[0] * classes[0] * classes[1];
    const vector = isVectorizable(dy) && isVectorizable(w);
    const uniforms = (from: Placed, to: Placed): number[] =>
      convUniforms({ pixels: pixelsOf(to), x: to.shape, y: from.shape, w: w.shape }, attrs,
        { x: to, y: from, w: { offset: boundOffset(w), stride: w.stride } }, { classes });
    const NV = columnVectors(channels);
    const VEC = vector ? 1 : 0;
    const types = { V: vector ? 'vec4f' : 'f32', YT: storageType(dy, vector), WT: storageType(w, vector), XT: storageType(dx, false) };
    const load = loadOf(vector, dy, w);
    const rows = (from: Placed, to: Placed): WebgpuLaunch => {
      const TM = rowsPerThread(pixelsOf(to));
      return {
        adapter: 'software',
        shader: 'conv2d_input_grad_rows',
        replace: { TM, NV, W: vector ? 4 : 1, VEC, TEX: load === texture ? 1 : 0, ...types },
        uniforms: uniforms(from, to),
        bindings: [load(from), load(w), write(to)],
        grid: [Math.ceil(pixelsOf(to) / (LANES * TM)), Math.ceil(channels / (4 * NV)), strideH * strideW],
        label: 'conv2dInputGrad',
      };
    };
    return [
      ...byImages(dy, dx, rows),
      {
        adapter: 'hardware',
        shader: 'conv2d_input_grad_tiles',
        ...tiledProduct({ rows: pixelsOf(dx), columns: channels, count: strideH * strideW, depth: sizeOf(w.shape) / channels }, [dy, w],
          { leftByRows: true, rightByColumns: false }, features, { VEC, ...types }),
        uniforms: uniforms(dy, dx),
        bindings: [read(dy), read(w), write(dx)],
        label: 'conv2dInputGrad',
      },
    ];
  },
};

/** A convolution, then the mean and variance of each of its channels. */
export const conv2dStatsLowering: Lowering<ConvAttrs, WebgpuLaunch> = {
  scratch: ([, w], [y], attrs) => [statisticsScratch(y), ...(winogradScratch({ tiled: y.shape, filter: w.shape, attrs }, accurate) ?? [])],
  launches({ inputs: [x, w, bias], outputs: [y, mean, variance], scratch: [partial, ...scratch], attrs, features }) {
    const convolution = scratch.length === 0 || takesMatrices(features, x, w)
      ? forwardLaunches(x, w, bias, y, attrs, false, features)
      : winogradLaunches({ input: x, filter: w, bias, output: y, scratch, attrs, gradient: false, method: accurate, label: 'conv2d' });
    return [...convolution, ...statisticsLaunches(y, mean, variance, partial)];
  },
};
