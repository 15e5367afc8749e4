/**
 * normalizeConv2d, normalizeConv2dStats, normalizeConv2dFilterGrad: convolutions of an image that is normalized as it is read, with ReLU where
 * asked for; padding is zero all the same. Fused from normalize and a convolution on a device that is asked for prologues. They have no
 * gradients themselves.
 */
import type { CpuLaunch, CudaLaunch, Lowering, Lowerings, TensorType, WebgpuLaunch } from '../device/types.ts';
import type { Attrs } from '../graph/node.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
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
import { fixed, given, scrambled } from './support/samples.ts';
import * as gpuFilterGrad from './webgpu/conv-filter-grad.ts';
import * as gpuConv from './webgpu/conv.ts';
import * as gpuNorm from './webgpu/norm.ts';

/** The convolution's inputs, its image normalized and rounded to the type in which it is stored. */
function normalized(inputs: readonly HostTensor[], { normalize }: NormalizeAttrs): HostTensor[] {
  const [x] = inputs;
  const [data] = normalizeOp.reference!(inputs.slice(0, NORMALIZE_INPUTS), normalize, [x]);
  return convolved(inputs, { ...x, data });
}

/** The same with the magnitudes of what is normalized. */
function magnified(inputs: readonly HostTensor[], { normalize }: NormalizeAttrs): HostTensor[] {
  const [x] = inputs;
  const [data] = normalizeOp.magnitude!(inputs.slice(0, NORMALIZE_INPUTS), normalize, [x]);
  return convolved(inputs, { ...x, data });
}

const magnitudes = (inputs: readonly HostTensor[], attrs: NormalizeAttrs): HostTensor[] =>
  magnified(inputs, attrs).map((t) => ({ ...t, data: t.data.map(Math.abs) }));

const EPSILON = 2 ** -10;

/** A vector by channel that goes through the values, each `of` times in a row. */
const cycle = (channels: number, of: number, ...values: number[]): SampleInput =>
  fixed([channels], { values: Array.from({ length: channels }, (_, c) => values[Math.floor(c / of) % values.length]) });

/**
 * Samples of the convolution, each image with what normalizes it. Scales are powers of two, and all else has few bits: what is normalized is
 * exact in every type that it may be rounded to, so that no rounding to a half falls otherwise than the reference's.
 */
function normalizedSamples<A extends Attrs>(op: DifferentiableOp<A>): Sample<A & NormalizeAttrs>[] {
  return op.samples!().map(({ inputs: [{ shape }, ...others], attrs, note }, i) => {
    const channels = shape[3];
    const vectors = [
      given(scrambled([channels], i + 1, 4)), cycle(channels, 3, 1 - EPSILON, 0.25 - EPSILON, 4 - EPSILON), cycle(channels, 1, 0.5, 1, 2),
      given(scrambled([channels], i + 2, 8)),
    ];
    return {
      inputs: [given(scrambled(shape, i + 3, 16)), ...vectors, ...others.map((t) => ({ ...t, differentiable: false }))],
      attrs: { ...attrs, normalize: { epsilon: EPSILON, fixGamma: i % 5 === 3, activation: i % 3 === 2 ? 'none' : 'relu' } },
      ...(note !== undefined && { note }),
    };
  });
}

/** What follows from the convolution that is prepended. */
export function prepended<A extends Attrs>(name: string, op: DifferentiableOp<A>) {
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
      (op.magnitude ? op.magnitude(magnified(inputs, attrs), plainAttrs<A>(attrs), outputs)
        : op.reference!(magnitudes(inputs, attrs), plainAttrs<A>(attrs), outputs)),
    precision: 'matrix' as const,
    half: { ...op.half, inputs: (op.half!.inputs as readonly number[]).map((i) => (i === 0 ? 0 : i + NORMALIZE_INPUTS - 1)) },
    reductionLength: (inputs: readonly TensorType[], attrs: A & NormalizeAttrs): number =>
      op.reductionLength!(convolved(inputs, inputs[0]), plainAttrs<A>(attrs)),
    cost(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A & NormalizeAttrs) {
      return { flop: op.cost!(convolved(inputs, inputs[0]), outputs, plainAttrs<A>(attrs)).flop, bytes: bytesTouched(inputs, outputs) };
    },
    samples: () => normalizedSamples(op),
    rewrites: [normalizing(op.name, name)],
  };
}

/** Of the convolution on devices that normalize first, and of both in one. */
export const lowerings = <A extends Attrs>(
  cpu: Lowering<A, CpuLaunch>, webgpu: Lowering<A, WebgpuLaunch>, cuda: Lowering<A & NormalizeAttrs, CudaLaunch>,
): Lowerings<A & NormalizeAttrs> => ({ cpu: composed(cpuNorm.normalizeLowering, cpu), webgpu: composed(gpuNorm.normalizeLowering, webgpu), cuda });

export const normalizeConv2dOp: DifferentiableOp<Conv2dAttrs & NormalizeAttrs> = defineOp<Conv2dAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2d', conv2dOp),
  kernels: lowerings(cpuConv.conv2dLowering, gpuConv.conv2dLowering, cuda.normalizeConv2dLowering),
});

export const normalizeConv2dStatsOp: DifferentiableOp<ConvAttrs & NormalizeAttrs> = defineOp<ConvAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2dStats', conv2dStatsOp),
  magnitude: (inputs, attrs, outputs) => statisticsMagnitude(normalized(inputs, attrs), magnitudes(inputs, attrs), plainAttrs<ConvAttrs>(attrs), outputs),
  kernels: lowerings(cpuConv.conv2dStatsLowering, gpuConv.conv2dStatsLowering, cuda.normalizeConv2dStatsLowering),
});

export const normalizeConv2dFilterGradOp: DifferentiableOp<Conv2dFilterGradAttrs & NormalizeAttrs> = defineOp<Conv2dFilterGradAttrs & NormalizeAttrs>({
  ...prepended('normalizeConv2dFilterGrad', conv2dFilterGradOp),
  kernels: lowerings(cpuConv.conv2dFilterGradLowering, gpuFilterGrad.conv2dFilterGradLowering, cudaFilterGrad.normalizeConv2dFilterGradLowering),
});
