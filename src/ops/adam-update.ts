/** adamUpdate: one step of Adam (Kingma and Ba 2014) over a flat arena of parameters. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/update.ts';
import * as cuda from './cuda/update.ts';
import { elementwiseCost } from './support/cost.ts';
import { fixed } from './support/samples.ts';
import { checkStep, checkUpdate, forEachUpdated, gradientFactor, sampleArenaInput, sampleChunks, sampleMultipliers } from './support/updates.ts';
import type { UpdateAttrs } from './support/updates.ts';
import * as gpuUpdate from './webgpu/update.ts';

export type AdamAttrs = UpdateAttrs & {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly correctBias: boolean;
};

const names = ['weight', 'gradient', 'mean', 'variance', 'chunks', 'multipliers', 'learningRate', 'step'] as const;

/**
 * MXNet 1.9's Adam, for every element of every chunk, at the t-th update (step = t, 1 for the first):
 *   g = clip(rescale * factor * gradient) + wd * weight, factor 1 unless it comes with the learning rate
 *   mean' = beta1 mean + (1 - beta1) g
 *   variance' = beta2 variance + (1 - beta2) g^2
 *   lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t), or lr without `correctBias`
 *   weight' = weight - lr_t mean' / (sqrt(variance') + epsilon)
 * with lr = learningRate * lr multiplier, wd = weightDecay * wd multiplier. Elements outside of the chunks stay as they are, and
 * all do where the factor is 0.
 */
export const adamUpdateOp: DifferentiableOp<AdamAttrs> = defineOp<AdamAttrs>({
  name: 'adamUpdate',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    checkUpdate('adamUpdate', names, inputs, 4);
    checkStep('adamUpdate', inputs[7]);
    const type: TensorType = { shape: inputs[0].shape, dtype: 'float32' };
    return [type, type, type];
  },
  reference: (inputs: readonly HostTensor[], attrs) => update(inputs, attrs, (v) => v),
  magnitude: (inputs, attrs) => update(inputs, attrs, Math.abs),
  kernels: { cpu: cpu.adamUpdateLowering, webgpu: gpuUpdate.adamLowering, cuda: cuda.adamLowering },
  updates: () => [[0, 0], [2, 1], [3, 2]],
  inPlace: () => [[0, 0], [2, 1], [3, 2]],
  contiguousInputs: 'all',
  contiguousOutputs: 'all',
  precision: 'keep',
  // terms of a weight: the sum, the two moments, the quotient
  reductionLength: () => 4,
  cost: elementwiseCost(20),
  samples(): Sample<AdamAttrs>[] {
    const inputs = [
      sampleArenaInput(), sampleArenaInput(), sampleArenaInput(), sampleArenaInput(0, 1), sampleChunks(), sampleMultipliers(),
      fixed([], { values: [0.01] }),
    ];
    const at = (t: number) => ({ shape: [], dtype: 'int32', differentiable: false, values: [t] }) as const;
    const base = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, rescale: 1, clip: null, correctBias: true };
    return [
      { inputs: [...inputs, at(1)], attrs: base },
      { inputs: [...inputs, at(1000)], attrs: { ...base, beta1: 0.8, beta2: 0.95, epsilon: 1e-7, weightDecay: 1e-2, rescale: 0.25 } },
      { inputs: [...inputs, at(7)], attrs: { ...base, weightDecay: 1e-2, clip: 0.25, correctBias: false } },
      ...[4, 0].map((factor) => ({
        inputs: [...inputs.slice(0, 6), fixed([2], { values: [0.01, factor] }), at(3)], attrs: { ...base, weightDecay: 1e-2, clip: 0.5 },
      })),
    ];
  },
});

/** The formula above, every term passed through `part`. */
function update(
  [weight, gradient, mean, variance, chunks, multipliers, learningRate, step]: readonly HostTensor[],
  { beta1, beta2, epsilon, weightDecay, rescale, clip, correctBias }: AdamAttrs,
  part: (v: number) => number,
): Float64Array[] {
  const w = weight.data.map(part);
  const m = mean.data.map(part);
  const v = variance.data.slice();
  const limit = clip ?? Infinity;
  const factor = gradientFactor(learningRate);
  if (factor === 0) return [w, m, v];
  const t = step.data[0];
  const correction = correctBias ? Math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t) : 1;
  forEachUpdated(chunks, multipliers, (i, lrMultiplier, wdMultiplier) => {
    const clipped = Math.min(Math.max(rescale * factor * gradient.data[i], -limit), limit);
    const g = part(clipped) + part(weightDecay * wdMultiplier * weight.data[i]);
    m[i] = part(beta1 * mean.data[i]) + part((1 - beta1) * g);
    v[i] = beta2 * variance.data[i] + (1 - beta2) * g * g;
    w[i] += part((-learningRate.data[0] * lrMultiplier * correction * m[i]) / (Math.sqrt(v[i]) + epsilon));
  });
  return [w, m, v];
}

/** See adamUpdateOp. Arenas are flat float32 of one length; chunks int32 [n,3] hold start, count and segment; step is 1 at first. */
export function adamUpdate(
  inputs: {
    weight: TensorLike; gradient: TensorLike; mean: TensorLike; variance: TensorLike; chunks: TensorLike; multipliers: TensorLike;
    learningRate: TensorLike; step: TensorLike;
  },
  attrs: AdamAttrs,
): { weight: Tensor; mean: Tensor; variance: Tensor } {
  const [weight, mean, variance] = apply(adamUpdateOp, names.map((name) => inputs[name]), attrs);
  return { weight, mean, variance };
}
