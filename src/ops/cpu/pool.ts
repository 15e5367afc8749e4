/** Lowerings of pooling to kernels/wasm/pool.ts. */
import type { CpuArg, CpuLaunch, Lowering, Placed } from '../../device/types.ts';
import { bytesPerElement } from '../../device/types.ts';
import type { PoolAttrs } from '../support/pool.ts';

const ceil = (a: number, b: number): number => Math.ceil(a / b);
/** Elements of output that a tile computes. */
const TILE = 8192;

/** Channels of a tile of the gradient of max pooling: as long runs of memory as leave every thread work, a cache line at least. */
function gradientChannels(images: number, channels: number): number {
  let perTile = 256;
  while (perTile > 16 && images * ceil(channels, perTile) < 16) perTile /= 2;
  return perTile;
}

interface PoolParts {
  /** Images and their pooled form, for their shapes. */
  readonly image: Placed;
  readonly pooled: Placed;
  readonly values: { x?: Placed; y?: Placed; dy?: Placed; dx?: Placed; index?: Placed };
  readonly attrs: PoolAttrs & { readonly countPadding?: boolean };
  readonly perTile: number;
  readonly blocks?: number;
}

function poolArgs({ image, pooled, values: { x, y, dy, dx, index }, attrs, perTile, blocks = 0 }: PoolParts): CpuArg[] {
  const [n, h, w, c] = image.shape;
  const [, p, q] = pooled.shape;
  const at = (v: Placed | undefined): CpuArg => (v ? { address: v } : 0);
  const stride = (v: Placed | undefined): number => (v ? v.stride * bytesPerElement[v.dtype] : 0);
  return [
    at(x), at(y), at(dy), at(dx), n, h, w, p, q, c, ...attrs.size, ...attrs.stride, ...attrs.padding, stride(x), stride(y),
    stride(dy), stride(dx), perTile, blocks, attrs.countPadding ? 1 : 0, at(index), stride(index),
  ];
}

function forward(kernel: string): Lowering<PoolAttrs, CpuLaunch> {
  return {
    launches({ attrs, inputs: [x], outputs: [y] }) {
      const perTile = Math.max(1, Math.floor(TILE / y.channels));
      return [{
        kernel, tiles: ceil(y.rows, perTile), args: poolArgs({ image: x, pooled: y, values: { x, y }, attrs, perTile }), label: kernel,
      }];
    },
  };
}

export const maxPoolLowering = forward('maxPool');
export const avgPoolLowering = forward('avgPool');

export const maxPoolIndicesLowering: Lowering<PoolAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [x], outputs: [y, index] }) {
    const perTile = Math.max(1, Math.floor(TILE / y.channels));
    return [{
      kernel: 'maxPoolIndices',
      tiles: ceil(y.rows, perTile),
      args: poolArgs({ image: x, pooled: y, values: { x, y, index }, attrs, perTile }),
      label: 'maxPoolIndices',
    }];
  },
};

export const maxPoolGradLowering: Lowering<PoolAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [dy, x, y], outputs: [dx] }) {
    const perTile = gradientChannels(x.shape[0], x.channels);
    const blocks = ceil(x.channels, perTile);
    return [{
      kernel: 'maxPoolGrad',
      tiles: x.shape[0] * blocks,
      args: poolArgs({ image: x, pooled: y, values: { x, y, dy, dx }, attrs, perTile, blocks }),
      label: 'maxPoolGrad',
    }];
  },
};

export const maxPoolIndexGradLowering: Lowering<PoolAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [dy, index], outputs: [dx] }) {
    const perTile = Math.max(1, Math.floor(TILE / dx.channels));
    return [{
      kernel: 'maxPoolIndexGrad',
      tiles: ceil(dx.rows, perTile),
      args: poolArgs({ image: dx, pooled: dy, values: { dy, dx, index }, attrs, perTile }),
      label: 'maxPoolIndexGrad',
    }];
  },
};

export const avgPoolGradLowering: Lowering<PoolAttrs & { readonly countPadding: boolean }, CpuLaunch> = {
  launches({ attrs, inputs: [dy], outputs: [dx] }) {
    const perTile = Math.max(1, Math.floor(TILE / dx.channels));
    return [{
      kernel: 'avgPoolGrad',
      tiles: ceil(dx.rows, perTile),
      args: poolArgs({ image: dx, pooled: dy, values: { dy, dx }, attrs, perTile }),
      label: 'avgPoolGrad',
    }];
  },
};
