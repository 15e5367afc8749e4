/** Lowerings of convolution, forward and by its input, to kernels/cuda/conv_forward.cu, conv_input_grad.cu and, for single pixels, gemm.cu. */
import type { CudaLaunch, GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convolvedBy, normalizedBy } from '../support/epilogue.ts';
import type { EpilogueAttrs } from '../support/epilogue.ts';
import { gemmLaunches } from './gemm.ts';
import { hopperConv, hopperGemm, hopperInputGrad, hopperRows, takesHopper } from './hopper.ts';
import { convolved } from '../support/prologue.ts';
import type { NormalizeAttrs } from '../support/prologue.ts';
import { combineLaunches, combineScratch, constantsLaunch, constantsScratch } from './norm.ts';
import { prologueBy, prologueForm, workedBy } from './prologue.ts';
import type { GradientPrologue, Prologue } from './prologue.ts';
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
  return planProduct([x, w], { rows: pixelsOf(y), columns: w.shape[0], depth: sizeOf(w.shape) / w.shape[0], count: 1 }, features);
}

/** Rows of tiles on Hopper's own rung. */
const forwardRows = (w: TensorType, y: TensorType): number => hopperRows({ rows: pixelsOf(y), columns: w.shape[0], count: 1 });

/** The launches, and rows of the tiles whose statistics are left. */
function forwardLaunches(
  [x, w, bias]: readonly Placed[], y: Placed, attrs: ConvAttrs, features: GpuFeatures | undefined, relu: boolean,
  { statistics, prologue, epilogue }: { readonly statistics?: Scratch; readonly prologue?: Prologue; readonly epilogue?: Scratch } = {},
): { readonly launches: CudaLaunch[]; readonly rows: number } {
  const [left, right] = [{ value: x, byRows: true }, { value: w, byRows: true }];
  const single = isPointwise(w.shape, attrs);
  const options = { bias, relu, label: 'conv2d', ...(statistics && { statistics }), ...(epilogue && { epilogue }) };
  if (takesHopper([x, w], features) && prologue === undefined) {
    const own = { ...options, features: features! };
    const launches = single ? hopperGemm(left, right, y, pointwise(y, w), own) : hopperConv(x, w, y, attrs, own);
    if (launches !== undefined) return { launches, rows: forwardRows(w, y) };
  }
  const plan = forwardPlan([x, w], y, features);
  const { rows } = plan.tile;
  if (single) {
    const own = { ...options, features, prologues: { left: prologue } };
    return { launches: gemmLaunches(left, right, y, pointwise(y, w), own), rows };
  }
  const form = productForm(throughRegisters(plan, workedBy({ left: prologue })), [left, right], true);
  const { define, constants, activated } = prologueForm({ left: prologue }, y);
  const launch = productLaunch('conv_forward', form, {
    XT: storageType(x), WT: storageType(w), YT: storageType(y), XW: form.left, ALIGNED: isVectorizable(y) ? 1 : 0, STATS: statistics ? 1 : 0,
    ...define, ...(epilogue && { NORM: 1 }),
  }, [
    at(x), at(w), at(bias ?? y), at(y), at(statistics ?? y), epilogue ? at(epilogue) : constants, ...convShape({ x, y, filter: w }, attrs), bias ? 1 : 0,
    relu ? 1 : 0, activated,
  ], options.label);
  return { launches: [launch], rows };
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' }, CudaLaunch> = {
  launches: ({ inputs, outputs: [y], attrs, features }) => forwardLaunches(inputs, y, attrs, features, attrs.activation === 'relu').launches,
};

/** What normalizes the result is left as constants by channel first, as by a prologue. */
export const conv2dNormalizeLowering: Lowering<EpilogueAttrs, CudaLaunch> = {
  scratch: (inputs, [y]) => [constantsScratch(normalizedBy(inputs, y))],
  launches({ inputs, outputs: [y], scratch: [epilogue], attrs, features }) {
    const constants = constantsLaunch(normalizedBy(inputs, y), epilogue, attrs.normalize);
    return [constants, ...forwardLaunches(convolvedBy(inputs), y, attrs, features, attrs.normalize.activation === 'relu', { epilogue }).launches];
  },
};

/** Bytes of the statistics that the tiles of a convolution leave, which may take Hopper's rung. */
function tileStatisticsScratch([x, w]: readonly TensorType[], y: TensorType, features: GpuFeatures | undefined, hopper: boolean): number {
  const { tile } = forwardPlan([x, w], y, features);
  // Where values will lie, by which that rung may refuse them, is not known yet.
  const rows = hopper ? Math.min(tile.rows, forwardRows(w, y)) : tile.rows;
  return combineScratch(w.shape[0], Math.ceil(pixelsOf(y) / rows));
}

/** A convolution whose tiles leave the statistics of their rows, and what puts these together (norm_combine.cu). */
function withStatistics(
  inputs: readonly Placed[], [y, mean, variance]: readonly Placed[], attrs: ConvAttrs, features: GpuFeatures | undefined, partial: Scratch,
  prologue?: Prologue,
): CudaLaunch[] {
  const { launches, rows } = forwardLaunches(inputs, y, attrs, features, false, { statistics: partial, ...(prologue && { prologue }) });
  const pixels = pixelsOf(y);
  return [...launches, ...combineLaunches(partial, mean, variance, pixels, y.channels, rows, Math.ceil(pixels / rows))];
}

export const conv2dStatsLowering: Lowering<ConvAttrs, CudaLaunch> = {
  scratch: ([x, w], [y], _attrs, features) => [tileStatisticsScratch([x, w], y, features, takesHopper([x, w], features))],
  launches: ({ inputs, outputs, scratch: [partial], attrs, features }) => withStatistics(inputs, outputs, attrs, features, partial),
};

export const normalizeConv2dLowering: Lowering<ConvAttrs & { readonly activation: 'none' | 'relu' } & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs) => [constantsScratch(inputs)],
  launches: ({ inputs, outputs: [y], scratch: [constants], attrs, features }) => [
    constantsLaunch(inputs, constants, attrs.normalize),
    ...forwardLaunches(convolved(inputs, inputs[0]), y, attrs, features, attrs.activation === 'relu', { prologue: prologueBy(constants, attrs) }).launches,
  ],
};

export const normalizeConv2dStatsLowering: Lowering<ConvAttrs & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs, [y], _attrs, features) => [constantsScratch(inputs), tileStatisticsScratch(convolved(inputs, inputs[0]), y, features, false)],
  launches: ({ inputs, outputs, scratch: [constants, partial], attrs, features }) => [
    constantsLaunch(inputs, constants, attrs.normalize),
    ...withStatistics(convolved(inputs, inputs[0]), outputs, attrs, features, partial, prologueBy(constants, attrs)),
  ],
};

/** The gradient by the image; with `gradient` dy is given as what its prologue begins from. */
export function inputGradLaunches(
  dy: Placed, w: Placed, dx: Placed, attrs: ConvAttrs, features: GpuFeatures | undefined, gradient?: GradientPrologue,
): CudaLaunch[] {
  const [left, right] = [{ value: dy, byRows: true, beside: gradient?.normed }, { value: w, byRows: false }];
  const [n, inH, inW, channels] = dx.shape;
  const label = 'conv2dInputGrad';
  const single = isPointwise(w.shape, attrs);
  const product = { rows: pixelsOf(dx), columns: channels, depth: w.shape[0], batch: 1 };
  if (takesHopper([dy, w], features) && gradient === undefined) {
    const own = { features: features!, label };
    const launches = single ? hopperGemm(left, right, dx, product, own) : hopperInputGrad(dy, w, dx, attrs, own);
    if (launches !== undefined) return launches;
  }
  if (single) return gemmLaunches(left, right, dx, product, { features, label, prologues: { gradient } });
  const [strideH, strideW] = attrs.stride;
  // The largest phase has so many rows; small ones leave the last blocks idle.
  const rows = n * Math.ceil(inH / strideH) * Math.ceil(inW / strideW);
  const phases = strideH * strideW;
  const depth = Math.ceil(sizeOf(w.shape) / channels / phases);
  const plan = planProduct([dy, w], { rows, columns: channels, depth, count: phases }, features);
  const form = productForm(throughRegisters(plan, workedBy({ gradient })), [left, right]);
  const { define, gradient: made, beside } = prologueForm({ gradient }, dx);
  return [productLaunch('conv_input_grad', form, {
    YT: storageType(dy), WT: storageType(w), XT: storageType(dx), YW: form.left, WW: form.right, ALIGNED: isVectorizable(dx) ? 1 : 0, ...define,
  }, [at(dy), at(w), at(dx), ...made, ...convShape({ x: dx, y: dy, filter: w }, attrs), ...beside], label)];
}

export const conv2dInputGradLowering: Lowering<ConvAttrs & { readonly inputShape: Shape }, CudaLaunch> = {
  launches: ({ inputs: [dy, w], outputs: [dx], attrs, features }) => inputGradLaunches(dy, w, dx, attrs, features),
};
