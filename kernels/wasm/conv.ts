/**
 * y[n,p,q,k] = act(bias[k] + sum over r,s,c of x[n, p u + r d - top, q v + s e - left, c] filter[k,r,s,c]), NHWC and KRSC, as an
 * implicit matrix product: rows are output pixels, the depth is (r, s, c), columns are output channels.
 *
 * The filter is packed into panels of 8 output channels by a launch before (pack.ts). A tile of this kernel is a run of output
 * pixels by a run of panels. Rows of the left-hand factor are not gathered: for each pixel and tap the table has the address of C
 * channels of x, or of zeros in the padding (indirect convolution: see lib/gemm.ts). With few channels (a first layer) runs would be
 * too short: there the tile's rows are gathered into scratch first, whole filter rows at a time where x is contiguous.
 *
 * The gradient by x is the same product of dy and the filter seen by its input channels; with a stride, pixels of dx fall into
 * stride x stride phases, each with taps of its own, and a tile holds pixels of one phase.
 *
 * Statistics: for every tile of rows and every channel the mean and the sum of squared deviations, combined by `batchMoments`
 * (norm.ts) in tile order.
 */
import { gatherWindows } from './lib/gather';
import { MR, NR, RUN_BYTES, rowsTimesPanel } from './lib/gemm';
import { tileMoments } from './lib/moments';
import { addr, copyRun, int, min32, zeroRun } from './lib/simd';

/** Layout of a thread's scratch: zeros for the padding, then the table, then gathered rows or results to be scattered. */
const ZERO_BYTES: usize = 32768;
const TABLE_BYTES: usize = 262144;

// Argument words, as in src/ops/cpu/conv.ts.
const X: i32 = 0;
const PANELS: i32 = 1;
const BIAS: i32 = 2;
const Y: i32 = 3;
const ROWS: i32 = 4;
const OUT_H: i32 = 5;
const OUT_W: i32 = 6;
const IN_H: i32 = 7;
const IN_W: i32 = 8;
const IN_C: i32 = 9;
const OUT_C: i32 = 10;
const R: i32 = 11;
const S: i32 = 12;
const STRIDE_H: i32 = 13;
const STRIDE_W: i32 = 14;
const TOP: i32 = 15;
const LEFT: i32 = 16;
const DILATION_H: i32 = 17;
const DILATION_W: i32 = 18;
const X_STRIDE: i32 = 19;
const Y_STRIDE: i32 = 20;
const ROWS_PER_TILE: i32 = 21;
const PANELS_PER_TILE: i32 = 22;
const COLUMN_TILES: i32 = 23;
const FLAGS: i32 = 24;
const GATHER: i32 = 25;
const STATS: i32 = 26;
// of the input gradient alone
const PHASE_TILES: i32 = 27;

/** Products of `rows` table rows (groups of 4, `entries` runs each) with panels; results `stride` bytes apart from `out` on. */
function product(
  table: usize, rows: i32, entries: i32, run: i32, panels: usize, panelBytes: usize, firstPanel: i32, lastPanel: i32,
  columns: i32, bias: usize, out: usize, stride: usize, flags: i32,
): void {
  const groupBytes = (<usize>entries) * RUN_BYTES;
  for (let p = firstPanel; p < lastPanel; p++) {
    const panel = panels + (<usize>p) * panelBytes;
    const column = (<usize>p) << 5;
    const width = min32(NR, columns - p * NR);
    let group = table;
    let c = out + column;
    for (let r = 0; r < rows; r += MR) {
      rowsTimesPanel(
        group, entries, run, panel, bias == 0 ? 0 : bias + column, c, stride, min32(MR, rows - r), width, flags,
      );
      group += groupBytes;
      c += stride * MR;
    }
  }
}

/** Fills the table with the addresses of x for output pixels firstRow.. and every tap. */
function fillTable(args: usize, table: usize, zeros: usize, firstRow: i32, rows: i32): void {
  const outH = int(args, OUT_H), outW = int(args, OUT_W), inH = int(args, IN_H), inW = int(args, IN_W);
  const taps = int(args, R) * int(args, S);
  const xStride = addr(args, X_STRIDE);
  const runBytes = (<usize>int(args, IN_C)) << 5;
  const x = addr(args, X);
  const s = int(args, S), dh = int(args, DILATION_H), dw = int(args, DILATION_W);
  const groups = (rows + MR - 1) / MR;
  for (let g = 0; g < groups; g++) {
    const group = table + (<usize>(g * taps)) * RUN_BYTES;
    for (let i = 0; i < MR; i++) {
      // rows past the last repeat the group's first
      const m = firstRow + g * MR + (g * MR + i < rows ? i : 0);
      const image = m / (outH * outW);
      const pixel = m - image * (outH * outW);
      const oh = pixel / outW;
      const h0 = oh * int(args, STRIDE_H) - int(args, TOP);
      const w0 = (pixel - oh * outW) * int(args, STRIDE_W) - int(args, LEFT);
      let entry = group + ((<usize>(i + 1)) << 2);
      for (let t = 0, h = h0; t < taps; h += dh) {
        const line = x + (<usize>(image * inH + h)) * (<usize>inW) * xStride;
        const inside = <u32>h < <u32>inH;
        for (let j = 0, w = w0; j < s; j++, w += dw, t++) {
          store<usize>(entry, inside && <u32>w < <u32>inW ? line + (<usize>w) * xStride : zeros);
          entry += RUN_BYTES;
        }
      }
    }
    let entry = group, offset: usize = 0;
    for (let t = 0; t < taps; t++) {
      store<usize>(entry, offset);
      entry += RUN_BYTES;
      offset += runBytes;
    }
  }
}

export function convForward(args: usize, tile: i32, scratch: usize): void {
  const columnTiles = int(args, COLUMN_TILES);
  const rowTile = tile / columnTiles;
  const columnTile = tile - rowTile * columnTiles;
  const rowsPerTile = int(args, ROWS_PER_TILE);
  const firstRow = rowTile * rowsPerTile;
  const rows = min32(rowsPerTile, int(args, ROWS) - firstRow);
  const k = int(args, OUT_C), c = int(args, IN_C);
  const taps = int(args, R) * int(args, S);
  const firstPanel = columnTile * int(args, PANELS_PER_TILE);
  const lastPanel = min32(firstPanel + int(args, PANELS_PER_TILE), (k + NR - 1) / NR);
  const panelBytes = (<usize>(taps * c)) << 5;
  const yStride = addr(args, Y_STRIDE);
  const y = addr(args, Y) + (<usize>firstRow) * yStride;
  const table = scratch + ZERO_BYTES;
  if (int(args, GATHER)) {
    const gathered = table + TABLE_BYTES;
    const rowBytes = (<usize>(taps * c)) << 2;
    gatherWindows(addr(args, X), args + ((<usize>OUT_H) << 2), gathered, rowBytes, firstRow, rows);
    const groups = (rows + MR - 1) / MR;
    for (let g = 0; g < groups; g++) {
      const entry = table + (<usize>g) * RUN_BYTES;
      store<usize>(entry, 0);
      for (let i = 0; i < MR; i++) {
        const row = g * MR + (g * MR + i < rows ? i : 0);
        store<usize>(entry + ((<usize>(i + 1)) << 2), gathered + (<usize>row) * rowBytes);
      }
    }
    product(table, rows, 1, taps * c, addr(args, PANELS), panelBytes, firstPanel, lastPanel, k, addr(args, BIAS), y, yStride,
      int(args, FLAGS));
  } else {
    zeroRun(scratch, (<usize>c) << 2);
    fillTable(args, table, scratch, firstRow, rows);
    product(table, rows, taps, c, addr(args, PANELS), panelBytes, firstPanel, lastPanel, k, addr(args, BIAS), y, yStride,
      int(args, FLAGS));
  }
  const stats = addr(args, STATS);
  if (stats != 0) {
    tileMoments(y, yStride, rows, firstPanel * NR, min32(lastPanel * NR, k), stats + (((<usize>(rowTile * k)) << 3)), k);
  }
}

/**
 * X is dy, Y is dx here; OUT_H, OUT_W, OUT_C are dx's, IN_H, IN_W, IN_C dy's; panels hold (r, s, k) by columns c. ROWS_PER_TILE pixels
 * of one phase; PHASE_TILES tiles of rows a phase (the same for each, the last may be empty).
 */
export function convInputGrad(args: usize, tile: i32, scratch: usize): void {
  const columnTiles = int(args, COLUMN_TILES);
  const rowTile = tile / columnTiles;
  const columnTile = tile - rowTile * columnTiles;
  const strideH = int(args, STRIDE_H), strideW = int(args, STRIDE_W);
  const phase = rowTile / int(args, PHASE_TILES);
  const phaseH = phase / strideW, phaseW = phase - phaseH * strideW;
  const outH = int(args, OUT_H), outW = int(args, OUT_W), inH = int(args, IN_H), inW = int(args, IN_W);
  const countH = (outH - phaseH + strideH - 1) / strideH, countW = (outW - phaseW + strideW - 1) / strideW;
  if (countH <= 0 || countW <= 0) return;
  const images = int(args, ROWS) / (outH * outW);
  const rowsPerTile = int(args, ROWS_PER_TILE);
  const firstRow = (rowTile - phase * int(args, PHASE_TILES)) * rowsPerTile;
  const rows = min32(rowsPerTile, images * countH * countW - firstRow);
  if (rows <= 0) return;
  const c = int(args, OUT_C), k = int(args, IN_C);
  const r = int(args, R), s = int(args, S);
  const firstPanel = columnTile * int(args, PANELS_PER_TILE);
  const lastPanel = min32(firstPanel + int(args, PANELS_PER_TILE), (c + NR - 1) / NR);
  const panelBytes = (<usize>(r * s * k)) << 5;
  const xStride = addr(args, X_STRIDE), yStride = addr(args, Y_STRIDE);
  const x = addr(args, X), y = addr(args, Y);
  const dh = int(args, DILATION_H), dw = int(args, DILATION_W), top = int(args, TOP), left = int(args, LEFT);
  const table = scratch + ZERO_BYTES;
  zeroRun(scratch, (<usize>k) << 2);

  // taps that reach this phase
  let validH = 0, validW = 0;
  for (let i = 0; i < r; i++) if ((phaseH + top - i * dh) % strideH == 0) validH++;
  for (let j = 0; j < s; j++) if ((phaseW + left - j * dw) % strideW == 0) validW++;
  const entries = validH * validW;
  const groups = (rows + MR - 1) / MR;
  for (let g = 0; g < groups; g++) {
    const group = table + (<usize>(g * entries)) * RUN_BYTES;
    for (let lane = 0; lane < MR; lane++) {
      const m = firstRow + g * MR + (g * MR + lane < rows ? lane : 0);
      const image = m / (countH * countW);
      const pixel = m - image * (countH * countW);
      const row = pixel / countW;
      const h = row * strideH + phaseH;
      const w = (pixel - row * countW) * strideW + phaseW;
      let entry = group;
      for (let i = 0; i < r; i++) {
        const dividedH = h + top - i * dh;
        if (dividedH % strideH != 0) continue;
        const oh = dividedH / strideH;
        const insideH = dividedH >= 0 && oh < inH;
        const line = x + (<usize>(image * inH + oh)) * (<usize>inW) * xStride;
        for (let j = 0; j < s; j++) {
          const dividedW = w + left - j * dw;
          if (dividedW % strideW != 0) continue;
          const ow = dividedW / strideW;
          const inside = insideH && dividedW >= 0 && ow < inW;
          store<usize>(entry + ((<usize>(lane + 1)) << 2), inside ? line + (<usize>ow) * xStride : scratch);
          if (lane == 0) store<usize>(entry, ((<usize>((i * s + j) * k)) << 5));
          entry += RUN_BYTES;
        }
      }
    }
  }
  if (strideH == 1 && strideW == 1) {
    product(table, rows, entries, k, addr(args, PANELS), panelBytes, firstPanel, lastPanel, c, 0,
      y + (<usize>firstRow) * yStride, yStride, 0);
    return;
  }
  // rows of a phase are apart in dx: through scratch
  const firstColumn = firstPanel * NR, width = min32(lastPanel * NR, c) - firstColumn;
  const stride = (<usize>width) << 2;
  const result = table + TABLE_BYTES;
  product(table, rows, entries, k, addr(args, PANELS), panelBytes, firstPanel, lastPanel, c, 0,
    result - ((<usize>firstColumn) << 2), stride, 0);
  for (let i = 0; i < rows; i++) {
    const m = firstRow + i;
    const image = m / (countH * countW);
    const pixel = m - image * (countH * countW);
    const row = pixel / countW;
    const h = row * strideH + phaseH;
    const w = (pixel - row * countW) * strideW + phaseW;
    copyRun(y + (<usize>((image * outH + h) * outW + w)) * yStride + ((<usize>firstColumn) << 2), result + (<usize>i) * stride, stride);
  }
}
