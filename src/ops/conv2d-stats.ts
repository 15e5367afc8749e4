/** conv2dStats: convolution, bias and the batch statistics of the result in one pass; fused from conv2d and batchNorm. */
import type { HalfType, TensorType } from '../device/types.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { conv2dOp } from './conv2d.ts';
import * as cpu from './cpu/conv.ts';
import * as cuda from './cuda/conv.ts';
import { checkBias, convCases, convFlop, convOutputShape } from './support/conv.ts';
import type { ConvAttrs } from './support/conv.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { mergedForward } from './support/siblings.ts';
import { checkFloat } from './support/shapes.ts';
import { statistics } from './support/statistics.ts';
import * as gpuConv from './webgpu/conv.ts';

/** The statistics come with the convolution; `batchNorm + conv2dStats` in normalize.ts turns the rest into normalize. */
const fromBatchNorm: Rewrite = {
  name: 'conv2d + batch statistics',
  anchor: 'batchNorm',
  match(node, graph) {
    const { node: conv, index } = node.inputs[0];
    if (conv.op.name !== 'conv2d' || index !== 0 || conv.attrs.activation !== 'none') return undefined;
    const { stride, padding, dilation } = conv.attrs;
    const [y, mean, variance] = graph.make('conv2dStats', { stride, padding, dilation }, conv.inputs);
    return [{ node: conv, output: 0, by: y }, { node, output: 1, by: mean }, { node, output: 2, by: variance }];
  },
};

/** How many times as far away as a float32's the neighbour of a half is. */
export const neighbours: Readonly<Partial<Record<HalfType, number>>> = { float16: 2 ** 13, bfloat16: 2 ** 16 };

/** Magnitudes of (y, mean, variance), given those of the inputs: the mean of y's; the variance moves by 2 |y - mean| per unit of y. */
export function statisticsMagnitude(
  inputs: readonly HostTensor[], absolute: readonly HostTensor[], attrs: ConvAttrs, outputs: readonly TensorType[],
): Float64Array[] {
  const conv = { ...attrs, activation: 'none' as const };
  const [y] = conv2dOp.reference!(inputs, conv, outputs);
  const [m] = conv2dOp.reference!(absolute, conv, outputs);
  const { mean, variance } = statistics({ ...outputs[0], data: y });
  const channels = mean.length;
  const means = new Float64Array(channels);
  const variances = variance.slice();
  const rows = y.length / channels;
  // an element stored as a half may be the neighbour of the reference's
  const apart = neighbours[outputs[0].dtype as HalfType] ?? 0;
  const largest = apart === 0 ? 0 : y.reduce((most, v) => Math.max(most, Math.abs(v)), 0) * apart / rows;
  means.fill(largest);
  variance.forEach((v, k) => {
    variances[k] += 2 * largest * Math.sqrt(v);
  });
  m.forEach((v, i) => {
    const k = i % channels;
    means[k] += v / rows;
    variances[k] += (2 * v * Math.abs(y[i] - mean[k])) / rows;
  });
  return [m, means, variances];
}

export const conv2dStatsOp: DifferentiableOp<ConvAttrs> = defineOp<ConvAttrs>({
  name: 'conv2dStats',
  inputs: ['x', 'filter', 'bias?'],
  infer(inputs: readonly TensorType[], attrs) {
    checkFloat('conv2dStats', ['x', 'filter', 'bias'], inputs);
    const [x, filter, bias] = inputs;
    checkBias('conv2dStats', bias, filter);
    const shape = convOutputShape('conv2dStats', x, filter, attrs);
    const channels: TensorType = { shape: [filter.shape[0]], dtype: 'float32' };
    return [{ shape, dtype: 'float32' }, channels, channels];
  },
  reference(inputs: readonly HostTensor[], attrs, outputs) {
    const [y] = conv2dOp.reference!(inputs, { ...attrs, activation: 'none' }, outputs);
    const { mean, variance } = statistics({ ...outputs[0], data: y });
    return [y, mean, variance];
  },
  magnitude: (inputs, attrs, outputs) =>
    statisticsMagnitude(inputs, inputs.map((t) => ({ ...t, data: t.data.map(Math.abs) })), attrs, outputs),
  kernels: { cpu: cpu.conv2dStatsLowering, webgpu: gpuConv.conv2dStatsLowering, cuda: cuda.conv2dStatsLowering },
  precision: 'matrix',
  half: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([, filter], attrs) => conv2dOp.reductionLength!([filter, filter], { ...attrs, activation: 'none' }),
  cost: (inputs, outputs) => ({ flop: convFlop(outputs[0].shape, inputs[1].shape), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<ConvAttrs>[] {
    // ahead of statistics webgpu filters minimally only where there are many channels
    const wide = { x: [2, 17, 19, 116], filter: [120, 3, 3, 116], attrs: convCases().find(({ note }) => note === 'many tiles')!.attrs, note: 'wide' };
    // so many tiles of rows that cuda combines what they leave in two launches
    const long = { x: [1, 185, 185, 1], filter: [4, 1, 1, 1], attrs: convCases()[0].attrs, note: 'many rows' };
    return [...convCases(), wide, long].map(({ x, filter, attrs, note }, i) => ({
      // every third image stands off zero, as a one-pass variance would notice
      inputs: [
        f32(x, i % 3 === 2 ? { low: 3, high: 4, differentiable: false } : { differentiable: false }),
        f32(filter, { differentiable: false }),
        ...(i % 2 === 0 ? [f32([filter[0]], { differentiable: false })] : []),
      ],
      attrs,
      note,
    }));
  },
  rewrites: [fromBatchNorm, mergedForward('conv2dStats')],
});
