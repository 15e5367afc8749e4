/**
 * normalizeConv2d, normalizeConv2dStats, normalizeConv2dFilterGrad: convolutions of an image that is normalized as it is read, with ReLU where
 * asked for; padding is zero all the same. Fused from normalize and a convolution on a device that is asked for prologues. They have no
 * gradients themselves.
 */
import type { TensorType } from '../device/types.ts';
import type { Attrs } from '../graph/node.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { conv2dFilterGradOp } from './conv2d-filter-grad.ts';
import type { Conv2dFilterGradAttrs } from './conv2d-filter-grad.ts';
import { conv2dStatsOp, statisticsMagnitude } from './conv2d-stats.ts';
import { conv2dOp } from './conv2d.ts';
import type { Conv2dAttrs } from './conv2d.ts';
import { normalizeOp } from './normalize.ts';
import * as cpuConv from './cpu/conv.ts';
import * as cpuNorm from './cpu/norm.ts';
import * as cudaFilterGrad from './cuda/conv-filter-grad.ts';
import * as cuda from './cuda/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { composed, convolved, NORMALIZE_INPUTS, normalizing, plainAttrs } from './support/prologue.ts';
import type { NormalizeAttrs } from './support/prologue.ts';
import { fixed } from './support/samples.ts';
import * as gpuFilterGrad from './webgpu/conv-filter-grad.ts';
import * as gpuConv from './webgpu/conv.ts';
import * as gpuNorm from './webgpu/norm.ts';

/** The convolution's inputs, its image normalized and rounded to the type in which it is stored. */
function normalized(inputs: readonly HostTensor[], { normalize }: NormalizeAttrs): HostTensor[] {
  const [x] = inputs;
  const [data] = normalizeOp.reference!(inputs.slice(0, NORMALIZE_INPUTS), normalize, [x]);
  return convolved(inputs, { ...x, data });
}

/** The same with magnitudes. */
function magnitudes(inputs: readonly HostTensor[], { normalize }: NormalizeAttrs): HostTensor[] {
  const [x] = inputs;
  const [data] = normalizeOp.magnitude!(inputs.slice(0, NORMALIZE_INPUTS), normalize, [x]);
  return convolved(inputs, { ...x, data }).map((t) => ({ ...t, data: t.data.map(Math.abs) }));
}

/** Samples of the convolution, each image with what normalizes it. */
function normalizedSamples<A extends Attrs>(op: DifferentiableOp<A>): Sample<A & NormalizeAttrs>[] {
  return op.samples!().map(({ inputs: [x, ...others], attrs, note }, i) => {
    const channels = [x.shape[3]];
    const vectors = [
      fixed(channels, { low: -0.5, high: 0.5 }), fixed(channels, { low: 0.2, high: 2 }), fixed(channels, { low: 0.5, high: 1.5 }), fixed(channels),
    ];
    return {
      inputs: [fixed(x.shape), ...vectors, ...others.map((t) => fixed(t.shape))],
      attrs: { ...attrs, normalize: { epsilon: 1e-3, fixGamma: i % 5 === 3, activation: i % 3 === 2 ? 'none' : 'relu' } },
      ...(note !== undefined && { note }),
    };
  });
}

/** What follows from the convolution that is prepended. */
function prepended<A extends Attrs>(name: string, op: DifferentiableOp<A>) {
  return {
    name,
    inputs: ['x', 'mean', 'variance', 'gamma', 'beta', ...op.inputs.filter((input) => input !== 'x')],
    infer(inputs: readonly TensorType[], attrs: A & NormalizeAttrs): TensorType[] {
      const [x] = normalizeOp.infer(inputs.slice(0, NORMALIZE_INPUTS), attrs.normalize);
      return op.infer(convolved(inputs, x), plainAttrs<A>(attrs));
    },
    reference: (inputs: readonly HostTensor[], attrs: A & NormalizeAttrs, outputs: readonly TensorType[]): Float64Array[] =>
      op.reference!(normalized(inputs, attrs), plainAttrs<A>(attrs), outputs),
    magnitude: (inputs: readonly HostTensor[], attrs: A & NormalizeAttrs, outputs: readonly TensorType[]): Float64Array[] =>
      op.reference!(magnitudes(inputs, attrs), plainAttrs<A>(attrs), outputs),
    precision: 'matrix' as const,
    half: { ...op.half, inputs: [0, NORMALIZE_INPUTS] },
    reductionLength: (inputs: readonly TensorType[], attrs: A & NormalizeAttrs): number =>
      op.reductionLength!(convolved(inputs, inputs[0]), plainAttrs<A>(attrs)),
    cost(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A & NormalizeAttrs) {
      return { flop: op.cost!(convolved(inputs, inputs[0]), outputs, plainAttrs<A>(attrs)).flop, bytes: bytesTouched(inputs, outputs) };
    },
    samples: () => normalizedSamples(op),
    rewrites: [normalizing(op.name, name)],
  };
}

export const normalizeConv2dOp: DifferentiableOp<Conv2dAttrs & NormalizeAttrs> = defineOp<Conv2dAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2d', conv2dOp),
  kernels: {
    cpu: composed(cpuNorm.normalizeLowering, cpuConv.conv2dLowering),
    webgpu: composed(gpuNorm.normalizeLowering, gpuConv.conv2dLowering),
    cuda: cuda.normalizeConv2dLowering,
  },
});

export const normalizeConv2dStatsOp: DifferentiableOp<ConvAttrs & NormalizeAttrs> = defineOp<ConvAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2dStats', conv2dStatsOp),
  magnitude: (inputs, attrs, outputs) => statisticsMagnitude(normalized(inputs, attrs), magnitudes(inputs, attrs), plainAttrs<ConvAttrs>(attrs), outputs),
  kernels: {
    cpu: composed(cpuNorm.normalizeLowering, cpuConv.conv2dStatsLowering),
    webgpu: composed(gpuNorm.normalizeLowering, gpuConv.conv2dStatsLowering),
    cuda: cuda.normalizeConv2dStatsLowering,
  },
});

export const normalizeConv2dFilterGradOp: DifferentiableOp<Conv2dFilterGradAttrs & NormalizeAttrs> = defineOp<Conv2dFilterGradAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2dFilterGrad', conv2dFilterGradOp),
  kernels: {
    cpu: composed(cpuNorm.normalizeLowering, cpuConv.conv2dFilterGradLowering),
    webgpu: composed(gpuNorm.normalizeLowering, gpuFilterGrad.conv2dFilterGradLowering),
    cuda: cudaFilterGrad.normalizeConv2dFilterGradLowering,
  },
});
