/** Convolutions 3x3 of stride 1 by minimal filtering, kernels/wasm/winograd.ts: where it pays, which follows from shapes alone. */
import type { CpuLaunch, Placed, Scratch } from '../../device/types.ts';
import { SCRATCH_BYTES } from '../../device/cpu/layout.ts';
import type { ConvAttrs } from '../support/conv.ts';
import type { ConvWork } from '../support/winograd.ts';
import { filtersBeforeStatistics, minimalWork } from '../support/winograd.ts';

const NR = 8;
const MR = 4;
const RELU = 2;
const ENOUGH_TILES = 24;
/** Channels on either side below which register tiles are too short to pay. */
const LEAST_CHANNELS = 16;

/** A tile of minimal filtering: `size` x `size` outputs by `planes` multiplications. */
interface Tile {
  readonly size: number;
  /** The kernels that transform filters, and do all else. */
  readonly filterKernel: string;
  readonly kernel: string;
  readonly planes: number;
  /** Measured cycles of transforming a block's channel on its way in and out, and a filter's values. */
  readonly blockCycles: number;
  readonly filterCycles: number;
  /** Bytes of scratch before the table, blocks of a launch's tile at most, and bytes that its transformed inputs should keep to. */
  readonly fixedBytes: number;
  readonly mostBlocks: number;
  readonly inputBytes: number;
}

/** F(4x4, 3x3), kernels/wasm/winograd.ts. */
const large: Tile = {
  size: 4, filterKernel: 'winogradFilter', kernel: 'winograd', planes: 36, blockCycles: 30, filterCycles: 50,
  fixedBytes: 16384 + 256 + 1024, mostBlocks: 24, inputBytes: 512 * 1024,
};
/** F(2x2, 3x3), kernels/wasm/winograd-small.ts: little more rounding than a direct convolution has. */
const small: Tile = {
  size: 2, filterKernel: 'winogradSmallFilter', kernel: 'winogradSmall', planes: 16, blockCycles: 10, filterCycles: 25,
  fixedBytes: 16384 + 64 + 256, mostBlocks: 64, inputBytes: 256 * 1024,
};

/** Whether minimal filtering is cheaper: a register tile does some 7 multiplications and additions a cycle. */
function pays({ planes, blockCycles, filterCycles }: Tile, blocks: number, pixels: number, c: number, k: number): boolean {
  const minimal = blocks * ((1.15 * planes * c * k) / 7 + blockCycles * (c + k)) + filterCycles * c * k;
  return minimal < (0.85 * 9 * pixels * c * k) / 7;
}

const ceil = (a: number, b: number): number => Math.ceil(a / b);

interface Sizes {
  /** Of the image that is read: x, or dy for the gradient. */
  readonly input: readonly number[];
  /** Of the image that is written. */
  readonly output: readonly number[];
  /** KRSC. */
  readonly filter: readonly number[];
  readonly attrs: ConvAttrs;
}

/** How a convolution is cut, or undefined where it is better done directly. */
function plan({ input, output, filter, attrs: { stride, dilation } }: Sizes, tile: Tile) {
  const { size, planes, fixedBytes, mostBlocks, inputBytes } = tile;
  const [, r, s] = filter;
  const [n, h, w, k] = output;
  const c = input[3];
  if (r !== 3 || s !== 3 || stride[0] !== 1 || stride[1] !== 1 || dilation[0] !== 1 || dilation[1] !== 1) return undefined;
  if (c % 4 !== 0 || k % 4 !== 0 || c < LEAST_CHANNELS || k < LEAST_CHANNELS || c > 4096) return undefined;
  const down = ceil(h, size);
  const across = ceil(w, size);
  const all = n * down * across;
  if (!pays(tile, all, n * h * w, c, k)) return undefined;
  const perBlock = planes * (c * 4 + 128) + planes * 8;
  const fits = Math.floor((SCRATCH_BYTES - fixedBytes - 2 * planes * 64 - planes * 32) / perBlock);
  let blocks = Math.min(mostBlocks, fits, Math.max(MR, Math.floor(inputBytes / (planes * c * 4))));
  blocks = Math.floor(blocks / MR) * MR;
  if (blocks < MR) return undefined;
  while (blocks > 8 && ceil(all, blocks) < ENOUGH_TILES) blocks -= MR;
  const blockTiles = ceil(all, blocks);
  const panels = ceil(k, NR);
  let columnTiles = 1;
  while (blockTiles * columnTiles < ENOUGH_TILES && ceil(panels, columnTiles + 1) >= 8) columnTiles++;
  const panelsPerTile = ceil(ceil(panels, columnTiles), 4) * 4;
  return {
    all, down, across, blocks, blockTiles, panelsPerTile, columnTiles: ceil(panels, panelsPerTile), panels,
    plane: panels * NR * c * 4 + 64, c, k,
  };
}

/** Bytes of the transformed filters, or undefined where the convolution is not done in this way. */
export function winogradBytes(sizes: Sizes): number | undefined {
  const cut = plan(sizes, large);
  return cut && large.planes * cut.plane;
}

const smallPlan = (sizes: Sizes) => (filtersBeforeStatistics(sizes.output) ? plan(sizes, small) : undefined);

/** Bytes of the transformed filters by the smaller tile. */
export function smallWinogradBytes(sizes: Sizes): number | undefined {
  const cut = smallPlan(sizes);
  return cut && small.planes * cut.plane;
}

/** Method and FLOP of a convolution or input gradient, or undefined where it is done directly. */
export function winogradWork(sizes: Sizes): ConvWork | undefined {
  const cut = plan(sizes, large);
  return cut && minimalWork(large.size, cut.all, cut.c, cut.k);
}

/** The same by the smaller tile. */
export function smallWinogradWork(sizes: Sizes): ConvWork | undefined {
  const cut = smallPlan(sizes);
  return cut && minimalWork(small.size, cut.all, cut.c, cut.k);
}

/** The same of a filter gradient. */
export function winogradFilterGradWork(
  x: readonly number[], dy: readonly number[], filter: readonly number[], attrs: ConvAttrs,
): ConvWork | undefined {
  const cut = filterGradPlan(x, dy, filter, attrs);
  return cut && minimalWork(large.size, cut.all, filter[3], filter[0]);
}

interface WinogradParts {
  readonly input: Placed;
  readonly filter: Placed;
  readonly bias?: Placed;
  readonly output: Placed;
  readonly scratch: Scratch;
  readonly attrs: ConvAttrs;
  readonly relu?: boolean;
  /** The gradient by the input: dy to dx. */
  readonly gradient: boolean;
}

/** Only for convolutions for which `winogradBytes` gives a number. */
export const winogradLaunches = (parts: WinogradParts): CpuLaunch[] => launches(large, parts);

/** By the smaller tile, forward and without ReLU: only for convolutions for which `smallWinogradBytes` gives a number. */
export const smallWinogradLaunches = (parts: Omit<WinogradParts, 'relu' | 'gradient'>): CpuLaunch[] => launches(small, { ...parts, gradient: false });

function launches(tile: Tile, { input, filter, bias, output, scratch, attrs, relu, gradient }: WinogradParts): CpuLaunch[] {
  const cut = plan({ input: input.shape, output: output.shape, filter: filter.shape, attrs }, tile)!;
  const [filters, , , channels] = filter.shape;
  const [top, , left] = attrs.padding;
  const label = gradient ? 'conv2dInputGrad' : 'conv2d';
  return [
    {
      kernel: tile.filterKernel,
      tiles: cut.panels,
      args: [{ address: filter }, { address: scratch }, filters, channels, filter.stride * 4, gradient ? 1 : 0, cut.plane],
      label: `${label}: transform filter`,
    },
    {
      kernel: tile.kernel,
      tiles: cut.blockTiles * cut.columnTiles,
      args: [
        { address: input }, { address: scratch }, bias ? { address: bias } : 0, { address: output }, cut.all, cut.down, cut.across,
        input.shape[1], input.shape[2], output.shape[1], output.shape[2], cut.c, cut.k, gradient ? 2 - top : top,
        gradient ? 2 - left : left, input.stride * 4, output.stride * 4, cut.blocks, cut.panelsPerTile, cut.columnTiles,
        relu ? RELU : 0, cut.plane,
      ],
      label,
    },
  ];
}

const DEPTH = 32;
const MOST_K = 64;
const MOST_C = 32;
/** Bytes of partial sums of all splits together, at most. */
const PARTIAL_BYTES = 16 * 1024 * 1024;

function filterGradPlan(x: readonly number[], dy: readonly number[], filter: readonly number[], attrs: ConvAttrs) {
  const [k, r, s, c] = filter;
  const { stride, dilation } = attrs;
  if (r !== 3 || s !== 3 || stride[0] !== 1 || stride[1] !== 1 || dilation[0] !== 1 || dilation[1] !== 1) return undefined;
  if (c % 4 !== 0 || k % 4 !== 0 || c < LEAST_CHANNELS || k < LEAST_CHANNELS) return undefined;
  const [n, p, q] = dy;
  const down = ceil(p, 4);
  const across = ceil(q, 4);
  const all = n * down * across;
  if (!pays(large, all, n * p * q, c, k)) return undefined;
  const kPerTile = ceil(ceil(k, ceil(k, MOST_K)), 12) * 12;
  const cPerTile = ceil(ceil(c, ceil(c, MOST_C)), NR) * NR;
  const kTiles = ceil(k, kPerTile);
  const cTiles = ceil(c, cPerTile);
  const bytes = k * 9 * c * 4;
  const wanted = ceil(ENOUGH_TILES, kTiles * cTiles);
  const possible = Math.max(1, Math.min(Math.floor(all / (2 * DEPTH)), Math.floor(PARTIAL_BYTES / bytes)));
  const perSplit = ceil(ceil(all, Math.min(wanted, possible)), DEPTH) * DEPTH;
  return { all, down, across, kPerTile, kTiles, cPerTile, cTiles, bytes, perSplit, splits: ceil(all, perSplit) };
}

/** Splits and bytes of partial sums of a filter gradient, or undefined where it is not done in this way. */
export function winogradSplits(
  x: readonly number[], dy: readonly number[], filter: readonly number[], attrs: ConvAttrs,
): { splits: number; bytes: number } | undefined {
  return filterGradPlan(x, dy, filter, attrs);
}

/** The launch that writes `splits` partial sums to scratch, or the one there is to `out`. */
export function winogradFilterGrad(
  x: Placed, dy: Placed, out: Placed, partials: Scratch | undefined, attrs: ConvAttrs & { readonly filterShape: readonly number[] },
): CpuLaunch {
  const cut = filterGradPlan(x.shape, dy.shape, attrs.filterShape, attrs)!;
  const [k, , , c] = attrs.filterShape;
  const split = cut.splits > 1;
  return {
    kernel: 'winogradFilterGrad',
    tiles: cut.splits * cut.kTiles * cut.cTiles,
    args: [
      { address: x }, { address: dy }, { address: split ? partials! : out }, cut.all, cut.down, cut.across, x.shape[1], x.shape[2],
      dy.shape[1], dy.shape[2], c, k, attrs.padding[0], attrs.padding[2], x.stride * 4, dy.stride * 4, cut.perSplit, cut.kPerTile,
      cut.kTiles, cut.cPerTile, cut.cTiles, (split ? c : out.stride) * 4, split ? cut.bytes : 0,
    ],
    label: 'conv2dFilterGrad',
  };
}
