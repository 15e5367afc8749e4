/** batchNormReluGrad: the gradient of relu(batchNorm(x)), in which the relu's mask is worked out again from x. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { Node } from '../graph/node.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { batchNormGradOp, checkChannelVectors, normShapes } from './batch-norm.ts';
import type { NormAttrs } from './batch-norm.ts';
import * as cpu from './cpu/norm.ts';
import * as cuda from './cuda/norm.ts';
import { bytesTouched } from './support/cost.ts';
import { fixed } from './support/samples.ts';
import { checkFloat, checkSameShape, rowsAndChannels } from './support/shapes.ts';
import * as gpuNorm from './webgpu/norm.ts';

const names = ['dz', 'x', 'mean', 'variance', 'gamma', 'beta'] as const;

/** The batchNorm or normalize whose activated result a reluGrad was given as y. */
function normOf(mask: Node): Node | undefined {
  const { node, index } = mask.inputs[1];
  const isNorm = (n: Node): boolean => n.op.name === 'batchNorm' || n.op.name === 'normalize';
  if (index !== 0) return undefined;
  if (node.op.name === 'relu') {
    const { node: inner, index: output } = node.inputs[0];
    return isNorm(inner) && output === 0 && inner.attrs.activation === 'none' ? inner : undefined;
  }
  return isNorm(node) && node.attrs.activation === 'relu' ? node : undefined;
}

const fromParts: Rewrite = {
  name: 'reluGrad + batchNormGrad',
  anchor: 'batchNormGrad',
  match(node, graph) {
    const [dy, x, mean, variance, gamma] = node.inputs;
    const mask = dy.node;
    if (mask.op.name !== 'reluGrad' || graph.isRequested(mask) || graph.users(mask).length !== 1) return undefined;
    const norm = normOf(mask);
    if (norm === undefined || norm.attrs.epsilon !== node.attrs.epsilon || norm.attrs.fixGamma !== node.attrs.fixGamma) {
      return undefined;
    }
    // the mask must come from this very x, with these very statistics
    const ofBatch = norm.op.name === 'batchNorm';
    const given = ofBatch ? [norm.inputs[0], norm.outputs[1], norm.outputs[2], norm.inputs[1]] : norm.inputs.slice(0, 4);
    if ([x, mean, variance, gamma].some((v, i) => v !== given[i])) return undefined;
    const inputs = [mask.inputs[0], x, mean, variance, gamma, norm.inputs[ofBatch ? 2 : 4]];
    return graph.make('batchNormReluGrad', node.attrs, inputs).map((by, output) => ({ node, output, by }));
  },
};

/**
 * dy = gamma (x - m) r + beta > 0 ? dz : 0, then batchNormGrad of dy; gamma is 1 where fixed. It has no gradient itself.
 */
export const batchNormReluGradOp: DifferentiableOp<NormAttrs> = defineOp<NormAttrs>({
  name: 'batchNormReluGrad',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    checkFloat('batchNormReluGrad', names, inputs);
    const [dz, x, ...vectors] = inputs;
    checkSameShape('batchNormReluGrad', 'dz', dz, 'x', x);
    checkChannelVectors('batchNormReluGrad', x, names.slice(2), vectors);
    const channels: TensorType = { shape: vectors[2].shape, dtype: 'float32' };
    return [{ shape: x.shape, dtype: 'float32' }, channels, channels];
  },
  reference: (inputs: readonly HostTensor[], attrs, outputs) => batchNormGradOp.reference!(masked(inputs, attrs), attrs, outputs),
  magnitude: (inputs, attrs, outputs) => batchNormGradOp.magnitude!(masked(inputs, attrs), attrs, outputs),
  kernels: { cpu: cpu.batchNormReluGradLowering, webgpu: gpuNorm.batchNormReluGradLowering, cuda: cuda.batchNormReluGradLowering },
  inPlace: () => [[1, 0], [0, 0]],
  precision: 'normalize',
  float16: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([x]) => rowsAndChannels(x.shape)[0],
  cost: (inputs, outputs) => ({ flop: 12 * sizeOf(inputs[0].shape), bytes: 2 * bytesTouched(inputs, outputs) }),
  samples(): Sample<NormAttrs>[] {
    return normShapes.map((shape, i) => {
      const channels = [shape[shape.length - 1]];
      return {
        inputs: [
          fixed(shape), fixed(shape, { distinct: true }), fixed(channels), fixed(channels, { low: 0.2, high: 2 }),
          fixed(channels, { low: 0.5, high: 1.5 }), fixed(channels),
        ],
        attrs: { epsilon: 1e-3, fixGamma: i === 3 },
      };
    });
  },
  rewrites: [fromParts],
});

/** Inputs of batchNormGrad: dz where the normalized value is above zero. */
function masked([dz, x, mean, variance, gamma, beta]: readonly HostTensor[], { epsilon, fixGamma }: NormAttrs): HostTensor[] {
  const channels = gamma.data.length;
  const dy = dz.data.map((g, i) => {
    const c = i % channels;
    const scale = (fixGamma ? 1 : gamma.data[c]) / Math.sqrt(variance.data[c] + epsilon);
    return (x.data[i] - mean.data[c]) * scale + beta.data[c] > 0 ? g : 0;
  });
  return [{ ...dz, data: dy }, x, mean, variance, gamma];
}
