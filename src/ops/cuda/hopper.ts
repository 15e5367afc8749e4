/**
 * Hopper's rung of the ladder: launches of kernels/cuda/gemm_hopper.cu, conv_hopper.cu and conv_filter_hopper.cu. Taken only where asked for: no
 * GPU has run it yet.
 */
import type { CudaArg, CudaLaunch, GpuFeatures, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import { isHalfType, isVectorizable, sizeOf } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { sumRuns } from './gemm.ts';
import type { Extent, Operand } from './tiles.ts';
import { PROCESSORS, runsOf } from './tiles.ts';

/** Terms of a panel, 128 bytes of them; columns of a tile; bytes of shared memory that a ring of panels may fill. */
const STEPS = 64;
const COLUMNS = 128;
const RING_BYTES = 196608;

/** Rows of a tile: 64 or 128 for each of the two consumers. */
const tileRows = [256, 128] as const;

/** Bytes of the statistics' sums: 64 threads share a column, whose mean takes another place (storeStatistics in lib/results.cuh). */
const SUMS_BYTES = (64 + 1) * COLUMNS * 4;

/** Lines that a box by steps has, and channels of filters in one unit of a filter gradient's columns. */
const UNIT = 64;

/** Whether products of these types go this way, if their values lie so that the copy engine reads them. */
export function takesHopper(operands: readonly TensorType[], features: GpuFeatures | undefined): boolean {
  const gpu = features?.cuda;
  return gpu?.capability === 90 && gpu.rung === 'hopper' && operands.every(({ dtype }) => isHalfType(dtype) && dtype === operands[0].dtype);
}

/** Whether the copy engine reads a value: 16 bytes and multiples of them. */
const copyable = (v: Placed): boolean => isVectorizable(v, 8);

const tilesOf = ({ rows, columns, count }: Extent, tile: number): number => Math.ceil(rows / tile) * Math.ceil(columns / COLUMNS) * count;

/** Rows of a product's tiles, from its shape alone. */
export function hopperRows(extent: Extent): number {
  const time = (tile: number): number => Math.ceil(tilesOf(extent, tile) / PROCESSORS) * tile;
  return tileRows.reduce<number>((best, t) => (time(t) < time(best) ? t : best), tileRows[0]);
}

/** Runs of whole panels; no more of them than other rungs have, so their scratch memory is enough. Without it a sum is not cut. */
const hopperRuns = (extent: Extent, depth: number, scratch: Scratch | undefined): ReturnType<typeof runsOf> =>
  (scratch === undefined ? { runs: 1, run: depth } : runsOf(extent, depth, STEPS));

/** The launch, and what adds up its runs. */
const summed = (made: CudaLaunch, runs: number, scratch: Scratch | undefined, y: Placed, label: string): CudaLaunch[] =>
  (runs > 1 ? [made, sumRuns(scratch!, runs, y, label)] : [made]);

interface Options {
  readonly bias?: Placed | undefined;
  readonly relu?: boolean;
  /** Where partial statistics of each tile's rows go: 8 bytes a column and tile (hopperRows). */
  readonly statistics?: Scratch | undefined;
  /** Constants by which results are normalized ahead of ReLU; of whole sums. */
  readonly epilogue?: Scratch | undefined;
  readonly features: GpuFeatures;
  readonly label: string;
}

function launch(
  kernel: string, tile: number, extent: Extent, define: Readonly<Record<string, string | number>>, args: CudaLaunch['args'], features: GpuFeatures,
  label: string,
): CudaLaunch {
  const panel = (tile + COLUMNS) * STEPS * 2;
  const stages = Math.floor(RING_BYTES / panel);
  return {
    kernel, args, label, block: 384,
    grid: [Math.min(tilesOf(extent, tile), features.cuda!.multiprocessors), 1, 1],
    // Panels begin at a multiple of 1024 bytes; two barriers of 8 bytes for each stand behind them.
    shared: 1024 + stages * (panel + 16) + (define.STATS === 1 ? SUMS_BYTES : 0),
    define: { ROWS: tile, COLUMNS, STEPS, STAGES: stages, ...define },
  };
}

/** Arguments and macros of a kernel that stores rows of results (storeRows in lib/hopper_product.cuh). */
function stored(x: Placed, y: Placed, { bias, relu = false, statistics, epilogue }: Options) {
  return {
    define: { XT: storageType(x), YT: storageType(y), ALIGNED: isVectorizable(y, 2) ? 1 : 0, STATS: statistics ? 1 : 0, ...(epilogue && { NORM: 1 }) },
    // What is not there is not touched; its argument is any memory.
    places: [at(bias ?? y), at(y), at(statistics ?? y), at(epilogue ?? y)],
    flags: [bias ? 1 : 0, relu ? 1 : 0],
  };
}

/** A matrix [lines][depth], or by steps [depth][lines], of which `tile` lines are read at a time. */
function matrixMap({ value, byRows }: Operand, lines: number, depth: number, tile: number): CudaArg {
  const lengths = byRows ? [depth, lines] : [lines, depth];
  return { tensorMap: { value, lengths, strides: [2 * value.stride], box: byRows ? [STEPS, tile] : [UNIT, STEPS] } };
}

/**
 * y = left right of matrices; undefined where the copy engine cannot read them.
 *
 * @param scratch for the partial results of runs; without it a sum is not cut
 */
export function hopperGemm(
  left: Operand, right: Operand, y: Placed, { rows, columns, depth }: { rows: number; columns: number; depth: number },
  options: Options & { readonly scratch?: Scratch | undefined },
): CudaLaunch[] | undefined {
  if (depth === 0 || !copyable(left.value) || !copyable(right.value)) return undefined;
  const { scratch, features, label } = options;
  const { runs, run } = hopperRuns({ rows, columns, count: 1 }, depth, scratch);
  const extent = { rows, columns, count: runs };
  const tile = hopperRows(extent);
  const { define, places: [bias, to, ...others], flags } = stored(left.value, y, options);
  const cut = runs > 1;
  const made = launch('gemm_hopper', tile, extent, {
    ...define, ...(cut && { YT: 'float', ALIGNED: columns % 2 === 0 ? 1 : 0 }), LEFT_ROWS: left.byRows ? 1 : 0, RIGHT_ROWS: right.byRows ? 1 : 0,
  }, [
    matrixMap(left, rows, depth, tile), matrixMap(right, columns, depth, COLUMNS), bias, cut ? at(scratch!) : to, ...others,
    rows, columns, depth, cut ? columns : y.stride, run, cut ? rows * columns : 0, ...flags,
  ], features, label);
  return summed(made, runs, scratch, y, label);
}

/** Pixels that the first tap of windows sees: from which place on, how far apart, how many. */
interface Axis {
  readonly first: number;
  readonly stride: number;
  readonly count: number;
}

/**
 * A map of windows over x, of `pixels` at a time; undefined where places and offsets are more than the copy engine's signed and unsigned bytes, or
 * strides more than 8.
 *
 * @param offsets of the last tap
 */
function windowMap(x: Placed, [h, w]: readonly [Axis, Axis], offsets: readonly [number, number], pixels: number): CudaArg | undefined {
  const [n, height, width, channels] = x.shape;
  const lower = [w.first, h.first] as const;
  // Past the last window begins none; where it stands is told from the last pixel.
  const last = ({ first, stride, count }: Axis, length: number): number => first + (count - 1) * stride - (length - 1);
  const upper = [last(w, width), last(h, height)] as const;
  if ([...lower, ...upper].some((d) => d < -128 || d > 127) || offsets.some((d) => d > 255) || h.stride > 8 || w.stride > 8) return undefined;
  const row = 2 * x.stride;
  return {
    tensorMap: {
      value: x, lengths: [channels, width, height, n], strides: [row, width * row, height * width * row],
      windows: { lower, upper, channels: STEPS, pixels, strides: [w.stride, h.stride] },
    },
  };
}

/** Windows of a convolution over its input, one for each pixel of its result. */
function windowsOf([, outH, outW]: Shape, { stride, padding }: ConvAttrs): [Axis, Axis] {
  return [{ first: -padding[0], stride: stride[0], count: outH }, { first: -padding[2], stride: stride[1], count: outW }];
}

const spansOf = ([, r, s]: Shape, { dilation }: ConvAttrs): [number, number] => [(r - 1) * dilation[0], (s - 1) * dilation[1]];

/** y over windows of x, as conv_hopper.cu has it. */
function overWindows(
  x: Placed, w: Placed, y: Placed, windows: readonly [Axis, Axis], attrs: ConvAttrs, forward: boolean, options: Options,
): CudaLaunch[] | undefined {
  const [images, outH, outW, columns] = y.shape;
  const [filters, r, s, channels] = w.shape;
  const extent = { rows: images * outH * outW, columns, count: 1 };
  const tile = hopperRows(extent);
  const map = windowMap(x, windows, spansOf(w.shape, attrs), tile);
  if (map === undefined || channels === 0 || !copyable(x) || !copyable(w)) return undefined;
  const { define, places, flags } = stored(x, y, options);
  const [h, v] = windows;
  return [launch('conv_hopper', tile, extent, { ...define, RIGHT_ROWS: forward ? 1 : 0 }, [
    map,
    {
      tensorMap: {
        value: w, lengths: [channels, r * s, filters], strides: [2 * w.stride, 2 * r * s * w.stride],
        box: forward ? [STEPS, 1, COLUMNS] : [UNIT, 1, STEPS],
      },
    },
    ...places, images, outH, outW, x.shape[3], columns, r, s, h.stride, v.stride, h.first, v.first, ...attrs.dilation, y.stride, ...flags,
  ], options.features, options.label)];
}

/** A convolution; undefined where the copy engine cannot read it. */
export function hopperConv(x: Placed, w: Placed, y: Placed, attrs: ConvAttrs, options: Options): CudaLaunch[] | undefined {
  return overWindows(x, w, y, windowsOf(y.shape, attrs), attrs, true, options);
}

/** The gradient of a convolution with stride 1 by its input; undefined for others, and where the copy engine cannot read it. */
export function hopperInputGrad(dy: Placed, w: Placed, dx: Placed, attrs: ConvAttrs, options: Options): CudaLaunch[] | undefined {
  if (attrs.stride.some((d) => d !== 1)) return undefined;
  const [, inH, inW] = dx.shape;
  const [spanH, spanW] = spansOf(w.shape, attrs);
  // Of an input's pixel the last tap sees the first place, and taps before it what follows.
  const windows = [
    { first: attrs.padding[0] - spanH, stride: 1, count: inH }, { first: attrs.padding[2] - spanW, stride: 1, count: inW },
  ] as const;
  return overWindows(dy, w, dx, windows, attrs, false, options);
}

/** The gradient of a convolution by its filters, undefined where the copy engine cannot read it. */
export function hopperFilterGrad(
  x: Placed, dy: Placed, dw: Placed, attrs: ConvAttrs, { scratch, features, label }: Pick<Options, 'features' | 'label'> & { scratch?: Scratch | undefined },
): CudaLaunch[] | undefined {
  const [images, outH, outW] = dy.shape;
  const [filters, r, s, channels] = dw.shape;
  const depth = images * outH * outW;
  const { runs, run } = hopperRuns({ rows: filters, columns: r * s * channels, count: 1 }, depth, scratch);
  const extent = { rows: filters, columns: r * s * Math.ceil(channels / UNIT) * UNIT, count: runs };
  const tile = hopperRows(extent);
  const windows = windowsOf(dy.shape, attrs);
  const map = windowMap(x, windows, spansOf(dw.shape, attrs), STEPS);
  if (map === undefined || !copyable(x) || !copyable(dy)) return undefined;
  const cut = runs > 1;
  const [h, v] = windows;
  const made = launch('conv_filter_hopper', tile, extent, {
    XT: storageType(x), WT: cut ? 'float' : storageType(dw), ALIGNED: cut || isVectorizable(dw, 2) ? 1 : 0,
  }, [
    matrixMap({ value: dy, byRows: false }, filters, depth, tile), map, at(cut ? scratch! : dw),
    images, outH, outW, channels, filters, r, s, h.stride, v.stride, h.first, v.first, ...attrs.dilation, cut ? channels : dw.stride, run,
    cut ? sizeOf(dw.shape) : 0,
  ], features, label);
  return summed(made, runs, scratch, dw, label);
}
