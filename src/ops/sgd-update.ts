/** sgdUpdate: one step of stochastic gradient descent with momentum over a flat arena of parameters. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/update.ts';
import * as cuda from './cuda/update.ts';
import { elementwiseCost } from './support/cost.ts';
import { fixed } from './support/samples.ts';
import { checkUpdate, forEachUpdated, gradientFactor, sampleArenaInput, sampleChunks, sampleMultipliers } from './support/updates.ts';
import type { UpdateAttrs } from './support/updates.ts';
import * as gpuUpdate from './webgpu/update.ts';

export type SgdAttrs = UpdateAttrs & { readonly momentum: number };

const names = ['weight', 'gradient', 'momentum', 'chunks', 'multipliers', 'learningRate'] as const;

/**
 * MXNet 1.9's sgd_mom_update, for every element of every chunk, with lr = learningRate * lr multiplier, wd = weightDecay * wd multiplier:
 *   g = clip(rescale * factor * gradient) + wd * weight, factor 1 unless it comes with the learning rate
 *   momentum' = mu * momentum - lr * g
 *   weight' = weight + momentum'
 * Elements outside of the chunks stay as they are, and all do where the factor is 0.
 */
export const sgdUpdateOp: DifferentiableOp<SgdAttrs> = defineOp<SgdAttrs>({
  name: 'sgdUpdate',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    checkUpdate('sgdUpdate', names, inputs, 3);
    const type: TensorType = { shape: inputs[0].shape, dtype: 'float32' };
    return [type, type];
  },
  reference: (inputs: readonly HostTensor[], attrs) => step(inputs, attrs, (v) => v),
  magnitude: (inputs, attrs) => step(inputs, attrs, Math.abs),
  kernels: { cpu: cpu.sgdUpdateLowering, webgpu: gpuUpdate.sgdLowering, cuda: cuda.sgdLowering },
  updates: () => [[0, 0], [2, 1]],
  inPlace: () => [[0, 0], [2, 1]],
  contiguousInputs: 'all',
  contiguousOutputs: 'all',
  precision: 'keep',
  cost: elementwiseCost(8),
  samples(): Sample<SgdAttrs>[] {
    const inputs = [
      sampleArenaInput(), sampleArenaInput(), sampleArenaInput(), sampleChunks(), sampleMultipliers(),
      fixed([], { values: [0.05] }),
    ];
    return [
      { inputs, attrs: { momentum: 0, weightDecay: 0, rescale: 1, clip: null } },
      { inputs, attrs: { momentum: 0.9, weightDecay: 1e-2, rescale: 0.125, clip: null } },
      { inputs, attrs: { momentum: 0.9, weightDecay: 1e-2, rescale: 2, clip: 0.5 } },
      ...[0.5, 0].map((factor) => ({
        inputs: [...inputs.slice(0, 5), fixed([2], { values: [0.05, factor] })], attrs: { momentum: 0.9, weightDecay: 1e-2, rescale: 2, clip: 0.5 },
      })),
    ];
  },
});

/** The formula above, every term passed through `part`. */
function step(
  [weight, gradient, momentum, chunks, multipliers, learningRate]: readonly HostTensor[],
  attrs: SgdAttrs,
  part: (v: number) => number,
): Float64Array[] {
  const w = weight.data.map(part);
  const m = momentum.data.map(part);
  const limit = attrs.clip ?? Infinity;
  const factor = gradientFactor(learningRate);
  if (factor === 0) return [w, m];
  forEachUpdated(chunks, multipliers, (i, lrMultiplier, wdMultiplier) => {
    const clipped = Math.min(Math.max(attrs.rescale * factor * gradient.data[i], -limit), limit);
    const g = part(clipped) + part(attrs.weightDecay * wdMultiplier * weight.data[i]);
    m[i] = part(attrs.momentum * momentum.data[i]) + part(-learningRate.data[0] * lrMultiplier * g);
    w[i] += m[i];
  });
  return [w, m];
}

/** See sgdUpdateOp. All arenas are flat float32 of one length; chunks int32 [n,3] hold start, count and segment. */
export function sgdUpdate(
  inputs: {
    weight: TensorLike; gradient: TensorLike; momentum: TensorLike; chunks: TensorLike; multipliers: TensorLike; learningRate: TensorLike;
  },
  attrs: SgdAttrs,
): { weight: Tensor; momentum: Tensor } {
  const [weight, momentum] = apply(sgdUpdateOp, names.map((name) => inputs[name]), attrs);
  return { weight, momentum };
}
