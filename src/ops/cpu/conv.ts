/**
 * Lowerings of convolution and its gradients to the WASM kernels of kernels/wasm/conv.ts and conv-filter.ts. All numbers here
 * follow from shapes, never from the number of threads, so that results do not either.
 */
import { DeviceError } from '../../errors.ts';
import type { CpuArg, CpuLaunch, Lowering, Placed, Scratch, TensorType } from '../../device/types.ts';
import { isContiguous } from '../../device/types.ts';
import type { ConvAttrs } from '../support/conv.ts';
import {
  smallWinogradBytes, smallWinogradLaunches, smallWinogradWork, winogradBytes, winogradFilterGrad, winogradFilterGradWork, winogradLaunches,
  winogradSplits, winogradWork,
} from './winograd.ts';

/** Columns of a panel, rows of a register tile: kernels/wasm/lib/gemm.ts. */
const NR = 8;
const MR = 4;
/** Launches with fewer tiles leave threads idle: tiles shrink until there are this many. */
const ENOUGH_TILES = 32;
/** Channels below which rows are gathered. */
const FEW_CHANNELS = 8;
/** Bytes of a thread's scratch that are left for gathered rows or scattered results, and for the table. */
const GATHER_BYTES = 700 * 1024;
const TABLE_BYTES = 256 * 1024;
const MOST_CHANNELS = 8192;
/** Bytes of a run (a tap of a group of rows) in the table, and how many fit. */
const RUN_BYTES = 32;
const MOST_TAPS = TABLE_BYTES / RUN_BYTES;
const RELU = 2;

const ceil = (a: number, b: number): number => Math.ceil(a / b);

/** Bytes of a right-hand factor packed into panels. */
export function panelBytes(columns: number, depth: number): number {
  return ceil(columns, NR) * NR * depth * 4;
}

interface Tiling {
  readonly rowsPerTile: number;
  readonly rowTiles: number;
  readonly panelsPerTile: number;
  readonly columnTiles: number;
}

/** Cuts `rows` x `columns` results into tiles of at most `mostRows` rows: large ones reuse more, small ones balance threads. */
export function tiling(rows: number, columns: number, mostRows: number): Tiling {
  const panels = ceil(columns, NR);
  let rowsPerTile = Math.max(MR, Math.floor(Math.min(mostRows, 96) / MR) * MR);
  while (rowsPerTile > 24 && ceil(rows, rowsPerTile) < ENOUGH_TILES) rowsPerTile = Math.max(24, rowsPerTile - 12);
  const rowTiles = Math.max(1, ceil(rows, rowsPerTile));
  let columnTiles = 1;
  while (rowTiles * columnTiles < ENOUGH_TILES && ceil(panels, columnTiles + 1) >= 4) columnTiles++;
  const panelsPerTile = ceil(panels, columnTiles);
  return { rowsPerTile, rowTiles, panelsPerTile, columnTiles: ceil(panels, panelsPerTile) };
}

interface Geometry {
  readonly x: readonly number[];
  readonly filter: readonly number[];
  readonly y: readonly number[];
  readonly attrs: ConvAttrs;
}

function checkSizes(op: string, channels: number, taps: number): void {
  if (channels > MOST_CHANNELS) throw new DeviceError(`${op}: ${channels} channels, the cpu device takes at most ${MOST_CHANNELS}`);
  if (taps > MOST_TAPS) throw new DeviceError(`${op}: filters of ${taps} taps, the cpu device takes at most ${MOST_TAPS}`);
}

/** Words 5 to 18 of the forward kernel, the order in which all three have their geometry. */
function windowArgs({ stride, padding, dilation }: ConvAttrs): number[] {
  return [stride[0], stride[1], padding[0], padding[2], dilation[0], dilation[1]];
}

const floatBytes = 4;

/** Whether rows are gathered, and the tiles, of a forward convolution. */
function forwardPlan({ filter, y }: Geometry): Tiling & { gather: boolean } {
  const [k, r, s, c] = filter;
  const taps = r * s;
  const depth = taps * c;
  const gatheredRows = Math.floor(GATHER_BYTES / (depth * floatBytes));
  const gather = c < FEW_CHANNELS && taps > 1 && gatheredRows >= 12;
  const most = gather ? gatheredRows : Math.floor(TABLE_BYTES / (taps * RUN_BYTES)) * MR;
  return { gather, ...tiling(y[0] * y[1] * y[2], k, most) };
}

interface ForwardParts {
  readonly x: Placed;
  readonly filter: Placed;
  readonly bias: Placed | undefined;
  readonly y: Placed;
  readonly panels: Scratch;
  readonly stats?: Scratch;
  readonly attrs: ConvAttrs;
  readonly relu: boolean;
}

function packFilter(filter: Placed, panels: Scratch): CpuLaunch {
  const [k, r, s, c] = filter.shape;
  const joined = isContiguous(filter);
  return {
    kernel: 'packRows',
    tiles: ceil(k, NR),
    args: [
      { address: filter }, { address: panels }, k, joined ? 1 : r * s, joined ? r * s * c : c, r * s * filter.stride * floatBytes,
      filter.stride * floatBytes,
    ],
    label: 'conv2d: pack filter',
  };
}

function forwardLaunches({ x, filter, bias, y, panels, stats, attrs, relu }: ForwardParts): CpuLaunch[] {
  const geometry: Geometry = { x: x.shape, filter: filter.shape, y: y.shape, attrs };
  const [, h, w] = x.shape;
  const [n, p, q] = y.shape;
  const [k, r, s, c] = filter.shape;
  const plan = forwardPlan(geometry);
  checkSizes('conv2d', c, plan.gather ? 1 : r * s);
  const args: CpuArg[] = [
    { address: x }, { address: panels }, bias ? { address: bias } : 0, { address: y }, n * p * q, p, q, h, w, c, k, r, s,
    ...windowArgs(attrs), x.stride * floatBytes, y.stride * floatBytes, plan.rowsPerTile, plan.panelsPerTile, plan.columnTiles,
    relu ? RELU : 0, plan.gather ? 1 : 0, stats ? { address: stats } : 0,
  ];
  return [
    packFilter(filter, panels),
    { kernel: 'convForward', tiles: plan.rowTiles * plan.columnTiles, args, label: 'conv2d' },
  ];
}

/** Bytes of the filter as the kernels read it. */
function filterBytes(x: TensorType, filter: TensorType, y: TensorType, attrs: ConvAttrs): number {
  const [k, r, s, c] = filter.shape;
  return winogradBytes({ input: x.shape, output: y.shape, filter: filter.shape, attrs }) ?? panelBytes(k, r * s * c);
}

function usesWinograd(x: TensorType, filter: TensorType, y: TensorType, attrs: ConvAttrs): boolean {
  return winogradBytes({ input: x.shape, output: y.shape, filter: filter.shape, attrs }) !== undefined;
}

export const conv2dLowering: Lowering<ConvAttrs & { readonly activation: string }, CpuLaunch> = {
  scratch: ([x, filter], [y], attrs) => [filterBytes(x, filter, y, attrs)],
  work: ([x, filter], [y], attrs) => winogradWork({ input: x.shape, output: y.shape, filter: filter.shape, attrs }),
  launches({ attrs, inputs: [x, filter, bias], outputs: [y], scratch: [panels] }) {
    const relu = attrs.activation === 'relu';
    return usesWinograd(x, filter, y, attrs)
      ? winogradLaunches({ input: x, filter, bias, output: y, scratch: panels, attrs, relu, gradient: false })
      : forwardLaunches({ x, filter, bias, y, panels, attrs, relu });
  },
};

/**
 * Direct, or by the smaller tile of minimal filtering. Ahead of a batch normalization and ReLU in training, the rounding of F(4x4, 3x3)
 * flips so many ReLUs at zero that gradients of Inception-BN leave the rule for networks (docs/rejected.md); forward alone, and
 * gradients, have no kinks.
 */
export const conv2dStatsLowering: Lowering<ConvAttrs, CpuLaunch> = {
  scratch([x, filter], [y], attrs) {
    const [k, r, s, c] = filter.shape;
    const sizes = { input: x.shape, output: y.shape, filter: filter.shape, attrs };
    const small = smallWinogradBytes(sizes);
    const rows = y.shape[0] * y.shape[1] * y.shape[2];
    const parts = small ? ceil(rows, sumRows(rows, k)) : forwardPlan({ x: x.shape, filter: filter.shape, y: y.shape, attrs }).rowTiles;
    return [small ?? panelBytes(k, r * s * c), parts * k * 2 * floatBytes];
  },
  work: ([x, filter], [y], attrs) => smallWinogradWork({ input: x.shape, output: y.shape, filter: filter.shape, attrs }),
  launches({ attrs, inputs: [x, filter, bias], outputs: [y, mean, variance], scratch: [panels, stats] }) {
    if (smallWinogradBytes({ input: x.shape, output: y.shape, filter: filter.shape, attrs }) !== undefined) {
      const perTile = sumRows(y.rows, y.channels);
      return [
        ...smallWinogradLaunches({ input: x, filter, bias, output: y, scratch: panels, attrs }),
        tileMoments(y, stats, perTile),
        combineMoments(stats, y.rows, perTile, y.channels, mean, variance),
      ];
    }
    const { rowsPerTile } = forwardPlan({ x: x.shape, filter: filter.shape, y: y.shape, attrs });
    return [
      ...forwardLaunches({ x, filter, bias, y, panels, stats, attrs, relu: false }),
      combineMoments(stats, y.rows, rowsPerTile, y.channels, mean, variance),
    ];
  },
};

/** Rows of a tile of a sum over rows: enough tiles to balance threads, few enough that joining them costs nothing. */
export function sumRows(rows: number, channels: number): number {
  const most = Math.max(16, Math.floor(16384 / channels));
  return Math.max(16, Math.min(most, ceil(rows, 16)), ceil(rows, 512));
}

/** Moments of every tile of rows. */
export function tileMoments(x: Placed, stats: Scratch, perTile: number): CpuLaunch {
  return {
    kernel: 'moments',
    tiles: ceil(x.rows, perTile),
    args: [{ address: x }, { address: stats }, x.rows, x.channels, x.stride * floatBytes, perTile],
    label: 'moments',
  };
}

/** Joins the moments of tiles of rows into the mean and variance of all. */
export function combineMoments(
  stats: Scratch, rows: number, rowsPerTile: number, channels: number, mean: Placed, variance: Placed,
): CpuLaunch {
  const perTile = 32;
  return {
    kernel: 'batchMoments',
    tiles: ceil(channels, perTile),
    args: [{ address: stats }, { address: mean }, { address: variance }, rows, rowsPerTile, channels, perTile],
    label: 'batch moments',
  };
}

type InputGradAttrs = ConvAttrs & { readonly inputShape: readonly number[] };

export const conv2dInputGradLowering: Lowering<InputGradAttrs, CpuLaunch> = {
  scratch([dy, filter], [dx], attrs) {
    const [k, r, s, c] = filter.shape;
    return [winogradBytes({ input: dy.shape, output: dx.shape, filter: filter.shape, attrs }) ?? panelBytes(c, r * s * k)];
  },
  work: ([dy, filter], [dx], attrs) => winogradWork({ input: dy.shape, output: dx.shape, filter: filter.shape, attrs }),
  launches({ attrs, inputs: [dy, filter], outputs: [dx], scratch: [panels] }) {
    if (usesWinograd(dy, filter, dx, attrs)) {
      return winogradLaunches({ input: dy, filter, output: dx, scratch: panels, attrs, gradient: true });
    }
    const [n, h, w, c] = dx.shape;
    const [, p, q] = dy.shape;
    const [k, r, s] = filter.shape;
    const [sh, sw] = attrs.stride;
    // Strided, results are scattered from scratch, which a group of rows of them must fit.
    checkSizes('conv2dInputGrad', sh * sw > 1 ? Math.max(k, c) : k, r * s);
    const taps = r * s;
    // rows of a phase, of the largest
    const phaseRows = n * ceil(h, sh) * ceil(w, sw);
    const scattered = sh * sw > 1 ? Math.floor(GATHER_BYTES / (ceil(c, NR) * NR * floatBytes)) : Infinity;
    const most = Math.min(scattered, Math.floor(TABLE_BYTES / (taps * RUN_BYTES)) * MR);
    const plan = tiling(phaseRows, c, most);
    const tap = filter.stride * floatBytes;
    const args: CpuArg[] = [
      { address: dy }, { address: panels }, 0, { address: dx }, n * h * w, h, w, p, q, k, c, r, s, ...windowArgs(attrs),
      dy.stride * floatBytes, dx.stride * floatBytes, plan.rowsPerTile, plan.panelsPerTile, plan.columnTiles, 0, 0, 0, plan.rowTiles,
    ];
    return [
      {
        kernel: 'packColumns',
        tiles: ceil(c, NR),
        args: [{ address: filter }, { address: panels }, c, taps, k, tap, taps * tap],
        label: 'conv2dInputGrad: pack filter',
      },
      { kernel: 'convInputGrad', tiles: sh * sw * plan.rowTiles * plan.columnTiles, args, label: 'conv2dInputGrad' },
    ];
  },
};

/** Pixels of one block: kernels/wasm/conv-filter.ts. */
const DEPTH = 128;
/** Channels of dy of a tile: a multiple of the rows that two register tiles have. */
const MOST_K = 192;
const MOST_PARTIAL_BYTES = 16 * 1024 * 1024;

function filterPlan(x: TensorType, dy: TensorType, filterShape: readonly number[]) {
  const [k, r, s, c] = filterShape;
  const rows = dy.shape[0] * dy.shape[1] * dy.shape[2];
  const taps = r * s;
  const gatherUnits = ceil(taps * c, NR);
  const gather = c < FEW_CHANNELS && taps > 1 && gatherUnits <= 24;
  const kPerTile = Math.min(MOST_K, ceil(k, 12) * 12);
  const kTiles = ceil(k, kPerTile);
  const unitCount = gather ? gatherUnits : taps * ceil(c, NR);
  const unitsPerTile = gather ? gatherUnits : Math.min(8, unitCount);
  const unitTiles = ceil(unitCount, unitsPerTile);
  const bytes = k * taps * c * floatBytes;
  // enough tiles to balance threads, each split at least two blocks long, partial sums of bounded size
  const wanted = ceil(ENOUGH_TILES, unitTiles * kTiles);
  const possible = Math.max(1, Math.min(Math.floor(rows / (2 * DEPTH)), Math.floor(MOST_PARTIAL_BYTES / bytes)));
  const rowsPerSplit = Math.max(DEPTH, ceil(ceil(rows, Math.min(wanted, possible)), DEPTH) * DEPTH);
  const splits = Math.max(1, ceil(rows, rowsPerSplit));
  return { rows, gather, kPerTile, kTiles, unitsPerTile, unitTiles, bytes, rowsPerSplit, splits };
}

type FilterGradAttrs = ConvAttrs & { readonly filterShape: readonly number[] };

export const conv2dFilterGradLowering: Lowering<FilterGradAttrs, CpuLaunch> = {
  scratch([x, dy], _outputs, attrs) {
    const { splits, bytes } = winogradSplits(x.shape, dy.shape, attrs.filterShape, attrs) ?? filterPlan(x, dy, attrs.filterShape);
    return splits > 1 ? [splits * bytes] : [];
  },
  work: ([x, dy], _outputs, attrs) => winogradFilterGradWork(x.shape, dy.shape, attrs.filterShape, attrs),
  launches({ attrs, inputs: [x, dy], outputs: [out], scratch: [partials] }) {
    const fast = winogradSplits(x.shape, dy.shape, attrs.filterShape, attrs);
    if (fast) {
      const launch = winogradFilterGrad(x, dy, out, partials, attrs);
      return fast.splits > 1 ? [launch, sumPartials(partials, fast.splits, fast.bytes, out)] : [launch];
    }
    const plan = filterPlan(x, dy, attrs.filterShape);
    const [, h, w, c] = x.shape;
    const [, p, q, k] = dy.shape;
    const [, r, s] = attrs.filterShape;
    const split = plan.splits > 1;
    const args: CpuArg[] = [
      { address: x }, { address: dy }, { address: split ? partials : out }, plan.rows, p, q, h, w, c, k, r, s, ...windowArgs(attrs),
      x.stride * floatBytes, dy.stride * floatBytes, plan.rowsPerSplit, plan.unitsPerTile, plan.unitTiles, plan.kPerTile,
      plan.kTiles, plan.gather ? 1 : 0, (split ? c : out.stride) * floatBytes, split ? plan.bytes : 0,
    ];
    const launches: CpuLaunch[] = [{
      kernel: 'convFilterGrad', tiles: plan.splits * plan.unitTiles * plan.kTiles, args, label: 'conv2dFilterGrad',
    }];
    if (split) launches.push(sumPartials(partials, plan.splits, plan.bytes, out));
    return launches;
  },
};

/** Adds `parts` contiguous partial results in order. */
export function sumPartials(partials: Scratch, parts: number, partStride: number, out: Placed): CpuLaunch {
  const joined = isContiguous(out);
  const size = out.rows * out.channels;
  // a contiguous result is cut anywhere
  const length = joined ? Math.min(size, 1024) : out.channels;
  const rows = joined ? ceil(size, length) : out.rows;
  const perTile = Math.max(1, Math.floor(2048 / length));
  return {
    kernel: 'sumPartials',
    tiles: ceil(rows, perTile),
    args: [
      { address: partials }, { address: out }, parts, partStride, rows, length, length * floatBytes,
      (joined ? length : out.stride) * floatBytes, perTile, size,
    ],
    label: 'sum partials',
  };
}
