/** Lowering of convolution's filter gradient to kernels/cuda/conv_filter_grad.cu and, for single pixels, gemm.cu. */
import type { CudaLaunch, GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convolved } from '../support/prologue.ts';
import type { NormalizeAttrs } from '../support/prologue.ts';
import { convShape, isPointwise } from './conv.ts';
import { gemmLaunches, sumRuns } from './gemm.ts';
import { hopperFilterGrad, hopperGemm, takesHopper } from './hopper.ts';
import { constantsLaunch, constantsScratch } from './norm.ts';
import { prologueBy, prologueForm, workedBy } from './prologue.ts';
import type { Prologues } from './prologue.ts';
import { planProduct, productForm, productLaunch, runsOf, throughRegisters } from './tiles.ts';

type Attrs = ConvAttrs & { readonly filterShape: Shape };

/** Rows and columns of the product, and the terms of its sums. */
function sizesOf(dy: TensorType, filterShape: Shape): { rows: number; columns: number; depth: number; batch: 1 } {
  const [n, outH, outW, filters] = dy.shape;
  return { rows: filters, columns: sizeOf(filterShape) / filters, depth: n * outH * outW, batch: 1 };
}

function cutOf(dy: TensorType, filterShape: Shape): { runs: number; run: number } {
  const { rows, columns, depth } = sizesOf(dy, filterShape);
  return runsOf({ rows, columns, count: 1 }, depth);
}

/** The gradient by the filter; with `prologues.gradient` dy is given as what that begins from, with `prologues.right` x is normalized. */
export function filterGradLaunches(
  { x, dy, dw }: { readonly x: Placed; readonly dy: Placed; readonly dw: Placed }, scratch: Scratch | undefined, attrs: ConvAttrs,
  features: GpuFeatures | undefined, prologues: Prologues = {},
): CudaLaunch[] {
  const label = 'conv2dFilterGrad';
  const sizes = sizesOf(dy, dw.shape);
  const [left, right] = [{ value: dy, byRows: false, beside: prologues.gradient?.normed }, { value: x, byRows: false }];
  const single = isPointwise(dw.shape, attrs);
  if (workedBy(prologues) === undefined && takesHopper([x, dy], features)) {
    const own = { scratch, features: features!, label };
    const launches = single ? hopperGemm(left, right, dw, sizes, own) : hopperFilterGrad(x, dy, dw, attrs, own);
    if (launches !== undefined) return launches;
  }
  if (single) return gemmLaunches(left, right, dw, sizes, { scratch, features, label, prologues });
  const { runs, run } = cutOf(dy, dw.shape);
  const cut = runs > 1;
  const plan = planProduct([dy, x], { ...sizes, depth: run, count: runs }, features);
  const form = productForm(throughRegisters(plan, workedBy(prologues)), [left, right]);
  const flat = cut || dw.stride === dw.channels;
  const aligned = flat && sizes.columns % 4 === 0 && (cut || dw.offset % 4 === 0);
  const filter = { shape: dw.shape, stride: cut ? dw.channels : dw.stride };
  const to = cut ? scratch! : dw;
  const { define, constants, activated, gradient, beside } = prologueForm(prologues, to);
  return [
    productLaunch('conv_filter_grad', form, {
      YT: storageType(dy), XT: storageType(x), WT: cut ? 'float' : storageType(dw), YW: form.left, XW: form.right,
      FLAT: flat ? 1 : 0, ALIGNED: aligned ? 1 : 0, ...define,
    }, [
      at(dy), at(x), at(to), constants, ...gradient, ...convShape({ x, y: dy, filter }, attrs), run, sizeOf(dw.shape), activated, ...beside,
    ], label),
    ...(cut ? [sumRuns(scratch!, runs, dw, label)] : []),
  ];
}

/** Bytes of partial results. */
export function runsScratch(dy: TensorType, filterShape: Shape): number[] {
  const { runs } = cutOf(dy, filterShape);
  return runs > 1 ? [4 * runs * sizeOf(filterShape)] : [];
}

export const conv2dFilterGradLowering: Lowering<Attrs, CudaLaunch> = {
  scratch: ([, dy], _outputs, { filterShape }) => runsScratch(dy, filterShape),
  launches: ({ inputs: [x, dy], outputs: [dw], scratch: [scratch], attrs, features }) => filterGradLaunches({ x, dy, dw }, scratch, attrs, features),
};

export const normalizeConv2dFilterGradLowering: Lowering<Attrs & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs, _outputs, { filterShape }) => [constantsScratch(inputs), ...runsScratch(convolved(inputs, inputs[0])[1], filterShape)],
  launches({ inputs, outputs: [dw], scratch: [constants, scratch], attrs, features }) {
    const [x, dy] = convolved(inputs, inputs[0]);
    const prologues = { right: prologueBy(constants, attrs) };
    return [constantsLaunch(inputs, constants, attrs.normalize), ...filterGradLaunches({ x, dy, dw }, scratch, attrs, features, prologues)];
  },
};
