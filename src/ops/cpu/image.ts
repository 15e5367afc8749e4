/** Lowerings of ops on images. */
import { SCRATCH_BYTES } from '../../device/cpu/layout.ts';
import type { CpuLaunch, Lowering } from '../../device/types.ts';
import { shapeError } from '../support/shapes.ts';

/** Elements a tile, about. */
const TILE = 16384;

export const warpAffineLowering: Lowering<{ readonly fill: number }, CpuLaunch> = {
  launches({ attrs: { fill }, inputs: [x, matrix], outputs: [y] }) {
    const [n, height, width, channels] = y.shape;
    // Where maps name their interpolation a thread keeps a weight for each column.
    if (matrix.channels > 6 && width * 4 > SCRATCH_BYTES) {
      shapeError('warpAffine', `x is ${width} pixels wide; on the cpu at most ${SCRATCH_BYTES / 4} are possible`);
    }
    const lines = n * height;
    const perTile = Math.max(1, Math.floor(TILE / Math.max(1, width * channels)));
    return [{
      kernel: 'warpAffine',
      tiles: Math.ceil(lines / perTile),
      args: [
        { address: x }, { address: matrix }, { address: y }, lines, height, width, channels, x.stride * 4, matrix.stride * 4,
        y.stride * 4, { f32: fill }, perTile, matrix.channels,
      ],
      label: 'warpAffine',
    }];
  },
};

export const shiftHlsLowering: Lowering<{}, CpuLaunch> = {
  launches({ inputs: [x, shift], outputs: [y] }) {
    const perTile = Math.floor(TILE / 3);
    return [{
      kernel: 'shiftHls',
      tiles: Math.ceil(y.rows / perTile),
      args: [
        { address: x }, { address: shift }, { address: y }, y.rows, y.rows / Math.max(1, y.shape[0]), x.stride * 4, shift.stride * 4,
        y.stride * 4, perTile,
      ],
      label: 'shiftHls',
    }];
  },
};
