/** Lowerings of depthwise convolution to kernels/cuda/depthwise*.cu. */
import type { CudaArg, CudaLaunch, Lowering, Placed, Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK, linearGrid, storageType, vectorizable } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { sumRuns } from './gemm.ts';

/** Pixels of dy that a run of the filter gradient has at least, and the most runs. */
const RUN = 128;
const MOST_RUNS = 512;

interface Parts {
  readonly x: Placed;
  readonly y: Placed;
  /** Or partial results of its shape, whose rows lie close. */
  readonly filter: Placed;
  readonly close?: boolean;
  readonly attrs: ConvAttrs;
  /** Elements that threads compute. */
  readonly elements: number;
}

function launch(
  kernel: string, label: string, { x, y, filter, close = false, attrs, elements }: Parts, types: Readonly<Record<string, string>>,
  values: readonly CudaArg[], rest: readonly number[] = [],
): CudaLaunch {
  const [n, inH, inW, channels] = x.shape;
  const [, outH, outW] = y.shape;
  const [r, s] = filter.shape;
  const vector = vectorizable(close ? [x, y] : [x, y, filter]);
  const width = vector ? 4 : 1;
  return {
    kernel,
    define: { WIDTH: width, ALIGNED: vector ? 'true' : 'false', ...types },
    args: [
      ...values, n, inH, inW, channels, outH, outW, r, s, ...attrs.stride, attrs.padding[0], attrs.padding[2], ...attrs.dilation,
      x.stride, y.stride, close ? channels : filter.stride, ...rest,
    ],
    grid: linearGrid(elements / width),
    block: BLOCK,
    label,
  };
}

export const depthwiseLowering: Lowering<ConvAttrs, CudaLaunch> = {
  launches({ attrs, inputs: [x, filter, bias], outputs: [y] }) {
    const types = { XT: storageType(x), WT: storageType(filter), YT: storageType(y) };
    // Without a bias its argument is not touched.
    return [launch('depthwise', 'depthwiseConv2d', { x, y, filter, attrs, elements: sizeOf(y.shape) }, types,
      [at(x), at(filter), at(bias ?? y), at(y)], [bias ? 1 : 0])];
  },
};

export const depthwiseInputGradLowering: Lowering<ConvAttrs, CudaLaunch> = {
  launches({ attrs, inputs: [y, filter], outputs: [x] }) {
    const types = { YT: storageType(y), WT: storageType(filter), XT: storageType(x) };
    return [launch('depthwise_input_grad', 'depthwiseConv2dInputGrad', { x, y, filter, attrs, elements: sizeOf(x.shape) }, types,
      [at(y), at(filter), at(x)])];
  },
};

/** How many rows of dy a run sums, and how many runs there are: from shapes alone. */
function cutOf({ shape: [n, p, q] }: TensorType): { run: number; runs: number } {
  const rows = n * p;
  const wanted = Math.max(1, Math.min(rows, MOST_RUNS, Math.floor((rows * q) / RUN)));
  const run = Math.max(1, Math.ceil(rows / wanted));
  return { run, runs: Math.max(1, Math.ceil(rows / run)) };
}

export const depthwiseFilterGradLowering: Lowering<ConvAttrs & { readonly filterShape: Shape }, CudaLaunch> = {
  scratch([, dy], _outputs, { filterShape }) {
    const { runs } = cutOf(dy);
    return runs > 1 ? [4 * runs * sizeOf(filterShape)] : [];
  },
  launches({ attrs, inputs: [x, y], outputs: [filter], scratch: [partial] }) {
    const { run, runs } = cutOf(y);
    const cut = runs > 1;
    const label = 'depthwiseConv2dFilterGrad';
    const types = { XT: storageType(x), YT: storageType(y), WT: cut ? 'float' : storageType(filter) };
    const first = launch('depthwise_filter_grad', label, { x, y, filter, close: cut, attrs, elements: runs * sizeOf(filter.shape) }, types,
      [at(x), at(y), at(cut ? partial : filter)], [run, runs]);
    return cut ? [first, sumRuns(partial, runs, filter, label)] : [first];
  },
};
