/** Lowerings of ops on images. */
import type { Lowering, WebgpuLaunch } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, read, readWrite, sameMemory, write } from '../../device/webgpu/launch.ts';

export const warpAffineLowering: Lowering<{ readonly fill: number }, WebgpuLaunch> = {
  launches({ attrs: { fill }, inputs: [x, matrix], outputs: [y] }) {
    const [n, height, width, channels] = y.shape;
    const pixels = n * height * width;
    return [{
      shader: 'warp_affine',
      uniforms: [
        pixels, height, width, channels, boundOffset(x), x.stride, boundOffset(matrix), matrix.stride, matrix.channels,
        boundOffset(y), y.stride, f32(fill),
      ],
      bindings: [read(x), read(matrix), write(y)],
      grid: linearGrid(pixels),
      label: 'warpAffine',
    }];
  },
};

export const shiftHlsLowering: Lowering<{}, WebgpuLaunch> = {
  launches({ inputs: [x, shift], outputs: [y] }) {
    const inPlace = sameMemory(x, y);
    return [{
      shader: 'shift_hls',
      replace: {
        X: inPlace ? '' : '@group(0) @binding(3) var<storage, read> x: array<f32>;',
        SOURCE: inPlace ? 'y' : 'x',
      },
      uniforms: [
        y.rows, y.rows / Math.max(1, y.shape[0]), boundOffset(x), x.stride, boundOffset(shift), shift.stride, boundOffset(y), y.stride,
      ],
      bindings: [inPlace ? readWrite(y) : write(y), read(shift), ...(inPlace ? [] : [read(x)])],
      grid: linearGrid(y.rows),
      label: 'shiftHls',
    }];
  },
};
