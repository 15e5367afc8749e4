/** The distinct layers of the networks that are measured. */
import type { Shape } from '../device/types.ts';
import { inceptionBN } from '../models/index.ts';
import { attributesOf } from '../nn/symbol-graph.ts';
import type { SymbolNode } from '../nn/symbol-graph.ts';
import { inceptionV3Convolutions } from './inception-v3.ts';

/** A convolution or pooling window over a square image. */
export interface Layer {
  /** `inception-bn conv_2`, for each layer of this form. */
  readonly names: readonly string[];
  readonly side: number;
  readonly channels: number;
  readonly kernel: readonly [number, number];
  readonly stride: number;
  /** Of height and width, on both sides. */
  readonly padding: readonly [number, number];
}

export interface ConvolutionLayer extends Layer {
  readonly filters: number;
  /** Of how many layers this is the form. */
  readonly count: number;
}

export interface PoolingLayer extends Layer {
  readonly type: 'max' | 'avg';
}

export interface NormLayer {
  readonly names: readonly string[];
  readonly side: number;
  readonly channels: number;
}

export const inceptionBNSide = 224;

export interface Layers {
  readonly convolutions: readonly ConvolutionLayer[];
  readonly poolings: readonly PoolingLayer[];
  readonly norms: readonly NormLayer[];
}

/** Distinct layers of Inception-BN at 224 x 224, from the model itself, in the order in which it has them. */
export function inceptionBNLayers(): Layers {
  const symbol = inceptionBN();
  const { internals } = symbol.inferShape({ data: [1, 3, inceptionBNSide, inceptionBNSide] });
  const inputOf = (node: SymbolNode): Shape => internals.get(node.inputs[0].node)![node.inputs[0].index];
  const convolutions: ConvolutionLayer[] = [];
  const poolings: PoolingLayer[] = [];
  const norms: NormLayer[] = [];
  for (const node of symbol.nodes) {
    const names = [`inception-bn ${node.name}`];
    if (node.op === 'BatchNorm') norms.push({ names, side: inputOf(node)[2], channels: inputOf(node)[1] });
    if (node.op !== 'Convolution' && node.op !== 'Pooling') continue;
    const [, channels, side] = inputOf(node);
    const a = attributesOf(node) as {
      kernel: [number, number]; stride: number[]; pad: [number, number]; num_filter: number; pool_type: 'max' | 'avg'; global_pool: boolean;
    };
    const [stride = 1] = a.stride;
    const layer = { names, side, channels, kernel: a.kernel, stride, padding: [a.pad[0] ?? 0, a.pad[1] ?? 0] as const };
    if (node.op === 'Convolution') convolutions.push({ ...layer, filters: a.num_filter, count: 1 });
    else if (!a.global_pool) poolings.push({ ...layer, type: a.pool_type });
  }
  return { convolutions: distinct(convolutions), poolings: distinct(poolings), norms: distinct(norms) };
}

/** Distinct convolutions of Inception v3 at 299 x 299. */
export function inceptionV3Layers(): ConvolutionLayer[] {
  return inceptionV3Convolutions.map(([side, channels, filters, r, s, stride, down, across, count]) => ({
    names: [`inception-v3 ${count} of ${side}x${side}`], side, channels, filters, kernel: [r, s], stride, padding: [down, across], count,
  }));
}

/** Joins layers of one form; counts are added. */
export function distinct<T extends { readonly names: readonly string[]; readonly count?: number }>(layers: readonly T[]): T[] {
  const found = new Map<string, T>();
  for (const layer of layers) {
    const { names, count, ...form } = layer;
    const key = JSON.stringify(form);
    const before = found.get(key);
    found.set(key, before === undefined ? layer
      : { ...layer, names: [...before.names, ...names], ...(count !== undefined && { count: before.count! + count }) });
  }
  return [...found.values()];
}

/** Multiply-adds of a convolution, a single image. */
export function multiplyAdds({ side, channels, filters, kernel, stride, padding }: Omit<ConvolutionLayer, 'names' | 'count'>): number {
  const [h, w] = [0, 1].map((d) => Math.floor((side + 2 * padding[d] - kernel[d]) / stride) + 1);
  return h * w * filters * channels * kernel[0] * kernel[1];
}
