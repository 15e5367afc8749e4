/** Lowerings of convolution and its input gradient; the kernels' tile sizes are chosen here. */
import type { GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { adapterKind, isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, foldedGrid, images, loadOf, read, storageType, texture, TEXTURE_BYTES, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { takesMatrices, tiledProduct } from './matrices.ts';
import { inScratch, padChannels, padded, paddedBytes, paddedImages, padsChannels } from './pad-channels.ts';
import { statisticsLaunches, statisticsScratch } from './norm.ts';
import type { Plan } from './winograd.ts';
import { accurate, quick, winogradLaunches, winogradPlan, winogradScratch, winogradWork } from './winograd.ts';

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

/** The launches of `launch` over groups of images, so that what each reads of `x` keeps to TEXTURE_BYTES. */
function byImages(x: Placed, y: Placed, launch: (x: Placed, y: Placed) => WebgpuLaunch): WebgpuLaunch[] {
  const n = x.shape[0];
  const count = Math.max(1, Math.floor(TEXTURE_BYTES / (4 * (x.rows / n) * x.stride)));
  return Array.from({ length: Math.ceil(n / count) }, (_, i) => {
    const take = Math.min(count, n - i * count);
    return launch(images(x, i * count, take), images(y, i * count, take));
  });
}

/** Rows that a thread computes: fewer where there are few, so that all cores have work. */
const rowsPerThread = (pixels: number): number => (pixels >= 128 ? 8 : 4);

/** Bytes of the images that are padded at a time, and of the filters. */
const paddingScratch = (x: TensorType, w: TensorType): number[] =>
  (padsChannels(x, w.shape) ? [paddedBytes(paddedImages(x.shape), x.shape), 4 * sizeOf(padded(w.shape))] : []);

const pixelsOf = ({ shape: [n, outH, outW] }: Placed): number => n * outH * outW;

function forwardLaunches(
  x: Placed, w: Placed, bias: Placed | undefined, y: Placed, attrs: ConvAttrs, relu: boolean, scratch: readonly Scratch[],
  features: GpuFeatures | undefined,
): WebgpuLaunch[] {
  const filters = w.shape[0];
  const uniforms = (from: Placed, by: Placed, to: Placed): number[] =>
    convUniforms({ pixels: pixelsOf(to), x: from.shape, y: to.shape, w: by.shape }, attrs,
      { x: from, y: to, bias, w: { offset: boundOffset(by), stride: by.stride } }, { relu });
  const vectorOf = (from: Placed, by: Placed): boolean => isVectorizable(from) && isVectorizable(by);
  const typesOf = (from: Placed, by: Placed): Readonly<Record<string, string>> => {
    const vector = vectorOf(from, by);
    return { V: vector ? 'vec4f' : 'f32', XT: storageType(from, vector), WT: storageType(by, vector), YT: storageType(y, false) };
  };
  // Without a bias the binding is filled by the filters, and not read.
  const rest = (to: Placed): WebgpuLaunch['bindings'] => [read(bias ?? w), write(to)];
  const rows = (from: Placed, by: Placed, to: Placed): WebgpuLaunch => {
    const vector = vectorOf(from, by);
    const load = loadOf(vector, from, by);
    const TM = rowsPerThread(pixelsOf(to));
    const NV = columnVectors(filters);
    return {
      adapter: 'software',
      shader: 'conv2d_forward_rows',
      replace: { TM, NV, TEX: load === texture ? 1 : 0, W: vector ? 4 : 1, M: vector ? 'mat4x4f' : 'vec4f', ...typesOf(from, by) },
      uniforms: uniforms(from, by, to),
      bindings: [load(from), load(by), ...rest(to)],
      grid: foldedGrid(Math.ceil(pixelsOf(to) / (LANES * TM)), Math.ceil(filters / (4 * NV)), 1),
      label: 'conv2d',
    };
  };
  const software = (): WebgpuLaunch[] => {
    if (!padsChannels(x, w.shape)) return byImages(x, y, (from, to) => rows(from, w, to));
    const by = inScratch(scratch[1], padded(w.shape));
    const count = paddedImages(x.shape);
    return [
      padChannels(w, by),
      ...Array.from({ length: Math.ceil(x.shape[0] / count) }, (_, i) => {
        const [from, to] = [x, y].map((v) => images(v, i * count, Math.min(count, x.shape[0] - i * count)));
        const wide = inScratch(scratch[0], padded(from.shape));
        return [padChannels(from, wide), rows(wide, by, to)];
      }).flat(),
    ];
  };
  const VEC = vectorOf(x, w) ? 1 : 0;
  return [
    ...software(),
    {
      adapter: 'hardware',
      shader: 'conv2d_forward_tiles',
      ...tiledProduct({ rows: pixelsOf(y), columns: filters, count: 1, depth: sizeOf(w.shape) / filters }, [x, w],
        { leftByRows: true, rightByColumns: true }, features, { VEC, ...typesOf(x, w) }),
      uniforms: uniforms(x, w, y),
      bindings: [read(x), read(w), ...rest(y)],
      label: 'conv2d',
    },
  ];
}

type Method = typeof quick;

/** How a convolution or its gradient by the input is filtered minimally, if no matrix units do it: `tiled` is y, or dx. */
function minimalPlan(
  operands: readonly TensorType[], tiled: TensorType, attrs: ConvAttrs, method: Method, features?: GpuFeatures,
): Plan | undefined {
  if (takesMatrices(features, ...operands)) return undefined;
  return winogradPlan({ tiled: tiled.shape, filter: operands[1].shape, attrs }, method, adapterKind(features));
}

/** The method and FLOP of what `minimalPlan` plans. */
const workBy = (method: Method): NonNullable<Lowering<ConvAttrs, WebgpuLaunch>['work']> => ([input, w], [output], attrs, features) => {
  const plan = minimalPlan([input, w], output, attrs, method, features);
  return plan && winogradWork(plan);
};

/** Bytes of scratch of a forward convolution. */
function forwardScratch(x: TensorType, w: TensorType, y: TensorType, attrs: ConvAttrs, method: Method, features?: GpuFeatures): number[] {
  const plan = minimalPlan([x, w], y, attrs, method, features);
  return plan === undefined ? paddingScratch(x, w) : winogradScratch(plan);
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' }, WebgpuLaunch> = {
  scratch: ([x, w], [y], attrs, features) => forwardScratch(x, w, y, attrs, quick, features),
  work: workBy(quick),
  launches({ inputs: [x, w, bias], outputs: [y], scratch, attrs, features }) {
    const relu = attrs.activation === 'relu';
    const plan = minimalPlan([x, w], y, attrs, quick, features);
    if (plan === undefined) return forwardLaunches(x, w, bias, y, attrs, relu, scratch, features);
    return winogradLaunches({ plan, input: x, filter: w, bias, output: y, scratch, attrs, relu, gradient: false, label: 'conv2d' });
  },
};

export const conv2dInputGradLowering: Lowering<ConvAttrs & { readonly inputShape: Shape }, WebgpuLaunch> = {
  scratch([dy, w], [dx], attrs, features) {
    const plan = minimalPlan([dy, w], dx, attrs, quick, features);
    return plan === undefined ? [] : winogradScratch(plan);
  },
  work: workBy(quick),
  launches({ inputs: [dy, w], outputs: [dx], scratch, attrs, features }) {
    const plan = minimalPlan([dy, w], dx, attrs, quick, features);
    if (plan !== undefined) {
      return winogradLaunches({ plan, input: dy, filter: w, output: dx, scratch, attrs, gradient: true, label: 'conv2dInputGrad' });
    }
    const [, inH, inW, channels] = dx.shape;
    const [strideH, strideW] = attrs.stride;
    const classes = [Math.ceil(inH / strideH), Math.ceil(inW / strideW)] as const;
    const pixelsIn = (to: Placed): number => to.shape[0] * classes[0] * classes[1];
    const vector = isVectorizable(dy) && isVectorizable(w);
    const uniforms = (from: Placed, to: Placed): number[] =>
      convUniforms({ pixels: pixelsIn(to), x: to.shape, y: from.shape, w: w.shape }, attrs,
        { x: to, y: from, w: { offset: boundOffset(w), stride: w.stride } }, { classes });
    const NV = columnVectors(channels);
    const VEC = vector ? 1 : 0;
    const types = { V: vector ? 'vec4f' : 'f32', YT: storageType(dy, vector), WT: storageType(w, vector), XT: storageType(dx, false) };
    const load = loadOf(vector, dy, w);
    const rows = (from: Placed, to: Placed): WebgpuLaunch => {
      const TM = rowsPerThread(pixelsIn(to));
      return {
        adapter: 'software',
        shader: 'conv2d_input_grad_rows',
        replace: { TM, NV, W: vector ? 4 : 1, VEC, TEX: load === texture ? 1 : 0, ...types },
        uniforms: uniforms(from, to),
        bindings: [load(from), load(w), write(to)],
        grid: foldedGrid(Math.ceil(pixelsIn(to) / (LANES * TM)), Math.ceil(channels / (4 * NV)), strideH * strideW),
        label: 'conv2dInputGrad',
      };
    };
    return [
      ...byImages(dy, dx, rows),
      {
        adapter: 'hardware',
        shader: 'conv2d_input_grad_tiles',
        ...tiledProduct({ rows: pixelsIn(dx), columns: channels, count: strideH * strideW, depth: sizeOf(w.shape) / channels }, [dy, w],
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
  scratch: ([x, w], [y], attrs, features) => [statisticsScratch(y, features), ...forwardScratch(x, w, y, attrs, accurate, features)],
  work: workBy(accurate),
  launches({ inputs: [x, w, bias], outputs: [y, mean, variance], scratch: [partial, ...scratch], attrs, features }) {
    const plan = minimalPlan([x, w], y, attrs, accurate, features);
    const convolution = plan === undefined
      ? forwardLaunches(x, w, bias, y, attrs, false, scratch, features)
      : winogradLaunches({ plan, input: x, filter: w, bias, output: y, scratch, attrs, gradient: false, label: 'conv2d' });
    return [...convolution, ...statisticsLaunches(y, mean, variance, partial)];
  },
};
