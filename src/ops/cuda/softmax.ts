/** Lowerings of softmax and of the cross-entropy fused with it. */
import type { CudaLaunch, Lowering, Placed } from '../../device/types.ts';
import { at, BLOCK, linearGrid } from '../../device/cuda/launch.ts';

/** Channels up to which a warp takes a row. */
const WARP_CHANNELS = 1024;

const threadsOf = (channels: number): number => (channels > WARP_CHANNELS ? BLOCK : 32);

export function softmaxLowering(log: boolean): Lowering<unknown, CudaLaunch> {
  return {
    launches: ({ inputs: [x], outputs: [y] }) => (x.rows === 0 ? [] : [{
      kernel: 'softmax',
      define: { LOG: log ? 1 : 0, THREADS: threadsOf(x.channels) },
      args: [at(x), at(y), x.rows, x.channels, x.stride, y.stride],
      grid: linearGrid(x.rows * threadsOf(x.channels)),
      block: BLOCK,
      label: log ? 'logSoftmax' : 'softmax',
    }]),
  };
}

interface CrossEntropyAttrs {
  readonly ignoreLabel: number | null;
}

const definesOf = (labels: Placed, channels: number): Record<string, string | number> => ({
  ...(labels.dtype === 'float32' ? { LABEL: 'float', SOFT: 1 } : { LABEL: 'i32', SOFT: 0 }), THREADS: threadsOf(channels),
});

const ignored = ({ ignoreLabel }: CrossEntropyAttrs): number[] => [ignoreLabel === null ? 0 : 1, ignoreLabel ?? 0];

export const crossEntropyLowering: Lowering<CrossEntropyAttrs, CudaLaunch> = {
  launches: ({ inputs: [x, labels, classes, samples], outputs: [losses, p], attrs }) => (x.rows === 0 ? [] : [{
    kernel: 'cross_entropy',
    define: definesOf(labels, x.channels),
    args: [
      at(x), at(labels), at(classes), at(samples), at(losses), at(p), x.rows, x.channels, x.stride, labels.stride, p.stride, ...ignored(attrs),
    ],
    grid: linearGrid(x.rows * threadsOf(x.channels)),
    block: BLOCK,
    label: 'softmaxCrossEntropy',
  }]),
};

export const crossEntropyGradLowering: Lowering<CrossEntropyAttrs, CudaLaunch> = {
  launches: ({ inputs: [dlosses, p, labels, classes, samples], outputs: [dx], attrs }) => (p.rows === 0 ? [] : [{
    kernel: 'cross_entropy_grad',
    define: definesOf(labels, p.channels),
    args: [
      at(dlosses), at(p), at(labels), at(classes), at(samples), at(dx), p.rows, p.channels, p.stride, labels.stride, dx.stride, ...ignored(attrs),
    ],
    grid: linearGrid(p.rows * threadsOf(p.channels)),
    block: BLOCK,
    label: 'softmaxCrossEntropyGrad',
  }]),
};
