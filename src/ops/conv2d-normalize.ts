/**
 * conv2dNormalize: a convolution whose result is normalized by given statistics as it is stored, with ReLU where asked for: inference, and layers
 * that are frozen. Fused from conv2d and normalize on a device whose kernels do so. It has no gradient itself.
 */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { checkChannelVectors } from './batch-norm.ts';
import { conv2dOp } from './conv2d.ts';
import { normalizeOp } from './normalize.ts';
import * as cpuConv from './cpu/conv.ts';
import * as cpuNorm from './cpu/norm.ts';
import * as cuda from './cuda/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { between, convAttrs, convolvedBy, followed, normalizedBy } from './support/epilogue.ts';
import type { EpilogueAttrs } from './support/epilogue.ts';
import { fixed } from './support/samples.ts';
import { mergedForward } from './support/siblings.ts';
import * as gpuConv from './webgpu/conv.ts';
import * as gpuNorm from './webgpu/norm.ts';

const inputs = ['x', 'filter', 'mean', 'variance', 'gamma', 'beta', 'bias?'] as const;

/**
 * A normalize that alone reads a convolution becomes its epilogue. Ahead of merging: siblings merge as well with their epilogues, and into what
 * normalizes their parts at once.
 */
const epilogue: Rewrite = {
  name: 'conv2d + normalize',
  anchor: 'normalize',
  stage: 'epilogue',
  match(node, graph) {
    const [{ node: conv }, ...vectors] = node.inputs;
    if (conv.op.name !== 'conv2d' || conv.attrs.activation !== 'none' || graph.isRequested(conv) || graph.users(conv).length !== 1) return undefined;
    // Told what to store as, they may not agree on it.
    if (conv.attrs.store !== undefined || node.attrs.store !== undefined) return undefined;
    const { stride, padding, dilation } = conv.attrs;
    const { epsilon, fixGamma, activation } = node.attrs;
    const [x, filter, ...bias] = conv.inputs;
    const attrs = { stride, padding, dilation, normalize: { epsilon, fixGamma, activation } };
    const [by] = graph.make('conv2dNormalize', attrs, [x, filter, ...vectors, ...bias]);
    return [{ node, output: 0, by }];
  },
};

/** Either rule, of the convolution and of normalize, applied to one after the other. */
const inTurn = (rule: 'reference' | 'magnitude', given: readonly HostTensor[], attrs: EpilogueAttrs, [y]: readonly TensorType[]): Float64Array[] => {
  const conv = convolvedBy(given).map((t) => (rule === 'magnitude' ? { ...t, data: t.data.map(Math.abs) } : t));
  const [data] = conv2dOp.reference!(conv, convAttrs(attrs), [between(y)]);
  return normalizeOp[rule]!(normalizedBy(given, { ...between(y), data }), attrs.normalize, [y]);
};

export const conv2dNormalizeOp: DifferentiableOp<EpilogueAttrs> = defineOp<EpilogueAttrs>({
  name: 'conv2dNormalize',
  inputs,
  infer(given: readonly TensorType[], attrs) {
    const [y] = conv2dOp.infer(convolvedBy(given), convAttrs(attrs));
    const [, ...vectors] = normalizedBy(given, y);
    checkChannelVectors('conv2dNormalize', y, inputs.slice(2, 6), vectors);
    return [y];
  },
  reference: (given: readonly HostTensor[], attrs, outputs) => inTurn('reference', given, attrs, outputs),
  magnitude: (given, attrs, outputs) => inTurn('magnitude', given, attrs, outputs),
  kernels: {
    cpu: followed(cpuConv.conv2dLowering, cpuNorm.normalizeLowering), webgpu: followed(gpuConv.conv2dLowering, gpuNorm.normalizeLowering),
    cuda: cuda.conv2dNormalizeLowering,
  },
  precision: 'matrix',
  half: { inputs: [0, 1], outputs: [0] },
  reductionLength: (given, attrs) => conv2dOp.reductionLength!(convolvedBy(given), convAttrs(attrs)),
  cost: (given, outputs, attrs) => ({ flop: conv2dOp.cost!(convolvedBy(given), outputs, convAttrs(attrs)).flop, bytes: bytesTouched(given, outputs) }),
  samples(): Sample<EpilogueAttrs>[] {
    return conv2dOp.samples!().map(({ inputs: [x, filter, ...bias], attrs: { stride, padding, dilation }, note }, i) => {
      const channels = [filter.shape[0]];
      const vectors = [fixed(channels), fixed(channels, { low: 0.2, high: 2 }), fixed(channels, { low: 0.5, high: 1.5 }), fixed(channels)];
      return {
        inputs: [...[x, filter].map(({ shape }) => fixed(shape)), ...vectors, ...bias.map(({ shape }) => fixed(shape))],
        attrs: { stride, padding, dilation, normalize: { epsilon: 1e-3, fixGamma: i % 5 === 3, activation: i % 3 === 2 ? 'none' : 'relu' } },
        ...(note !== undefined && { note }),
      };
    });
  },
  rewrites: [epilogue, mergedForward('conv2dNormalize')],
});
