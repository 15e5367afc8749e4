/** Lowerings of depthwise convolution to kernels/wasm/depthwise.ts. */
import type { CpuArg, CpuLaunch, Lowering, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { sumPartials } from './conv.ts';

const ceil = (a: number, b: number): number => Math.ceil(a / b);
/** Products that a tile of the forward pass or of the input gradient computes. */
const TILE = 65536;
/** Elements of dy that a run of the filter gradient has at least, and the most runs. */
const RUN = 16384;
const MOST_RUNS = 32;

interface Parts {
  readonly x: Placed;
  readonly filter: Placed;
  readonly y: Placed;
  readonly bias?: Placed;
  /** Where the filter gradient goes, in place of `filter`: partial sums. */
  readonly partials?: Scratch;
  readonly attrs: ConvAttrs;
  /** Pixels a tile, or rows a run. */
  readonly perTile: number;
}

function argsOf({ x, filter, y, bias, partials, attrs: { stride, padding, dilation }, perTile }: Parts): CpuArg[] {
  const [n, h, w, c] = x.shape;
  const [, p, q] = y.shape;
  const [r, s] = filter.shape;
  return [
    { address: x }, { address: partials ?? filter }, { address: y }, bias ? { address: bias } : 0,
    n, h, w, c, p, q, r, s, ...stride, padding[0], padding[2], ...dilation,
    x.stride * 4, (partials ? c : filter.stride) * 4, y.stride * 4, perTile, sizeOf(filter.shape) * 4,
  ];
}

const pixelsPerTile = (filter: Placed): number => Math.max(1, Math.floor(TILE / Math.max(1, sizeOf(filter.shape))));

export const depthwiseLowering: Lowering<ConvAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [x, filter, bias], outputs: [y] }) {
    const perTile = pixelsPerTile(filter);
    return [{
      kernel: 'depthwise', tiles: ceil(y.rows, perTile), args: argsOf({ x, filter, y, bias, attrs, perTile }),
      label: 'depthwiseConv2d',
    }];
  },
};

export const depthwiseInputGradLowering: Lowering<ConvAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [y, filter], outputs: [x] }) {
    const perTile = pixelsPerTile(filter);
    return [{
      kernel: 'depthwiseInputGrad', tiles: ceil(x.rows, perTile), args: argsOf({ x, filter, y, attrs, perTile }),
      label: 'depthwiseConv2dInputGrad',
    }];
  },
};

/** How many rows of dy a run sums, and how many runs there are: from shapes alone. */
function runsOf(dy: TensorType): { rows: number; runs: number } {
  const rows = dy.shape[0] * dy.shape[1];
  const wanted = Math.max(1, Math.min(rows, MOST_RUNS, Math.floor(sizeOf(dy.shape) / RUN)));
  const perRun = Math.max(1, ceil(rows, wanted));
  return { rows: perRun, runs: Math.max(1, ceil(rows, perRun)) };
}

export const depthwiseFilterGradLowering: Lowering<ConvAttrs & { readonly filterShape: Shape }, CpuLaunch> = {
  scratch([, dy], _outputs, { filterShape }) {
    const { runs } = runsOf(dy);
    return runs > 1 ? [runs * sizeOf(filterShape) * 4] : [];
  },
  launches({ attrs, inputs: [x, y], outputs: [filter], scratch: [partials] }) {
    const { rows, runs } = runsOf(y);
    const launches: CpuLaunch[] = [{
      kernel: 'depthwiseFilterGrad', tiles: runs * filter.rows,
      args: argsOf({ x, filter, y, partials, attrs, perTile: rows }),
      label: 'depthwiseConv2dFilterGrad',
    }];
    if (runs > 1) launches.push(sumPartials(partials, runs, sizeOf(filter.shape) * 4, filter));
    return launches;
  },
};
