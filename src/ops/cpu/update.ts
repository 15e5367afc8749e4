/** Lowerings of optimizer updates to kernels/wasm/update.ts; weights and moments are updated where they lie. */
import type { CpuArg, CpuLaunch, Lowering } from '../../device/types.ts';

interface UpdateAttrs {
  readonly weightDecay: number;
  readonly rescale: number;
  readonly clip: number | null;
}

const f = (value: number): CpuArg => ({ f32: value });
const limit = (clip: number | null): CpuArg => f(clip ?? Infinity);

export const sgdUpdateLowering: Lowering<UpdateAttrs & { readonly momentum: number }, CpuLaunch> = {
  launches: ({ attrs, inputs: [, gradient, , chunks, multipliers, learningRate], outputs: [weight, momentum] }) => [{
    kernel: 'sgdUpdate',
    tiles: chunks.shape[0],
    args: [
      { address: weight }, { address: gradient }, { address: momentum }, { address: chunks }, { address: multipliers },
      { address: learningRate }, f(attrs.momentum), f(attrs.weightDecay), f(attrs.rescale), limit(attrs.clip), learningRate.shape.length,
    ],
    label: 'sgdUpdate',
  }],
};

interface AdamAttrs extends UpdateAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly correctBias: boolean;
}

export const adamUpdateLowering: Lowering<AdamAttrs, CpuLaunch> = {
  launches: ({ attrs, inputs: [, gradient, , , chunks, multipliers, learningRate, step], outputs: [weight, mean, variance] }) => [{
    kernel: 'adamUpdate',
    tiles: chunks.shape[0],
    args: [
      { address: weight }, { address: gradient }, { address: mean }, { address: variance }, { address: chunks },
      { address: multipliers }, { address: learningRate }, { address: step }, f(attrs.beta1), f(1 - attrs.beta1), f(attrs.beta2),
      f(1 - attrs.beta2), f(attrs.epsilon), f(attrs.weightDecay), f(attrs.rescale), limit(attrs.clip), attrs.correctBias ? 1 : 0,
      f(Math.log(attrs.beta1)), f(Math.log(attrs.beta2)), learningRate.shape.length,
    ],
    label: 'adamUpdate',
  }],
};
