/** batchNorm: normalization by the statistics of the batch, and its gradient. Ioffe and Szegedy 2015. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { Value } from '../graph/node.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { apply, apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { reluGradOp } from './binary.ts';
import type { Activation } from './conv2d.ts';
import * as cpu from './cpu/norm.ts';
import * as cuda from './cuda/norm.ts';
import { bytesTouched } from './support/cost.ts';
import { f32, fixed } from './support/samples.ts';
import { checkFloat, checkSameShape, checkVector, named, rowsAndChannels, shapeError } from './support/shapes.ts';
import { statistics } from './support/statistics.ts';
import * as gpuNorm from './webgpu/norm.ts';

export type NormAttrs = {
  /** Added to the variance. */
  readonly epsilon: number;
  /** Gamma is taken as 1 and its gradient is 0. */
  readonly fixGamma: boolean;
};
export type BatchNormAttrs = NormAttrs & { readonly activation: Activation };

/** Shapes of x that samples of normalization try; variances and means off zero among them. */
export const normShapes: readonly (readonly number[])[] = [
  [5, 3],
  [4, 1],
  [2, 3, 4, 5],
  [3, 2, 5, 8],
  [1, 6, 5, 12],
  [2, 7, 7, 36],
  [2, 13, 17, 3],
  [6, 21, 19, 5],
];

export function checkChannelVectors(op: string, x: TensorType, names: readonly string[], vectors: readonly TensorType[]): void {
  if (x.shape.length < 1) shapeError(op, `${named('x', x)} should have a channel axis`);
  const channels = x.shape[x.shape.length - 1];
  vectors.forEach((v, i) => checkVector(op, names[i], v, channels, `one for each channel of ${named('x', x)}`));
}

/** A relu that alone reads the result (its gradient reads the relu) becomes the activation. */
const withRelu: Rewrite = {
  name: 'batchNorm + relu',
  anchor: 'relu',
  match(node, graph) {
    const { node: norm, index } = node.inputs[0];
    if (norm.op.name !== 'batchNorm' || index !== 0 || norm.attrs.activation !== 'none') return undefined;
    if (graph.isRequested(norm, 0) || graph.users(norm, 0).length !== 1) return undefined;
    const [y, mean, variance] = graph.make('batchNorm', { ...norm.attrs, activation: 'relu' }, norm.inputs);
    return [{ node, output: 0, by: y }, { node: norm, output: 1, by: mean }, { node: norm, output: 2, by: variance }];
  },
};

export const batchNormOp: DifferentiableOp<BatchNormAttrs> = defineOp<BatchNormAttrs>({
  name: 'batchNorm',
  inputs: ['x', 'gamma', 'beta'],
  infer(inputs: readonly TensorType[]) {
    checkFloat('batchNorm', ['x', 'gamma', 'beta'], inputs);
    const [x, gamma, beta] = inputs;
    checkChannelVectors('batchNorm', x, ['gamma', 'beta'], [gamma, beta]);
    if (sizeOf(x.shape) === 0) shapeError('batchNorm', `${named('x', x)} has no rows to take statistics of`);
    return [{ shape: x.shape, dtype: 'float32' }, { shape: gamma.shape, dtype: 'float32' }, { shape: gamma.shape, dtype: 'float32' }];
  },
  /*
   * y = gamma (x - m) r + beta, r = (v + epsilon)^(-1/2): see batchNormGrad for what goes through y. Where the statistics are used
   * themselves, dm/dx = 1/n and dv/dx = 2 (x - m) / n over the n rows.
   */
  gradient({ attrs, inputs: [x, gamma], outputs: [y, mean, variance], grads: [grad, dmean, dvariance], needs }) {
    const [rows] = rowsAndChannels(x.shape);
    let dx: Tensor | undefined;
    let dgamma: Tensor | undefined;
    let dbeta: Tensor | undefined;
    if (grad !== undefined) {
      const dy = attrs.activation === 'relu' ? apply1(reluGradOp, [grad, y], {}) : grad;
      const { epsilon, fixGamma } = attrs;
      [dx, dgamma, dbeta] = apply(batchNormGradOp, [dy, x, mean, variance, gamma], { epsilon, fixGamma });
    }
    if (dmean !== undefined && needs[0]) {
      const part = dmean.mul(1 / rows);
      dx = dx === undefined ? x.mul(0).add(part) : dx.add(part);
    }
    if (dvariance !== undefined && needs[0]) {
      const part = x.sub(mean).mul(dvariance.mul(2 / rows));
      dx = dx === undefined ? part : dx.add(part);
    }
    return [dx, dgamma, dbeta];
  },
  reference([x, gamma, beta]: readonly HostTensor[], { epsilon, fixGamma, activation }) {
    const { mean, variance } = statistics(x);
    const channels = mean.length;
    const y = x.data.map((v, i) => {
      const c = i % channels;
      const g = fixGamma ? 1 : gamma.data[c];
      const out = ((v - mean[c]) / Math.sqrt(variance[c] + epsilon)) * g + beta.data[c];
      return activation === 'relu' ? Math.max(out, 0) : out;
    });
    return [y, mean, variance];
  },
  // the subtraction of the mean is what loses digits
  magnitude([x, gamma, beta], { epsilon, fixGamma }) {
    const { variance, mean } = statistics(x);
    const { mean: absolute } = statistics({ ...x, data: x.data.map(Math.abs) });
    const channels = mean.length;
    const y = x.data.map((v, i) => {
      const c = i % channels;
      const g = fixGamma ? 1 : Math.abs(gamma.data[c]);
      return ((Math.abs(v) + absolute[c]) / Math.sqrt(variance[c] + epsilon)) * g + Math.abs(beta.data[c]);
    });
    return [y, absolute, variance];
  },
  kernels: { cpu: cpu.batchNormLowering, webgpu: gpuNorm.batchNormLowering, cuda: cuda.batchNormLowering },
  // with the statistics it has, by the kernel that it ends with itself
  recompute: ({ attrs, inputs: [x, gamma, beta], outputs: [, mean, variance] }) =>
    ({ op: 'normalize', attrs, inputs: [x, mean, variance, gamma, beta] }),
  precision: 'normalize',
  half: { inputs: [0], outputs: [0] },
  reductionLength: ([x]) => rowsAndChannels(x.shape)[0],
  cost: (inputs, outputs) => ({ flop: 8 * sizeOf(inputs[0].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<BatchNormAttrs>[] {
    return normShapes.map((shape, i) => ({
      inputs: [
        f32(shape, i % 3 === 2 ? { low: 4, high: 6 } : {}),
        f32([shape[shape.length - 1]], { low: 0.5, high: 1.5 }),
        f32([shape[shape.length - 1]]),
      ],
      attrs: { epsilon: i % 2 === 0 ? 1e-3 : 1e-5, fixGamma: i === 3, activation: i % 4 === 1 ? 'relu' : 'none' },
    }));
  },
  rewrites: [withRelu],
});

/** The names of the inputs of batchNormGrad and normalizeGrad, for messages. */
export const normGradInputs = ['dy', 'x', 'mean', 'variance', 'gamma'] as const;

/** Types of (dx, dgamma, dbeta). */
export function inferNormGrad(op: string, inputs: readonly TensorType[]): TensorType[] {
  checkFloat(op, normGradInputs, inputs);
  const [dy, x, mean, variance, gamma] = inputs;
  checkSameShape(op, 'dy', dy, 'x', x);
  checkChannelVectors(op, x, ['mean', 'variance', 'gamma'], [mean, variance, gamma]);
  const channels: TensorType = { shape: gamma.shape, dtype: 'float32' };
  return [{ shape: x.shape, dtype: 'float32' }, channels, channels];
}

/** Whether the mean and variance are those of x itself. */
function areStatisticsOf(x: Value, mean: Value, variance: Value): boolean {
  const { node } = mean;
  if (variance.node !== node || mean.index !== 1 || variance.index !== 2) return false;
  return node.op.name === 'batchNorm' ? node.inputs[0] === x : node.op.name === 'conv2dStats' && x === node.outputs[0];
}

/**
 * The gradient of a bias ahead of batch norm, which takes out again what that adds: over the rows h adds up to 0, and dy - dbeta / n does, hence
 * dx, but for rounding errors. So it need not be read again. Where dbeta is no number, neither is the difference.
 */
const biasTakenOut: Rewrite = {
  name: 'sum of batchNormGrad',
  anchor: 'sum',
  match(node, graph) {
    const { node: norm, index } = node.inputs[0];
    if ((norm.op.name !== 'batchNormGrad' && norm.op.name !== 'batchNormReluGrad') || index !== 0) return undefined;
    const [, x, mean, variance] = norm.inputs;
    const [, , dbeta] = norm.outputs;
    const overRows = !(node.attrs.axes as readonly number[]).includes(x.shape.length - 1) && node.outputs[0].shape.join() === dbeta.shape.join();
    if (!overRows || !areStatisticsOf(x, mean, variance)) return undefined;
    return [{ node, output: 0, by: graph.make('subtract', {}, [dbeta, dbeta])[0] }];
  },
};

/**
 * With h = (x - m) r and n rows:
 *   dbeta = sum dy,  dgamma = sum dy h,  dx = gamma r (dy - dbeta / n - h dgamma / n).
 * It has no gradient itself.
 */
export const batchNormGradOp: DifferentiableOp<NormAttrs> = defineOp<NormAttrs>({
  name: 'batchNormGrad',
  inputs: normGradInputs,
  infer: (inputs: readonly TensorType[]) => inferNormGrad('batchNormGrad', inputs),
  reference: (inputs: readonly HostTensor[], attrs) => backward(inputs, attrs, false),
  magnitude: (inputs, attrs) => backward(inputs, attrs, true),
  kernels: { cpu: cpu.batchNormGradLowering, webgpu: gpuNorm.batchNormGradLowering, cuda: cuda.batchNormGradLowering },
  inPlace: () => [[1, 0], [0, 0]],
  precision: 'normalize',
  half: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([x]) => rowsAndChannels(x.shape)[0],
  cost: (inputs, outputs) => ({ flop: 10 * sizeOf(inputs[0].shape), bytes: 2 * bytesTouched(inputs, outputs) }),
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
  rewrites: [biasTakenOut],
});

/** The formulas above; with `absolute`, the sums of the magnitudes of their terms. */
function backward([dy, x, mean, variance, gamma]: readonly HostTensor[], { epsilon, fixGamma }: NormAttrs, absolute: boolean) {
  const part = absolute ? Math.abs : (v: number): number => v;
  const minus = absolute ? -1 : 1;
  const [rows, channels] = rowsAndChannels(x.shape);
  const r = variance.data.map((v) => 1 / Math.sqrt(v + epsilon));
  const h = x.data.map((v, i) => part((v - mean.data[i % channels]) * r[i % channels]));
  const dbeta = new Float64Array(channels);
  const dgamma = new Float64Array(channels);
  dy.data.forEach((g, i) => {
    dbeta[i % channels] += part(g);
    dgamma[i % channels] += part(g) * h[i];
  });
  const dx = dy.data.map((g, i) => {
    const c = i % channels;
    const scale = (fixGamma ? 1 : part(gamma.data[c])) * r[c];
    return scale * (part(g) - (minus * (dbeta[c] + h[i] * dgamma[c])) / rows);
  });
  return [dx, fixGamma ? new Float64Array(channels) : dgamma, dbeta];
}

export interface BatchNormOptions {
  /** Added to the variance; default 1e-3, as in MXNet. */
  readonly epsilon?: number;
  /** Takes gamma as 1 and gives it no gradient; default false. */
  readonly fixGamma?: boolean;
}

/**
 * Normalizes every channel of x [..., C] by the mean and biased variance of its rows, then scales by gamma [C] and adds beta [C].
 *
 * @returns y like x, and the mean [C] and variance [C], for moving averages
 */
export function batchNorm(
  x: TensorLike,
  gamma: TensorLike,
  beta: TensorLike,
  options: BatchNormOptions = {},
): { y: Tensor; mean: Tensor; variance: Tensor } {
  const attrs: BatchNormAttrs = {
    epsilon: options.epsilon ?? 1e-3,
    fixGamma: options.fixGamma ?? false,
    activation: 'none',
  };
  const [y, mean, variance] = apply(batchNormOp, [x, gamma, beta], attrs);
  return { y, mean, variance };
}
