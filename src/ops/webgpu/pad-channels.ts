/**
 * Images of one to three channels for software adapters: padded by zeros to four in scratch memory, they are read as vectors through
 * textures like all others (some ten times as fast as element by element), which is worth the idle multiply-adds.
 */
import type { Placed, Scratch, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { boundOffset, linearGrid, read, TEXTURE_BYTES, write } from '../../device/webgpu/launch.ts';

/** Whether a convolution of `x` by filters of a shape pads; from types alone. */
export const padsChannels = (x: TensorType, [, r, s, c]: Shape): boolean => c < 4 && r * s >= 9 && x.dtype === 'float32';

export const padded = (shape: Shape): Shape => [...shape.slice(0, -1), 4];

/** Images of shape [n, h, w, c] that are padded at a time. */
export const paddedImages = ([n, h, w]: Shape): number => Math.min(n, Math.max(1, Math.floor(TEXTURE_BYTES / (16 * h * w))));

/** Bytes of so many padded images. */
export const paddedBytes = (count: number, [, h, w]: Shape): number => 16 * count * h * w;

/** A contiguous float32 value in scratch memory. */
export function inScratch({ buffer, byteOffset }: Scratch, shape: Shape): Placed {
  const channels = shape[shape.length - 1];
  return { shape, dtype: 'float32', buffer, offset: byteOffset / 4, rows: sizeOf(shape) / channels, channels, stride: channels };
}

/** The launch that fills `to`, in scratch memory, with `from` and zeros behind its channels. */
export function padChannels(from: Placed, to: Placed): WebgpuLaunch {
  return {
    adapter: 'software',
    shader: 'pad_channels',
    uniforms: [from.rows, from.channels, boundOffset(from), from.stride],
    bindings: [read(from), write(to)],
    grid: linearGrid(from.rows),
    label: 'pad channels',
  };
}
