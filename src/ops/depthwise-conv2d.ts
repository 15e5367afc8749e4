/** depthwiseConv2d, one filter a channel, and its gradients. */
import { sizeOf } from '../device/types.ts';
import type { Shape, TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/depthwise.ts';
import * as cuda from './cuda/depthwise.ts';
import { sum } from './reduce.ts';
import { checkConvGradient, convLengths, forEachTap } from './support/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, checkRank, checkVector, named, padding4, pair, shapeError } from './support/shapes.ts';
import type { Padding } from './support/shapes.ts';
import * as gpu from './webgpu/depthwise.ts';

type InputGradAttrs = ConvAttrs & { readonly inputShape: Shape };
type FilterGradAttrs = ConvAttrs & { readonly filterShape: Shape };

const float32 = (shape: Shape): TensorType => ({ shape, dtype: 'float32' });

/** [N,P,Q,C] from x [N,H,W,C] and filter [R,S,C]. Throws ShapeError where they do not go together. */
function outputShape(op: string, x: TensorType, filter: TensorType, attrs: ConvAttrs): number[] {
  checkRank(op, 'x', x, 4, '[batch, height, width, channels]');
  checkRank(op, 'filter', filter, 3, '[height, width, channels]');
  const [n, , , c] = x.shape;
  const [r, s, filterC] = filter.shape;
  if (filterC !== c) shapeError(op, `${named('filter', filter)} has ${filterC} channels, ${named('x', x)} has ${c}`);
  return [n, ...convLengths(op, x, filter, [r, s], attrs), c];
}

/** Calls `visit` with the elements of y, x and the filter of each product. */
function forEachProduct(
  x: Shape, filter: Shape, y: Shape, attrs: ConvAttrs, visit: (o: number, i: number, f: number) => void,
): void {
  const c = x[3];
  forEachTap(x, [1, ...filter], y, attrs, (o, i, tap) => {
    for (let cc = 0; cc < c; cc++) visit(o + cc, i + cc, tap + cc);
  });
}

const flop = (y: Shape, filter: Shape): number => 2 * sizeOf(y) * filter[0] * filter[1];

export const depthwiseConv2dOp: DifferentiableOp<ConvAttrs> = defineOp<ConvAttrs>({
  name: 'depthwiseConv2d',
  inputs: ['x', 'filter', 'bias?'],
  infer(inputs: readonly TensorType[], attrs) {
    checkFloat('depthwiseConv2d', ['x', 'filter', 'bias'], inputs);
    const [x, filter, bias] = inputs;
    const shape = outputShape('depthwiseConv2d', x, filter, attrs);
    const why = `one for each channel of ${named('filter', filter)}`;
    if (bias) checkVector('depthwiseConv2d', 'bias', bias, shape[3], why);
    return [float32(shape)];
  },
  // y[n,p,q,c] = sum over r,s of x[n, p u + r d - top, q v + s e - left, c] filter[r,s,c] + bias[c]: linear in each
  gradient({ attrs, inputs: [x, filter], grads: [dy], needs }) {
    if (dy === undefined) return needs.map(() => undefined);
    const gradients: (Tensor | undefined)[] = [
      needs[0] ? apply1(depthwiseConv2dInputGradOp, [dy, filter], { ...attrs, inputShape: x.shape }) : undefined,
      needs[1] ? apply1(depthwiseConv2dFilterGradOp, [x, dy], { ...attrs, filterShape: filter.shape }) : undefined,
    ];
    if (needs.length > 2) gradients.push(needs[2] ? sum(dy, [0, 1, 2]) : undefined);
    return gradients;
  },
  reference([x, filter, bias]: readonly HostTensor[], attrs, [out]) {
    const c = x.shape[3];
    const y = new Float64Array(sizeOf(out.shape));
    if (bias) y.forEach((_, i) => { y[i] = bias.data[i % c]; });
    forEachProduct(x.shape, filter.shape, out.shape, attrs, (o, i, f) => {
      y[o] += x.data[i] * filter.data[f];
    });
    return [y];
  },
  kernels: { cpu: cpu.depthwiseLowering, webgpu: gpu.depthwiseLowering, cuda: cuda.depthwiseLowering },
  precision: 'matrix',
  half: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([, filter]) => filter.shape[0] * filter.shape[1] + 1,
  cost: (inputs, outputs) => ({ flop: flop(outputs[0].shape, inputs[1].shape), bytes: bytesTouched(inputs, outputs) }),
  samples: (): Sample<ConvAttrs>[] =>
    cases().flatMap(({ x, filter, attrs, note }) => [
      { inputs: [f32(x), f32(filter)], attrs, note },
      { inputs: [f32(x), f32(filter), f32([x[3]])], attrs, note },
    ]),
});

export const depthwiseConv2dInputGradOp: DifferentiableOp<InputGradAttrs> = defineOp<InputGradAttrs>({
  name: 'depthwiseConv2dInputGrad',
  inputs: ['dy', 'filter'],
  infer([dy, filter]: readonly TensorType[], attrs) {
    const dx = float32(attrs.inputShape);
    checkConvGradient('depthwiseConv2dInputGrad', dy, dx, filter, attrs, outputShape);
    return [dx];
  },
  // linear in both: its adjoint in dy is the convolution, in the filter the correlation of g with dy
  gradient({ attrs, inputs: [dy, filter], grads: [g], needs }) {
    if (g === undefined) return [undefined, undefined];
    const { inputShape: _, ...conv } = attrs;
    return [
      needs[0] ? apply1(depthwiseConv2dOp, [g, filter], conv) : undefined,
      needs[1] ? apply1(depthwiseConv2dFilterGradOp, [g, dy], { ...conv, filterShape: filter.shape }) : undefined,
    ];
  },
  reference([dy, filter]: readonly HostTensor[], attrs) {
    const dx = new Float64Array(sizeOf(attrs.inputShape));
    forEachProduct(attrs.inputShape, filter.shape, dy.shape, attrs, (o, i, f) => {
      dx[i] += dy.data[o] * filter.data[f];
    });
    return [dx];
  },
  kernels: { cpu: cpu.depthwiseInputGradLowering, webgpu: gpu.depthwiseInputGradLowering, cuda: cuda.depthwiseInputGradLowering },
  precision: 'matrix',
  half: { inputs: [0, 1], outputs: [0] },
  // all taps, as conv2dInputGrad counts them; with a stride an element meets fewer
  reductionLength: ([, filter]) => filter.shape[0] * filter.shape[1],
  cost: (inputs, outputs) => ({ flop: flop(inputs[0].shape, inputs[1].shape), bytes: bytesTouched(inputs, outputs) }),
  samples: (): Sample<InputGradAttrs>[] =>
    cases().map(({ x, filter, y, attrs, note }) => (
      { inputs: [f32(y), f32(filter)], attrs: { ...attrs, inputShape: x }, note }
    )),
});

export const depthwiseConv2dFilterGradOp: DifferentiableOp<FilterGradAttrs> = defineOp<FilterGradAttrs>({
  name: 'depthwiseConv2dFilterGrad',
  inputs: ['x', 'dy'],
  infer([x, dy]: readonly TensorType[], attrs) {
    const dfilter = float32(attrs.filterShape);
    checkConvGradient('depthwiseConv2dFilterGrad', dy, x, dfilter, attrs, outputShape);
    return [dfilter];
  },
  // bilinear: against g, a gradient shaped like a filter, x's adjoint is the input gradient, dy's the convolution
  gradient({ attrs, inputs: [x, dy], grads: [g], needs }) {
    if (g === undefined) return [undefined, undefined];
    const { filterShape: _, ...conv } = attrs;
    return [
      needs[0] ? apply1(depthwiseConv2dInputGradOp, [dy, g], { ...conv, inputShape: x.shape }) : undefined,
      needs[1] ? apply1(depthwiseConv2dOp, [x, g], conv) : undefined,
    ];
  },
  reference([x, dy]: readonly HostTensor[], attrs) {
    const dfilter = new Float64Array(sizeOf(attrs.filterShape));
    forEachProduct(x.shape, attrs.filterShape, dy.shape, attrs, (o, i, f) => {
      dfilter[f] += dy.data[o] * x.data[i];
    });
    return [dfilter];
  },
  kernels: { cpu: cpu.depthwiseFilterGradLowering, webgpu: gpu.depthwiseFilterGradLowering, cuda: cuda.depthwiseFilterGradLowering },
  precision: 'matrix',
  half: { inputs: [0, 1] },
  reductionLength: ([, dy]) => dy.shape[0] * dy.shape[1] * dy.shape[2],
  cost: (inputs, outputs) => ({ flop: flop(inputs[1].shape, outputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
  samples: (): Sample<FilterGradAttrs>[] =>
    cases().map(({ x, filter, y, attrs, note }) => (
      { inputs: [f32(x), f32(y)], attrs: { ...attrs, filterShape: filter }, note }
    )),
});

interface Case {
  readonly x: Shape;
  readonly filter: Shape;
  readonly y: Shape;
  readonly attrs: ConvAttrs;
  readonly note?: string;
}

function cases(): Case[] {
  const make = (x: Shape, [r, s]: Shape, given: Partial<ConvAttrs> = {}, note?: string): Case => {
    const attrs: ConvAttrs = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], ...given };
    const filter = [r, s, x[3]];
    return { x, filter, y: outputShape('depthwiseConv2d', float32(x), float32(filter), attrs), attrs, note };
  };
  return [
    make([1, 1, 1, 1], [1, 1]),
    make([2, 5, 7, 3], [1, 1]),
    make([2, 5, 6, 4], [3, 3], { padding: [1, 1, 1, 1] }),
    make([1, 9, 8, 5], [3, 3], { stride: [2, 2], padding: [1, 1, 1, 1] }),
    make([3, 7, 7, 8], [3, 3], { stride: [2, 2] }),
    make([1, 9, 9, 6], [3, 3], { padding: [2, 2, 2, 2], dilation: [2, 2] }),
    make([2, 7, 6, 1], [3, 2], { stride: [1, 2], padding: [0, 1, 2, 0], dilation: [2, 1] }, 'asymmetric'),
    make([1, 11, 10, 12], [3, 4], { stride: [2, 3], padding: [2, 0, 1, 3], dilation: [3, 2] }, 'all at once'),
    make([1, 8, 7, 20], [2, 2], { stride: [3, 3] }, 'gaps'),
    make([1, 2, 3, 7], [3, 5], { padding: [4, 1, 3, 5] }, 'windows wholly in the padding'),
    make([2, 13, 11, 18], [5, 3], { padding: [2, 2, 1, 1] }, 'vectors and a rest'),
    make([2, 29, 31, 20], [3, 3], { padding: [1, 1, 1, 1] }, 'several runs of rows'),
    make([3, 23, 21, 13], [3, 3], { padding: [0, 1, 0, 1] }, 'several runs of rows'),
  ];
}

export interface DepthwiseConv2dOptions {
  /** [C] */
  readonly bias?: TensorLike;
  /** One number or [h, w]; default 1. */
  readonly stride?: number | readonly [number, number];
  /** Zeros around the image: one number, [h, w] or [top, bottom, left, right]; default 0. */
  readonly padding?: Padding;
  /** One number or [h, w]; default 1. */
  readonly dilation?: number | readonly [number, number];
}

/**
 * Convolution of every channel of x [N,H,W,C] with its own filter, of filter [R,S,C], to [N,P,Q,C], where
 * P = floor((H + top + bottom - dilation (R-1) - 1) / stride) + 1 and likewise Q. Throws ShapeError where channels
 * differ or the filter is larger than the padded image.
 */
export function depthwiseConv2d(x: TensorLike, filter: TensorLike, options: DepthwiseConv2dOptions = {}): Tensor {
  const attrs: ConvAttrs = {
    stride: pair('depthwiseConv2d', 'stride', options.stride ?? 1),
    padding: padding4('depthwiseConv2d', options.padding ?? 0),
    dilation: pair('depthwiseConv2d', 'dilation', options.dilation ?? 1),
  };
  const inputs = [toTensor(x), toTensor(filter)];
  if (options.bias !== undefined) inputs.push(toTensor(options.bias));
  return apply1(depthwiseConv2dOp, inputs, attrs);
}
