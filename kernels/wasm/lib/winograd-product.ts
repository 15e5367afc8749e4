/** What minimal filtering with tiles of any size has in common: argument words, and the products of transformed inputs and filters. */
import { MR, NR, RUN_BYTES, rowsTimesPanel } from './gemm';
import { min32 } from './simd';

/**
 * Argument words of `winograd` and `winogradSmall`, as in src/ops/cpu/winograd.ts: addresses, blocks in all, down and across an image,
 * sizes of the image read and of the one written, how much of the padding lies above and to the left, strides in bytes, how tiles are
 * cut, flags, and bytes from one plane of transformed filters to the next.
 */
export const X: i32 = 0;
export const U: i32 = 1;
export const BIAS: i32 = 2;
export const Y: i32 = 3;
export const BLOCKS_ALL: i32 = 4;
export const BLOCKS_H: i32 = 5;
export const BLOCKS_W: i32 = 6;
export const IN_H: i32 = 7;
export const IN_W: i32 = 8;
export const OUT_H: i32 = 9;
export const OUT_W: i32 = 10;
export const IN_C: i32 = 11;
export const OUT_C: i32 = 12;
export const TOP: i32 = 13;
export const LEFT: i32 = 14;
export const X_STRIDE: i32 = 15;
export const Y_STRIDE: i32 = 16;
export const BLOCKS: i32 = 17;
export const PANELS_PER_TILE: i32 = 18;
export const COLUMN_TILES: i32 = 19;
export const FLAGS: i32 = 20;
export const PLANE: i32 = 21;

/** Panels that are multiplied before results are transformed back, and bytes of a block's results in that time. */
export const PANEL_GROUP: i32 = 4;
export const GROUP_BYTES: usize = 128;

/** Bytes of one of the planes V[e] of transformed inputs; a line more than needed, so that planes do not fall into one cache set. */
export function inputPlane(blocks: i32, channels: i32): usize {
  return (<usize>blocks) * ((<usize>channels) << 2) + 64;
}

/** The same of results M[e]. */
export function resultPlane(blocks: i32): usize {
  return (<usize>blocks) * GROUP_BYTES + 64;
}

/** The table of lib/gemm.ts for `planes` planes of V at v, rows of `channels` floats: for each a run of groups of MR rows. */
export function fillRuns(table: usize, v: usize, planes: i32, blocks: i32, channels: i32): void {
  const groups = (blocks + MR - 1) / MR;
  const plane = inputPlane(blocks, channels), rowBytes = (<usize>channels) << 2;
  let entry = table;
  for (let e = 0; e < planes; e++) {
    for (let g = 0; g < groups; g++, entry += RUN_BYTES) {
      store<usize>(entry, 0);
      for (let i = 0; i < MR; i++) {
        const row = g * MR + i < blocks ? g * MR + i : g * MR;
        store<usize>(entry + ((<usize>(i + 1)) << 2), v + (<usize>e) * plane + (<usize>row) * rowBytes);
      }
    }
  }
}

/** M[e][block][...] = V[e] U[e] for panels [p0, p1) of U, whose planes are `uPlane` bytes apart. */
export function multiplyPlanes(
  table: usize, planes: i32, blocks: i32, channels: i32, u: usize, uPlane: usize, p0: i32, p1: i32, m: usize,
): void {
  const groups = (blocks + MR - 1) / MR;
  const panelBytes = (<usize>channels) << 5, mPlane = resultPlane(blocks);
  for (let e = 0; e < planes; e++) {
    for (let p = p0; p < p1; p++) {
      const panel = u + (<usize>e) * uPlane + (<usize>p) * panelBytes;
      let to = m + (<usize>e) * mPlane + ((<usize>(p - p0)) << 5);
      let entry = table + (<usize>(e * groups)) * RUN_BYTES;
      for (let g = 0; g < groups; g++) {
        rowsTimesPanel(entry, 1, channels, panel, 0, to, GROUP_BYTES, min32(MR, blocks - g * MR), NR, 0);
        to += GROUP_BYTES * MR;
        entry += RUN_BYTES;
      }
    }
  }
}

/** Four rows of four floats, `step` bytes apart, turned, to four vectors at `to`. */
// @ts-ignore: decorator
@inline
export function turn4(from: usize, step: usize, to: usize): void {
  const a = v128.load(from), b = v128.load(from + step), e = v128.load(from + 2 * step), f = v128.load(from + 3 * step);
  const ab0 = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const ab1 = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const ef0 = i8x16.shuffle(e, f, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const ef1 = i8x16.shuffle(e, f, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  v128.store(to, i8x16.shuffle(ab0, ef0, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(to, i8x16.shuffle(ab0, ef0, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 16);
  v128.store(to, i8x16.shuffle(ab1, ef1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), 32);
  v128.store(to, i8x16.shuffle(ab1, ef1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 48);
}
