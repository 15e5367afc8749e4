/** Lowerings of convolution and its input gradient; the kernels' tile sizes are chosen here. */
import type { Lowering, Placed, Shape, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable } from '../../device/types.ts';
import { boundOffset, read, storageType, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { statisticsLaunches, statisticsScratch } from './norm.ts';

/** Side of the tiles that hardware kernels compute, in pixels, filters or channels. */
export const TILE = 64;

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
  options: { readonly relu?: boolean; readonly classes?: readonly [number, number]; readonly runs?: readonly [number, number, number] } = {},
): number[] {
  const [, inH, inW, channels] = x;
  const [, outH, outW, filters] = y;
  return [
    pixels, outH, outW, inH, inW, channels, filters, w[1], w[2], ...stride, padding[0], padding[2], ...dilation,
    boundOffset(places.x), places.x.stride, places.w.offset, places.w.stride,
    places.bias === undefined ? 0 : boundOffset(places.bias), places.bias === undefined ? 0 : 1, options.relu === true ? 1 : 0,
    boundOffset(places.y), places.y.stride,
    ...(options.classes ?? [0, 0]), ...(options.runs ?? [0, 0, 0]),
  ];
}

/** Vectors of four columns that a thread of a `rows` kernel computes: as many as it can keep without idle columns. */
export function columnVectors(columns: number): number {
  const vectors = Math.ceil(columns / 4);
  if (vectors <= 2) return vectors;
  return vectors % 4 === 0 || vectors % 3 !== 0 ? 4 : 3;
}

/** Rows that a thread computes: fewer where there are few, so that all cores have work. */
const rowsPerThread = (pixels: number): number => (pixels >= 1024 ? 8 : 4);

function forwardLaunches(
  x: Placed, w: Placed, bias: Placed | undefined, y: Placed, attrs: ConvAttrs, relu: boolean,
): WebgpuLaunch[] {
  const [n, outH, outW, filters] = y.shape;
  const pixels = n * outH * outW;
  const vector = isVectorizable(x) && isVectorizable(w);
  const places = { x, y, bias, w: { offset: boundOffset(w), stride: w.stride } };
  const uniforms = convUniforms({ pixels, x: x.shape, y: y.shape, w: w.shape }, attrs, places, { relu });
  // Without a bias the binding is filled by the filters, and not read.
  const bindings = [read(x), read(w), read(bias ?? w), write(y)];
  const types = { XT: storageType(x, vector), WT: storageType(w, vector), YT: storageType(y, false) };
  const NV = columnVectors(filters);
  const TM = rowsPerThread(pixels);
  return [
    {
      adapter: 'software',
      shader: 'conv2d_forward_rows',
      replace: { TM, NV, ...types, ...(vector ? { V: 'vec4f', W: 4, M: 'mat4x4f' } : { V: 'f32', W: 1, M: 'vec4f' }) },
      uniforms, bindings,
      grid: [Math.ceil(pixels / (LANES * TM)), Math.ceil(filters / (4 * NV)), 1],
      label: 'conv2d',
    },
    {
      adapter: 'hardware',
      shader: 'conv2d_forward_tiles',
      replace: { VEC: vector ? 1 : 0, ...types },
      uniforms, bindings,
      grid: [Math.ceil(pixels / TILE), Math.ceil(filters / TILE), 1],
      label: 'conv2d',
    },
  ];
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' }, WebgpuLaunch> = {
  launches: ({ inputs: [x, w, bias], outputs: [y], attrs }) => forwardLaunches(x, w, bias, y, attrs, attrs.activation === 'relu'),
};

export const conv2dInputGradLowering: Lowering<ConvAttrs & { readonly inputShape: Shape }, WebgpuLaunch> = {
  launches({ inputs: [dy, w], outputs: [dx], attrs }) {
    const [n, inH, inW, channels] = dx.shape;
    const [strideH, strideW] = attrs.stride;
    const classes = [Math.ceil(inH / strideH), Math.ceil(inW / strideW)] as const;
    const pixels = n * classes[0] * classes[1];
    const vector = isVectorizable(dy) && isVectorizable(w);
    const places = { x: dx, y: dy, w: { offset: boundOffset(w), stride: w.stride } };
    const uniforms = convUniforms({ pixels, x: dx.shape, y: dy.shape, w: w.shape }, attrs, places, { classes });
    const bindings = [read(dy), read(w), write(dx)];
    const types = { YT: storageType(dy, vector), WT: storageType(w, vector), XT: storageType(dx, false) };
    const NV = columnVectors(channels);
    const TM = rowsPerThread(pixels);
    const V = vector ? 'vec4f' : 'f32';
    const launches: WebgpuLaunch[] = [
      {
        adapter: 'software',
        shader: 'conv2d_input_grad_rows',
        replace: { TM, NV, V, W: vector ? 4 : 1, VEC: vector ? 1 : 0, ...types },
        uniforms, bindings,
        grid: [Math.ceil(pixels / (LANES * TM)), Math.ceil(channels / (4 * NV)), strideH * strideW],
        label: 'conv2dInputGrad',
      },
      {
        adapter: 'hardware',
        shader: 'conv2d_input_grad_tiles',
        replace: { VEC: vector ? 1 : 0, ...types },
        uniforms, bindings,
        grid: [Math.ceil(pixels / TILE), Math.ceil(channels / TILE), strideH * strideW],
        label: 'conv2dInputGrad',
      },
    ];
    return launches;
  },
};

/** A convolution, then the mean and variance of each of its channels. */
export const conv2dStatsLowering: Lowering<ConvAttrs, WebgpuLaunch> = {
  scratch: (_inputs, [y]) => [statisticsScratch(y)],
  launches: ({ inputs: [x, w, bias], outputs: [y, mean, variance], scratch: [partial], attrs }) => [
    ...forwardLaunches(x, w, bias, y, attrs, false),
    ...statisticsLaunches(y, mean, variance, partial),
  ],
};
