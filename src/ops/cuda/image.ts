/** Lowerings of ops on images. */
import type { CudaLaunch, Lowering } from '../../device/types.ts';
import { at, BLOCK, f32, linearGrid } from '../../device/cuda/launch.ts';

export const warpAffineLowering: Lowering<{ readonly fill: number }, CudaLaunch> = {
  launches({ attrs: { fill }, inputs: [x, matrix], outputs: [y] }) {
    const [n, height, width, channels] = y.shape;
    const pixels = n * height * width;
    return pixels * channels === 0 ? [] : [{
      kernel: 'warp_affine',
      args: [at(x), at(matrix), at(y), pixels, height, width, channels, x.stride, matrix.stride, matrix.channels, y.stride, f32(fill)],
      grid: linearGrid(pixels),
      block: BLOCK,
      label: 'warpAffine',
    }];
  },
};

export const shiftHlsLowering: Lowering<{}, CudaLaunch> = {
  launches: ({ inputs: [x, shift], outputs: [y] }) => (y.rows === 0 ? [] : [{
    kernel: 'shift_hls',
    args: [at(x), at(shift), at(y), y.rows, y.rows / y.shape[0], x.stride, shift.stride, y.stride],
    grid: linearGrid(y.rows),
    block: BLOCK,
    label: 'shiftHls',
  }]),
};
