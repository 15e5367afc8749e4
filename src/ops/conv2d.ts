/** conv2d: cross-correlation of NHWC images with KRSC filters. */
import { sizeOf } from '../device/types.ts';
import type { TensorType } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { reluGradOp } from './binary.ts';
import { conv2dFilterGradOp } from './conv2d-filter-grad.ts';
import { conv2dInputGradOp } from './conv2d-input-grad.ts';
import * as cpu from './cpu/conv.ts';
import * as cuda from './cuda/conv.ts';
import { sum } from './reduce.ts';
import { checkBias, convCases, convFlop, convOutputShape, forEachTap } from './support/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { mergedForward } from './support/siblings.ts';
import { checkFloat, padding4, pair } from './support/shapes.ts';
import type { Padding } from './support/shapes.ts';
import * as gpuConv from './webgpu/conv.ts';

export type Activation = 'none' | 'relu';
export type Conv2dAttrs = ConvAttrs & { readonly activation: Activation };

/** A relu that alone reads the convolution becomes its activation. */
const withRelu: Rewrite = {
  name: 'conv2d + relu',
  anchor: 'relu',
  match(node, graph) {
    const conv = node.inputs[0].node;
    if (conv.op.name !== 'conv2d' || conv.attrs.activation !== 'none') return undefined;
    if (graph.isRequested(conv) || graph.users(conv).length !== 1) return undefined;
    const [by] = graph.make('conv2d', { ...conv.attrs, activation: 'relu' }, conv.inputs);
    return [{ node, output: 0, by }];
  },
};

export const conv2dOp: DifferentiableOp<Conv2dAttrs> = defineOp<Conv2dAttrs>({
  name: 'conv2d',
  inputs: ['x', 'filter', 'bias?'],
  infer(inputs: readonly TensorType[], attrs) {
    checkFloat('conv2d', ['x', 'filter', 'bias'], inputs);
    const [x, filter, bias] = inputs;
    checkBias('conv2d', bias, filter);
    return [{ shape: convOutputShape('conv2d', x, filter, attrs), dtype: 'float32' }];
  },
  /*
   * y[n,p,q,k] = sum over r,s,c of x[n, p u + r d - top, q v + s e - left, c] filter[k,r,s,c] + bias[k]. It is linear in each:
   * dx scatters dy by the filter, dfilter correlates x with dy, dbias sums dy over pixels.
   */
  gradient({ attrs, inputs: [x, filter], outputs: [y], grads: [grad], needs }) {
    if (grad === undefined) return needs.map(() => undefined);
    const { activation, ...conv } = attrs;
    const dy = activation === 'relu' ? apply1(reluGradOp, [grad, y], {}) : grad;
    const gradients: (Tensor | undefined)[] = [
      needs[0] ? apply1(conv2dInputGradOp, [dy, filter], { ...conv, inputShape: x.shape }) : undefined,
      needs[1] ? apply1(conv2dFilterGradOp, [x, dy], { ...conv, filterShape: filter.shape }) : undefined,
    ];
    if (needs.length > 2) gradients.push(needs[2] ? sum(dy, [0, 1, 2]) : undefined);
    return gradients;
  },
  reference([x, filter, bias]: readonly HostTensor[], attrs, [out]) {
    const [k, r, s, c] = filter.shape;
    const y = new Float64Array(sizeOf(out.shape));
    if (bias) y.forEach((_, i) => { y[i] = bias.data[i % k]; });
    forEachTap(x.shape, filter.shape, out.shape, attrs, (o, i, tap) => {
      for (let kk = 0; kk < k; kk++) {
        const f = kk * r * s * c + tap;
        let total = 0;
        for (let cc = 0; cc < c; cc++) total += x.data[i + cc] * filter.data[f + cc];
        y[o + kk] += total;
      }
    });
    return [attrs.activation === 'relu' ? y.map((v) => Math.max(v, 0)) : y];
  },
  kernels: { cpu: cpu.conv2dLowering, webgpu: gpuConv.conv2dLowering, cuda: cuda.conv2dLowering },
  precision: 'matrix',
  float16: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([, filter]) => filter.shape[1] * filter.shape[2] * filter.shape[3] + 1,
  cost: (inputs, outputs) => ({ flop: convFlop(outputs[0].shape, inputs[1].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<Conv2dAttrs>[] {
    return convCases().flatMap(({ x, filter, attrs, note }, i): Sample<Conv2dAttrs>[] => [
      { inputs: [f32(x), f32(filter)], attrs: { ...attrs, activation: 'none' }, note },
      {
        inputs: [f32(x), f32(filter), f32([filter[0]])],
        attrs: { ...attrs, activation: i % 2 === 0 ? 'none' : 'relu' },
        note,
      },
    ]);
  },
  rewrites: [withRelu, mergedForward('conv2d')],
});

export interface Conv2dOptions {
  /** [K] */
  readonly bias?: TensorLike;
  /** One number or [h, w]; default 1. */
  readonly stride?: number | readonly [number, number];
  /** Zeros around the image: one number, [h, w] or [top, bottom, left, right]; default 0. */
  readonly padding?: Padding;
  /** One number or [h, w]; default 1. */
  readonly dilation?: number | readonly [number, number];
  /** Applied to the result; default 'none'. */
  readonly activation?: Activation;
}

/**
 * Convolution of x [N,H,W,C] with filter [K,R,S,C] to [N,P,Q,K], where P = floor((H + top + bottom - dilation (R-1) - 1) / stride) + 1
 * and likewise Q. Throws ShapeError where channels differ or the filter is larger than the padded image.
 */
export function conv2d(x: TensorLike, filter: TensorLike, options: Conv2dOptions = {}): Tensor {
  const activation = options.activation ?? 'none';
  if (activation !== 'none' && activation !== 'relu') {
    throw new OptionError(`conv2d: activation "${String(activation)}" should be none or relu`);
  }
  const attrs: Conv2dAttrs = {
    stride: pair('conv2d', 'stride', options.stride ?? 1),
    padding: padding4('conv2d', options.padding ?? 0),
    dilation: pair('conv2d', 'dilation', options.dilation ?? 1),
    activation,
  };
  const inputs = [toTensor(x), toTensor(filter)];
  if (options.bias !== undefined) inputs.push(toTensor(options.bias));
  return apply1(conv2dOp, inputs, attrs);
}
