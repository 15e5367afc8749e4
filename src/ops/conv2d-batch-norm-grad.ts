/**
 * conv2dBatchNormGrad: the gradients of act(batchNorm(conv2d(x, filter))) at once, so that dy, the gradient between the two, is never written: both of
 * the convolution's gradients make it from the gradient behind and what was normalized, as they read them. normalizeConv2dBatchNormGrad: the same
 * of an image that is normalized on its way too. Fused on a device that is asked for prologues; they have no gradients themselves.
 */
import type { Launch, Lowering, Placed, Shape, TensorType } from '../device/types.ts';
import { bytesPerElement, isHalfType, sizeOf } from '../device/types.ts';
import { roundToHalf } from '../device/half.ts';
import type { Node } from '../graph/node.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { batchNormGradOp, checkChannelVectors } from './batch-norm.ts';
import type { BatchNormAttrs, NormAttrs } from './batch-norm.ts';
import { batchNormReluGradOp } from './batch-norm-relu-grad.ts';
import { conv2dFilterGradOp } from './conv2d-filter-grad.ts';
import type { Conv2dFilterGradAttrs } from './conv2d-filter-grad.ts';
import { conv2dInputGradOp } from './conv2d-input-grad.ts';
import type { Conv2dInputGradAttrs } from './conv2d-input-grad.ts';
import { neighbours } from './conv2d-stats.ts';
import * as cpuConv from './cpu/conv.ts';
import * as cpuNorm from './cpu/norm.ts';
import * as cuda from './cuda/conv-batch-norm-grad.ts';
import { lowerings, prepended } from './normalize-conv2d.ts';
import { checkConvGradient, convFlop } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { inScratch } from './support/prologue.ts';
import type { NormalizeAttrs } from './support/prologue.ts';
import { fixed, given, scrambled } from './support/samples.ts';
import { checkFloat, checkSameShape } from './support/shapes.ts';
import * as gpuFilterGrad from './webgpu/conv-filter-grad.ts';
import * as gpuConv from './webgpu/conv.ts';
import * as gpuNorm from './webgpu/norm.ts';

export type Conv2dBatchNormGradAttrs = Conv2dFilterGradAttrs & BatchNormAttrs;

const names = ['x', 'dz', 'y', 'yMean', 'yVariance', 'yGamma', 'yBeta', 'filter?'] as const;

/** The gradient of batch norm alone, or of ReLU after it, and the inputs that it takes. */
const gradOp = ({ activation }: BatchNormAttrs): DifferentiableOp<NormAttrs> => (activation === 'relu' ? batchNormReluGradOp : batchNormGradOp);
const normInputs = <T>(inputs: readonly T[], attrs: BatchNormAttrs): T[] => inputs.slice(1, 1 + gradOp(attrs).inputs.length);
const normAttrs = ({ epsilon, fixGamma }: NormAttrs): NormAttrs => ({ epsilon, fixGamma });
const filterAttrs = ({ stride, padding, dilation, filterShape }: Conv2dFilterGradAttrs): Conv2dFilterGradAttrs => ({ stride, padding, dilation, filterShape });
const imageAttrs = ({ stride, padding, dilation }: Conv2dFilterGradAttrs, { shape }: TensorType): Conv2dInputGradAttrs =>
  ({ stride, padding, dilation, inputShape: shape });

/** dfilter, dgamma, dbeta and dx from dy, dgamma and dbeta. */
function convolved(
  [x, , , , , , , filter]: readonly HostTensor[], [dy, dgamma, dbeta]: readonly Float64Array[], attrs: Conv2dBatchNormGradAttrs, dz: HostTensor,
): Float64Array[] {
  const between = { ...dz, data: dy };
  const float = ({ shape }: { readonly shape: Shape }): TensorType => ({ shape, dtype: 'float32' });
  const [dfilter] = conv2dFilterGradOp.reference!([x, between], filterAttrs(attrs), [float({ shape: attrs.filterShape })]);
  return [
    dfilter, dgamma, dbeta,
    ...(filter === undefined ? [] : conv2dInputGradOp.reference!([between, filter], imageAttrs(attrs, x), [float(x)])),
  ];
}

/**
 * Where nothing but one convolution's gradients reads dy. Convolutions 1x1 of one image were merged by then (support/siblings.ts): what they read
 * together is written.
 */
function fromParts(anchor: string, activation: BatchNormAttrs['activation']): Rewrite {
  return {
    name: `${anchor} + conv2d's gradients`,
    anchor,
    stage: 'gradient-prologue',
    match(node, graph) {
      const [dy, dgamma, dbeta] = node.outputs;
      // It is made in the type of the gradient behind, so it has to be of that.
      if (dy.dtype !== node.inputs[0].dtype || graph.isRequested(node, 0)) return undefined;
      const users = graph.users(node, 0);
      const reads = (op: string, input: number): Node | undefined =>
        users.find((n) => n.op.name === op && n.inputs.every((v, i) => (v === dy) === (i === input)));
      const [ofFilter, ofImage] = [reads('conv2dFilterGrad', 1), reads('conv2dInputGrad', 0)];
      if (ofFilter === undefined || users.length !== (ofImage === undefined ? 1 : 2)) return undefined;
      const attrs = filterAttrs(ofFilter.attrs as unknown as Conv2dFilterGradAttrs);
      const [x] = ofFilter.inputs;
      if (ofImage !== undefined && JSON.stringify(ofImage.attrs) !== JSON.stringify(imageAttrs(attrs, x))) return undefined;
      const [dz, y, mean, variance, gamma, beta = mean] = node.inputs;
      const filter = ofImage === undefined ? [] : [ofImage.inputs[1]];
      // No member may need what another gives, but for dy.
      const merged = [node, ofFilter, ...(ofImage === undefined ? [] : [ofImage])];
      if ([x, ...filter].some((v) => merged.includes(v.node) || graph.dependsOn(v.node, merged))) return undefined;
      const made = graph.make('conv2dBatchNormGrad', { ...attrs, ...normAttrs(node.attrs as unknown as NormAttrs), activation }, [
        x, dz, y, mean, variance, gamma, beta, ...filter,
      ]);
      return [
        { node: ofFilter, output: 0, by: made[0] }, { node, output: dgamma.index, by: made[1] }, { node, output: dbeta.index, by: made[2] },
        ...(ofImage === undefined ? [] : [{ node: ofImage, output: 0, by: made[3] }]),
      ];
    },
  };
}

/** On devices whose convolutions make nothing on their way: dy goes to scratch memory. */
function separate<L extends Launch>(
  norm: Readonly<Record<BatchNormAttrs['activation'], Lowering<NormAttrs, L>>>, filterGrad: Lowering<Conv2dFilterGradAttrs, L>,
  inputGrad: Lowering<Conv2dInputGradAttrs, L>,
): Lowering<Conv2dBatchNormGradAttrs, L> {
  /** The three, with what each is given of the inputs and outputs. */
  function parts<T extends TensorType>(inputs: readonly T[], outputs: readonly T[], dy: T, attrs: Conv2dBatchNormGradAttrs) {
    const [x, , , , , , , filter] = inputs;
    const [dfilter, dgamma, dbeta, dx] = outputs;
    return [
      { by: norm[attrs.activation], inputs: normInputs(inputs, attrs), outputs: [dy, dgamma, dbeta], attrs: normAttrs(attrs) },
      { by: filterGrad, inputs: [x, dy], outputs: [dfilter], attrs: filterAttrs(attrs) },
      ...(filter === undefined ? [] : [{ by: inputGrad, inputs: [dy, filter], outputs: [dx], attrs: imageAttrs(attrs, x) }]),
    ] as { by: Lowering<object, L>; inputs: T[]; outputs: T[]; attrs: object }[];
  }
  return {
    scratch: (inputs, outputs, attrs, features) => [
      sizeOf(inputs[1].shape) * bytesPerElement[inputs[1].dtype],
      ...parts(inputs, outputs, inputs[1], attrs).flatMap((part) => part.by.scratch?.(part.inputs, part.outputs, part.attrs, features) ?? []),
    ],
    launches({ inputs, outputs, scratch: [between, ...scratch], attrs, features }) {
      let taken = 0;
      return parts<Placed>(inputs, outputs, inScratch(inputs[1], between), attrs).flatMap((part) => {
        const from = taken;
        taken += part.by.scratch?.(part.inputs, part.outputs, part.attrs, features).length ?? 0;
        return part.by.launches({ ...part, scratch: scratch.slice(from, taken), features });
      });
    },
  };
}

const cpuLowering = separate(
  { none: cpuNorm.batchNormGradLowering, relu: cpuNorm.batchNormReluGradLowering }, cpuConv.conv2dFilterGradLowering, cpuConv.conv2dInputGradLowering,
);
const webgpuLowering = separate(
  { none: gpuNorm.batchNormGradLowering, relu: gpuNorm.batchNormReluGradLowering }, gpuFilterGrad.conv2dFilterGradLowering,
  gpuConv.conv2dInputGradLowering,
);

export const conv2dBatchNormGradOp: DifferentiableOp<Conv2dBatchNormGradAttrs> = defineOp<Conv2dBatchNormGradAttrs>({
  name: 'conv2dBatchNormGrad',
  inputs: names,
  infer(inputs: readonly TensorType[], attrs) {
    const [x, dz, y, mean, variance, gamma, beta, filter] = inputs;
    checkFloat('conv2dBatchNormGrad', names, inputs);
    const dfilter: TensorType = { shape: attrs.filterShape, dtype: 'float32' };
    checkConvGradient('conv2dBatchNormGrad', dz, x, dfilter, attrs);
    checkSameShape('conv2dBatchNormGrad', 'dz', dz, 'y', y);
    checkChannelVectors('conv2dBatchNormGrad', y, names.slice(3, 7), [mean, variance, gamma, beta]);
    if (filter !== undefined) checkSameShape('conv2dBatchNormGrad', 'filter', filter, 'dfilter', dfilter);
    const channels: TensorType = { shape: gamma.shape, dtype: 'float32' };
    return [dfilter, channels, channels, ...(filter === undefined ? [] : [{ shape: x.shape, dtype: 'float32' } as const])];
  },
  /** dy is rounded to the type of dz, in which it would be stored. */
  reference(inputs: readonly HostTensor[], attrs, outputs) {
    const [, dz] = inputs;
    const [dy, ...sums] = gradOp(attrs).reference!(normInputs(inputs, attrs), normAttrs(attrs), outputs);
    const { dtype } = dz;
    return convolved(inputs, [isHalfType(dtype) ? dy.map((v) => roundToHalf(v, dtype)) : dy, ...sums], attrs, dz);
  },
  /** Where dy is rounded to a half, one of a result's may be the neighbour of the reference's. */
  magnitude(inputs, attrs, outputs) {
    const [, dz] = inputs;
    const absolute = inputs.map((t) => ({ ...t, data: t.data.map(Math.abs) }));
    const [dy, ...sums] = gradOp(attrs).magnitude!(normInputs(inputs, attrs), normAttrs(attrs), outputs);
    const all = convolved(absolute, [dy, ...sums], attrs, dz);
    if (!isHalfType(dz.dtype)) return all;
    const apart = neighbours[dz.dtype]!;
    const [dfilter, dgamma, dbeta, dx] = all;
    const pixels = dz.data.length / dz.shape[3];
    const once = (m: Float64Array): Float64Array => m.map((v) => v * (1 + apart / pixels));
    return [once(dfilter), dgamma, dbeta, ...(dx === undefined ? [] : [once(dx)])];
  },
  kernels: { cpu: cpuLowering, webgpu: webgpuLowering, cuda: cuda.conv2dBatchNormGradLowering },
  precision: 'matrix',
  half: { inputs: [0, 1, 2, 7], outputs: [3] },
  reductionLength: ([, { shape }]) => shape[0] * shape[1] * shape[2],
  cost(inputs, outputs, { filterShape }) {
    return { flop: (outputs.length - 2) * convFlop(inputs[1].shape, filterShape) + 12 * sizeOf(inputs[1].shape), bytes: bytesTouched(inputs, outputs) };
  },
  samples(): Sample<Conv2dBatchNormGradAttrs>[] {
    return conv2dFilterGradOp.samples!().map(({ inputs: [x, dy], attrs, note }, i) => {
      const channels = [dy.shape[3]];
      return {
        inputs: [
          fixed(x.shape), fixed(dy.shape), given(scrambled(dy.shape, i + 1, 256)), fixed(channels), fixed(channels, { low: 0.2, high: 2 }),
          fixed(channels, { low: 0.5, high: 1.5 }), fixed(channels), ...(i % 4 === 2 ? [] : [fixed(attrs.filterShape)]),
        ],
        attrs: { ...attrs, epsilon: 1e-3, fixGamma: i % 5 === 3, activation: i % 3 === 1 ? 'none' : 'relu' },
        ...(note !== undefined && { note }),
      };
    });
  },
  rewrites: [fromParts('batchNormGrad', 'none'), fromParts('batchNormReluGrad', 'relu')],
});

export const normalizeConv2dBatchNormGradOp: DifferentiableOp<Conv2dBatchNormGradAttrs & NormalizeAttrs> =
  defineOp<Conv2dBatchNormGradAttrs & NormalizeAttrs>({
    ...prepended('normalizeConv2dBatchNormGrad', conv2dBatchNormGradOp),
    kernels: lowerings(cpuLowering, webgpuLowering, cuda.normalizeConv2dBatchNormGradLowering),
  });
