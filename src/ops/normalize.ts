/** normalize: batch normalization by given statistics (inference, frozen layers, after conv2dStats), and its gradient. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { apply, apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkChannelVectors, inferNormGrad, normGradInputs, normShapes } from './batch-norm.ts';
import type { BatchNormAttrs, BatchNormOptions, NormAttrs } from './batch-norm.ts';
import { reluGradOp } from './binary.ts';
import * as cpu from './cpu/norm.ts';
import * as cuda from './cuda/norm.ts';
import { sumTo } from './reduce.ts';
import { bytesTouched, elementwiseCost } from './support/cost.ts';
import { f32, fixed } from './support/samples.ts';
import { checkFloat, rowsAndChannels } from './support/shapes.ts';
import { rsqrt } from './unary.ts';
import * as gpuNorm from './webgpu/norm.ts';

const names = ['x', 'mean', 'variance', 'gamma', 'beta'] as const;

const withRelu: Rewrite = {
  name: 'normalize + relu',
  anchor: 'relu',
  match(node, graph) {
    const norm = node.inputs[0].node;
    if (norm.op.name !== 'normalize' || norm.attrs.activation !== 'none') return undefined;
    if (graph.isRequested(norm) || graph.users(norm).length !== 1) return undefined;
    const [by] = graph.make('normalize', { ...norm.attrs, activation: 'relu' }, norm.inputs);
    return [{ node, output: 0, by }];
  },
};

/** Where conv2dStats has computed the statistics, batchNorm has only to apply them. */
const afterStatistics: Rewrite = {
  name: 'batchNorm + conv2dStats',
  anchor: 'batchNorm',
  match(node, graph) {
    const [{ node: stats, index }, gamma, beta] = node.inputs;
    if (stats.op.name !== 'conv2dStats' || index !== 0) return undefined;
    const [by] = graph.make('normalize', node.attrs, [...stats.outputs, gamma, beta]);
    return [{ node, output: 0, by }];
  },
};

export const normalizeOp: DifferentiableOp<BatchNormAttrs> = defineOp<BatchNormAttrs>({
  name: 'normalize',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    checkFloat('normalize', names, inputs);
    checkChannelVectors('normalize', inputs[0], names.slice(1), inputs.slice(1));
    return [{ shape: inputs[0].shape, dtype: 'float32' }];
  },
  /*
   * y = gamma (x - m) r + beta, r = (v + epsilon)^(-1/2), h = (x - m) r:
   *   dx = gamma r dy,  dgamma = sum dy h,  dbeta = sum dy,  dm = -gamma r dbeta,  dv = -1/2 gamma r^2 sum dy h.
   */
  gradient({ attrs, inputs: [x, mean, variance, gamma], outputs: [y], grads: [grad], needs }) {
    if (grad === undefined) return needs.map(() => undefined);
    const { epsilon, fixGamma } = attrs;
    const dy = attrs.activation === 'relu' ? apply1(reluGradOp, [grad, y], {}) : grad;
    const [dx, dgamma, dbeta] = apply(normalizeGradOp, [dy, x, mean, variance, gamma], { epsilon, fixGamma });
    let dmean: Tensor | undefined;
    let dvariance: Tensor | undefined;
    if (needs[1] || needs[2]) {
      const r = rsqrt(variance.add(epsilon));
      const scale = fixGamma ? r : r.mul(gamma);
      dmean = dbeta.mul(scale).neg();
      const dyh = fixGamma ? sumTo(dy.mul(x.sub(mean)), gamma.shape).mul(r) : dgamma;
      dvariance = dyh.mul(scale).mul(r).mul(-0.5);
    }
    return [dx, dmean, dvariance, dgamma, dbeta];
  },
  reference: ([x, mean, variance, gamma, beta]: readonly HostTensor[], { epsilon, fixGamma, activation }) => {
    const channels = gamma.data.length;
    return [
      x.data.map((v, i) => {
        const c = i % channels;
        const g = fixGamma ? 1 : gamma.data[c];
        const out = ((v - mean.data[c]) / Math.sqrt(variance.data[c] + epsilon)) * g + beta.data[c];
        return activation === 'relu' ? Math.max(out, 0) : out;
      }),
    ];
  },
  magnitude: ([x, mean, variance, gamma, beta], { epsilon, fixGamma }) => {
    const channels = gamma.data.length;
    return [
      x.data.map((v, i) => {
        const c = i % channels;
        const g = fixGamma ? 1 : Math.abs(gamma.data[c]);
        const distance = Math.abs(v) + Math.abs(mean.data[c]);
        return (distance / Math.sqrt(variance.data[c] + epsilon)) * g + Math.abs(beta.data[c]);
      }),
    ];
  },
  kernels: { cpu: cpu.normalizeLowering, webgpu: gpuNorm.normalizeLowering, cuda: cuda.normalizeLowering },
  inPlace: () => [[0, 0]],
  recompute: true,
  precision: 'normalize',
  float16: { inputs: [0], outputs: [0] },
  cost: elementwiseCost(4),
  samples(): Sample<BatchNormAttrs>[] {
    return normShapes.map((shape, i) => {
      const channels = [shape[shape.length - 1]];
      return {
        inputs: [
          f32(shape), f32(channels), f32(channels, { low: 0.2, high: 2 }), f32(channels, { low: 0.5, high: 1.5 }), f32(channels),
        ],
        attrs: { epsilon: 1e-3, fixGamma: i === 3, activation: i % 4 === 1 ? 'relu' : 'none' },
      };
    });
  },
  rewrites: [withRelu, afterStatistics],
});

/** dx = gamma r dy, dgamma = sum dy (x - m) r, dbeta = sum dy: the statistics are constants. It has no gradient itself. */
export const normalizeGradOp: DifferentiableOp<NormAttrs> = defineOp<NormAttrs>({
  name: 'normalizeGrad',
  inputs: normGradInputs,
  infer: (inputs: readonly TensorType[]) => inferNormGrad('normalizeGrad', inputs),
  reference: (inputs: readonly HostTensor[], attrs) => backward(inputs, attrs, (v) => v),
  magnitude: (inputs, attrs) => backward(inputs, attrs, Math.abs),
  kernels: { cpu: cpu.normalizeGradLowering, webgpu: gpuNorm.normalizeGradLowering, cuda: cuda.normalizeGradLowering },
  inPlace: () => [[1, 0], [0, 0]],
  precision: 'normalize',
  float16: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([x]) => rowsAndChannels(x.shape)[0],
  cost: (inputs, outputs) => ({ flop: 6 * sizeOf(inputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<NormAttrs>[] {
    return normShapes.map((shape, i) => {
      const channels = [shape[shape.length - 1]];
      return {
        inputs: [
          fixed(shape), fixed(shape), fixed(channels), fixed(channels, { low: 0.2, high: 2 }),
          fixed(channels, { low: 0.5, high: 1.5 }),
        ],
        attrs: { epsilon: 1e-3, fixGamma: i === 3 },
      };
    });
  },
});

/** The formulas above, every term passed through `part`. */
function backward(
  [dy, x, mean, variance, gamma]: readonly HostTensor[],
  { epsilon, fixGamma }: NormAttrs,
  part: (v: number) => number,
) {
  const channels = gamma.data.length;
  const r = variance.data.map((v) => 1 / Math.sqrt(v + epsilon));
  const dgamma = new Float64Array(channels);
  const dbeta = new Float64Array(channels);
  const dx = dy.data.map((g, i) => {
    const c = i % channels;
    dbeta[c] += part(g);
    if (!fixGamma) dgamma[c] += part(g * (x.data[i] - mean.data[c]) * r[c]);
    return part(g * (fixGamma ? 1 : gamma.data[c]) * r[c]);
  });
  return [dx, dgamma, dbeta];
}

/**
 * gamma (x - mean) / sqrt(variance + epsilon) + beta for every channel of x [..., C]; the four vectors are [C].
 * With moving statistics, this is batch normalization at inference.
 */
export function normalize(
  x: TensorLike,
  mean: TensorLike,
  variance: TensorLike,
  gamma: TensorLike,
  beta: TensorLike,
  options: BatchNormOptions = {},
): Tensor {
  const attrs: BatchNormAttrs = { epsilon: options.epsilon ?? 1e-3, fixGamma: options.fixGamma ?? false, activation: 'none' };
  return apply1(normalizeOp, [x, mean, variance, gamma, beta], attrs);
}
