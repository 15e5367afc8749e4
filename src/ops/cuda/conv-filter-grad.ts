/** Lowering of convolution's filter gradient to kernels/cuda/conv_filter_grad.cu and, for single pixels, gemm.cu. */
import type { CudaLaunch, Lowering, Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convShape, isPointwise } from './conv.ts';
import { gemmLaunches, sumRuns } from './gemm.ts';
import { hopperFilterGrad, hopperGemm, takesHopper } from './hopper.ts';
import { planProduct, productForm, productLaunch, runsOf } from './tiles.ts';

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

export const conv2dFilterGradLowering: Lowering<Attrs, CudaLaunch> = {
  scratch([, dy], _outputs, { filterShape }) {
    const { runs } = cutOf(dy, filterShape);
    return runs > 1 ? [4 * runs * sizeOf(filterShape)] : [];
  },
  launches({ inputs: [x, dy], outputs: [dw], scratch: [scratch], attrs, features }) {
    const label = 'conv2dFilterGrad';
    const sizes = sizesOf(dy, dw.shape);
    const [left, right] = [{ value: dy, byRows: false }, { value: x, byRows: false }];
    const single = isPointwise(dw.shape, attrs);
    if (takesHopper([x, dy], features)) {
      const own = { scratch, features: features!, label };
      const made = single ? hopperGemm(left, right, dw, sizes, own) : hopperFilterGrad(x, dy, dw, attrs, own);
      if (made !== undefined) return [made.launch, ...(made.runs > 1 ? [sumRuns(scratch, made.runs, dw, label)] : [])];
    }
    if (single) return gemmLaunches(left, right, dw, sizes, { scratch, features, label });
    const { runs, run } = cutOf(dy, dw.shape);
    const cut = runs > 1;
    const form = productForm(planProduct([dy, x], { ...sizes, depth: run, count: runs }, features), [left, right]);
    const flat = cut || dw.stride === dw.channels;
    const aligned = flat && sizes.columns % 4 === 0 && (cut || dw.offset % 4 === 0);
    const filter = { shape: dw.shape, stride: cut ? dw.channels : dw.stride };
    return [
      productLaunch('conv_filter_grad', form, {
        YT: storageType(dy), XT: storageType(x), WT: cut ? 'float' : storageType(dw), YW: form.left, XW: form.right,
        FLAT: flat ? 1 : 0, ALIGNED: aligned ? 1 : 0,
      }, [at(dy), at(x), at(cut ? scratch : dw), ...convShape({ x, y: dy, filter }, attrs), run, sizeOf(dw.shape)], label),
      ...(cut ? [sumRuns(scratch, runs, dw, label)] : []),
    ];
  },
};
