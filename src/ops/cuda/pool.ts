/** Lowerings of pooling. */
import type { CudaArg, CudaLaunch, Lowering, Placed } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK, linearGrid, storageType, vectorizable } from '../../device/cuda/launch.ts';
import type { PoolAttrs } from '../support/pool.ts';

type Attrs = PoolAttrs & { readonly countPadding?: boolean };

/** The struct Pooling of kernels/cuda/lib/pool.cuh, for images like x and y. */
function pooling(x: Placed, y: Placed, { size, stride, padding, countPadding }: Attrs): number[] {
  return [...x.shape.slice(1, 3), ...y.shape.slice(1, 3), ...size, ...stride, ...padding, countPadding === true ? 1 : 0];
}

function launches(
  kernel: string, label: string, define: Readonly<Record<string, string | number>>, values: readonly Placed[], result: Placed,
  args: (total: number, channels: number) => readonly CudaArg[],
): CudaLaunch[] {
  const width = vectorizable(values) ? 4 : 1;
  const total = sizeOf(result.shape) / width;
  if (total === 0) return [];
  return [{ kernel, define: { ...define, WIDTH: width }, args: args(total, result.channels / width), grid: linearGrid(total), block: BLOCK, label }];
}

const forward = (max: boolean, label: string): Lowering<Attrs, CudaLaunch> => ({
  launches: ({ inputs: [x], outputs: [y], attrs }) =>
    launches('pool', label, { MAX: max ? 1 : 0, INDEX: 0, XT: storageType(x), YT: storageType(y) }, [x, y], y,
      (total, channels) => [at(x), at(y), total, channels, x.stride, y.stride, ...pooling(x, y, attrs)]),
});

export const maxPoolLowering = forward(true, 'maxPool2d');
export const avgPoolLowering = forward(false, 'avgPool2d');

export const maxPoolIndicesLowering: Lowering<Attrs, CudaLaunch> = {
  launches: ({ inputs: [x], outputs: [y, index], attrs }) =>
    launches('pool', 'maxPool2dIndices', { MAX: 1, INDEX: 1, XT: storageType(x), YT: storageType(y) }, [x, y, index], y,
      (total, channels) => [at(x), at(y), at(index), index.stride, total, channels, x.stride, y.stride, ...pooling(x, y, attrs)]),
};

export const maxPoolGradLowering: Lowering<Attrs, CudaLaunch> = {
  launches: ({ inputs: [dy, x, y], outputs: [dx], attrs }) =>
    launches('pool_grad', 'maxPool2dGrad',
      { MAX: 1, INDEX: 0, YT: storageType(dy), XT: storageType(x), OUTT: storageType(y), DXT: storageType(dx) }, [dy, x, y, dx], dx,
      (total, channels) => [at(dy), at(x), at(y), x.stride, y.stride, at(dx), total, channels, dy.stride, dx.stride, ...pooling(x, y, attrs)]),
};

export const maxPoolIndexGradLowering: Lowering<Attrs, CudaLaunch> = {
  launches: ({ inputs: [dy, index], outputs: [dx], attrs }) =>
    launches('pool_grad', 'maxPool2dIndexGrad', { MAX: 0, INDEX: 1, YT: storageType(dy), DXT: storageType(dx) }, [dy, index, dx], dx,
      (total, channels) => [at(dy), at(index), index.stride, at(dx), total, channels, dy.stride, dx.stride, ...pooling(dx, dy, attrs)]),
};

export const avgPoolGradLowering: Lowering<Attrs, CudaLaunch> = {
  launches: ({ inputs: [dy], outputs: [dx], attrs }) =>
    launches('pool_grad', 'avgPool2dGrad', { MAX: 0, INDEX: 0, YT: storageType(dy), DXT: storageType(dx) }, [dy, dx], dx,
      (total, channels) => [at(dy), at(dx), total, channels, dy.stride, dx.stride, ...pooling(dx, dy, attrs)]),
};
