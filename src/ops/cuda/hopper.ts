/** Hopper's rung of the ladder: launches of kernels/cuda/gemm_hopper.cu and conv_hopper.cu. Taken only where asked for: no GPU has run it yet. */
import type { CudaLaunch, GpuFeatures, Placed, TensorType } from '../../device/types.ts';
import { isHalfType, isVectorizable } from '../../device/types.ts';
import { at, storageType } from '../../device/cuda/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';

/** Terms of a panel, 128 bytes of them; columns of a tile; bytes of shared memory that a ring of panels may fill. */
const STEPS = 64;
const COLUMNS = 128;
const RING_BYTES = 196608;

/** Rows of a tile: 64 or 128 for each of the two consumers. */
const tileRows = [256, 128] as const;

/** Whether products of these types go this way, if their values lie so that the copy engine reads them. */
export function takesHopper(operands: readonly TensorType[], features: GpuFeatures | undefined): boolean {
  const gpu = features?.cuda;
  return gpu?.capability === 90 && gpu.rung === 'hopper' && operands.every(({ dtype }) => isHalfType(dtype) && dtype === operands[0].dtype);
}

/** Whether the copy engine reads a value: 16 bytes and multiples of them. */
const copyable = (v: Placed): boolean => isVectorizable(v, 8);

function form(rows: number, columns: number, processors: number): Pick<CudaLaunch, 'grid' | 'block' | 'shared'> & { tile: number; stages: number } {
  const tilesOf = (tile: number): number => Math.ceil(rows / tile) * Math.ceil(columns / COLUMNS);
  const time = (tile: number): number => Math.ceil(tilesOf(tile) / processors) * tile;
  const tile = tileRows.reduce<number>((best, t) => (time(t) < time(best) ? t : best), tileRows[0]);
  const panel = (tile + COLUMNS) * STEPS * 2;
  const stages = Math.floor(RING_BYTES / panel);
  // Panels begin at a multiple of 1024 bytes; two barriers of 8 bytes for each stand behind them.
  return { tile, stages, grid: [Math.min(tilesOf(tile), processors), 1, 1], block: 384, shared: 1024 + stages * (panel + 16) };
}

function launch(
  kernel: string, [left, y]: readonly [Placed, Placed], { tile, stages, grid, block, shared = 0 }: ReturnType<typeof form>,
  args: CudaLaunch['args'], label: string,
): CudaLaunch {
  return {
    kernel, grid, block, shared, args, label,
    define: {
      XT: storageType(left), YT: storageType(y), ROWS: tile, COLUMNS, STEPS, STAGES: stages, THREADS: block, ALIGNED: isVectorizable(y, 2) ? 1 : 0,
    },
  };
}

interface Options {
  readonly bias?: Placed | undefined;
  readonly relu?: boolean;
  readonly features: GpuFeatures;
  readonly label: string;
}

/** y = left right^T of matrices that lie by rows; undefined where the copy engine cannot read them. */
export function hopperGemm(
  left: Placed, right: Placed, y: Placed, { rows, columns, depth }: { rows: number; columns: number; depth: number },
  { bias, relu = false, features, label }: Options,
): CudaLaunch | undefined {
  if (depth === 0 || !copyable(left) || !copyable(right)) return undefined;
  const f = form(rows, columns, features.cuda!.multiprocessors);
  const map = (value: Placed, lines: number, box: number) =>
    ({ tensorMap: { value, lengths: [depth, lines], strides: [2 * value.stride], box: [STEPS, box] } });
  return launch('gemm_hopper', [left, y], f,
    [map(left, rows, f.tile), map(right, columns, COLUMNS), at(bias ?? y), at(y), rows, columns, depth, y.stride, bias ? 1 : 0, relu ? 1 : 0], label);
}

/** A convolution with stride 1; undefined for others, and where the copy engine cannot read it. */
export function hopperConv(
  x: Placed, w: Placed, y: Placed, { stride, padding, dilation }: ConvAttrs, { bias, relu = false, features, label }: Options,
): CudaLaunch | undefined {
  const [n, inH, inW, channels] = x.shape;
  const [, outH, outW, filters] = y.shape;
  const [, r, s] = w.shape;
  const [top, bottom, left, right] = padding;
  const spans = [(s - 1) * dilation[1], (r - 1) * dilation[0]] as const;
  // Places and offsets of windows are signed and unsigned bytes.
  const small = [...padding, ...spans].every((d) => d < 128);
  if (stride.some((d) => d !== 1) || !small || !copyable(x) || !copyable(w)) return undefined;
  const f = form(n * outH * outW, filters, features.cuda!.multiprocessors);
  const row = 2 * x.stride;
  return launch('conv_hopper', [x, y], f, [
    {
      tensorMap: {
        value: x, lengths: [channels, inW, inH, n], strides: [row, inW * row, inH * inW * row],
        windows: { lower: [-left, -top], upper: [right - spans[0], bottom - spans[1]], channels: STEPS, pixels: f.tile },
      },
    },
    { tensorMap: { value: w, lengths: [channels, r * s, filters], strides: [2 * w.stride, 2 * r * s * w.stride], box: [STEPS, 1, COLUMNS] } },
    at(bias ?? y), at(y), n, outH, outW, channels, filters, r, s, top, left, ...dilation, y.stride, bias ? 1 : 0, relu ? 1 : 0,
  ], label);
}
