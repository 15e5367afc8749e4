/** Lowerings of convolution, forward and by its input, to kernels/cuda/conv_forward.cu, conv_input_grad.cu and, for single pixels, gemm.cu. */
import type { CudaLaunch, GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import { isVectorizable } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { gemmLaunches } from './gemm.ts';
import { hopperConv, hopperGemm, takesHopper } from './hopper.ts';
import type { NormalizeAttrs } from '../support/prologue.ts';
import { combineLaunch, constantsLaunch, constantsScratch, prologueBy, statisticsLaunches, statisticsScratch } from './norm.ts';
import type { Prologue } from './norm.ts';
import type { ProductPlan } from './tiles.ts';
import { planProduct, productForm, productLaunch, throughRegisters } from './tiles.ts';

/** Members of ConvShape in kernels/cuda/lib/conv.cuh; `filter` may be partial results, whose rows lie close. */
export function convShape(
  { x, y, filter }: { x: Placed; y: Placed; filter: { readonly shape: Shape; readonly stride: number } }, { stride, padding, dilation }: ConvAttrs,
): number[] {
  const [n, inH, inW, channels] = x.shape;
  const [, outH, outW, filters] = y.shape;
  return [
    n, inH, inW, channels, outH, outW, filters, filter.shape[1], filter.shape[2], ...stride, padding[0], padding[2], ...dilation,
    x.stride, y.stride, filter.stride,
  ];
}

/** Whether a convolution is a product of matrices as they lie: windows of one pixel, each of them. */
export function isPointwise([, r, s]: Shape, { stride, padding }: ConvAttrs): boolean {
  return r === 1 && s === 1 && stride.every((d) => d === 1) && padding.every((p) => p === 0);
}

const pixelsOf = ({ shape: [n, h, w] }: TensorType): number => n * h * w;

const pointwise = (y: TensorType, w: TensorType) =>
  ({ rows: pixelsOf(y), columns: w.shape[0], depth: w.shape[3], batch: 1 });

/** A forward convolution's tile; the same whether it is a plain product or not. */
function forwardPlan([x, w]: readonly TensorType[], y: TensorType, features: GpuFeatures | undefined): ProductPlan {
  return planProduct([x, w], { rows: pixelsOf(y), columns: w.shape[0], count: 1 }, features);
}

function forwardLaunches(
  [x, w, bias]: readonly Placed[], y: Placed, attrs: ConvAttrs, features: GpuFeatures | undefined, relu: boolean,
  { statistics, prologue }: { readonly statistics?: Scratch; readonly prologue?: Prologue } = {},
): CudaLaunch[] {
  const [left, right] = [{ value: x, byRows: true }, { value: w, byRows: true }];
  const single = isPointwise(w.shape, attrs);
  if (takesHopper([x, w], features) && statistics === undefined && prologue === undefined) {
    const options = { bias, relu, features: features!, label: 'conv2d' };
    const launch = single ? hopperGemm(x, w, y, pointwise(y, w), options) : hopperConv(x, w, y, attrs, options);
    if (launch !== undefined) return [launch];
  }
  if (single) {
    return gemmLaunches(left, right, y, pointwise(y, w), {
      bias, relu, features, label: 'conv2d', ...(statistics && { statistics }), ...(prologue && { prologue: { ...prologue, of: 'left' } }),
    });
  }
  const plan = forwardPlan([x, w], y, features);
  const form = productForm(prologue ? throughRegisters(plan) : plan, [left, right], true);
  return [productLaunch('conv_forward', form, {
    XT: storageType(x), WT: storageType(w), YT: storageType(y), XW: form.left, ALIGNED: isVectorizable(y) ? 1 : 0, STATS: statistics ? 1 : 0,
    ...(prologue && { PROLOGUE: 1 }),
  }, [
    at(x), at(w), at(bias ?? y), at(y), at(statistics ?? y), at(prologue?.constants ?? y), ...convShape({ x, y, filter: w }, attrs), bias ? 1 : 0,
    relu ? 1 : 0, prologue?.relu ? 1 : 0,
  ], 'conv2d')];
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' }, CudaLaunch> = {
  launches: ({ inputs, outputs: [y], attrs, features }) => forwardLaunches(inputs, y, attrs, features, attrs.activation === 'relu'),
};

/** Bytes of the statistics that the tiles of a convolution leave. */
function tileStatisticsScratch([x, w]: readonly TensorType[], y: TensorType, features: GpuFeatures | undefined): number {
  return 8 * w.shape[0] * Math.ceil(pixelsOf(y) / forwardPlan([x, w], y, features).tile.rows);
}

/** A convolution whose tiles leave the statistics of their rows, and what puts these together (norm_combine.cu). */
function withStatistics(
  inputs: readonly Placed[], [y, mean, variance]: readonly Placed[], attrs: ConvAttrs, features: GpuFeatures | undefined, partial: Scratch,
  prologue?: Prologue,
): CudaLaunch[] {
  const { tile } = forwardPlan(inputs, y, features);
  const [rows, channels] = [pixelsOf(y), y.channels];
  return [
    ...forwardLaunches(inputs, y, attrs, features, false, { statistics: partial, ...(prologue && { prologue }) }),
    { ...combineLaunch(partial, mean, variance, rows, channels, tile.rows, Math.ceil(rows / tile.rows)), label: 'statistics' },
  ];
}

export const conv2dStatsLowering: Lowering<ConvAttrs, CudaLaunch> = {
  scratch([x, w], [y], _attrs, features) {
    return [takesHopper([x, w], features) ? statisticsScratch(y) : tileStatisticsScratch([x, w], y, features)];
  },
  launches({ inputs, outputs, scratch: [partial], attrs, features }) {
    if (!takesHopper(inputs.slice(0, 2), features)) return withStatistics(inputs, outputs, attrs, features, partial);
    const [y, mean, variance] = outputs;
    return [...forwardLaunches(inputs, y, attrs, features, false), ...statisticsLaunches(y, mean, variance, partial)];
  },
};

export const normalizeConv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' } & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs) => [constantsScratch(inputs)],
  launches: ({ inputs, outputs: [y], scratch: [constants], attrs, features }) => [
    constantsLaunch(inputs, constants, attrs.normalize),
    ...forwardLaunches([inputs[0], ...inputs.slice(5)], y, attrs, features, attrs.activation === 'relu', { prologue: prologueBy(constants, attrs) }),
  ],
};

export const normalizeConv2dStatsLowering: Lowering<ConvAttrs & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs, [y], _attrs, features) => [constantsScratch(inputs), tileStatisticsScratch([inputs[0], inputs[5]], y, features)],
  launches: ({ inputs, outputs, scratch: [constants, partial], attrs, features }) => [
    constantsLaunch(inputs, constants, attrs.normalize),
    ...withStatistics([inputs[0], ...inputs.slice(5)], outputs, attrs, features, partial, prologueBy(constants, attrs)),
  ],
};

export const conv2dInputGradLowering: Lowering<ConvAttrs & { readonly inputShape: Shape }, CudaLaunch> = {
  launches({ inputs: [dy, w], outputs: [dx], attrs, features }) {
    const [left, right] = [{ value: dy, byRows: true }, { value: w, byRows: false }];
    const [n, inH, inW, channels] = dx.shape;
    const label = 'conv2dInputGrad';
    if (isPointwise(w.shape, attrs)) {
      return gemmLaunches(left, right, dx, { rows: pixelsOf(dx), columns: channels, depth: w.shape[0], batch: 1 }, { features, label });
    }
    const [strideH, strideW] = attrs.stride;
    // The largest phase has so many rows; small ones leave the last blocks idle.
    const rows = n * Math.ceil(inH / strideH) * Math.ceil(inW / strideW);
    const form = productForm(planProduct([dy, w], { rows, columns: channels, count: strideH * strideW }, features), [left, right]);
    return [productLaunch('conv_input_grad', form, {
      YT: storageType(dy), WT: storageType(w), XT: storageType(dx), YW: form.left, WW: form.right, ALIGNED: isVectorizable(dx) ? 1 : 0,
    }, [at(dy), at(w), at(dx), ...convShape({ x: dx, y: dy, filter: w }, attrs)], label)];
  },
};
