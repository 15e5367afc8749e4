/** Lowerings of softmax and cross-entropy to kernels/wasm/softmax.ts. */
import type { CpuLaunch, Lowering, Placed } from '../../device/types.ts';

const ceil = (a: number, b: number): number => Math.ceil(a / b);
const rowsPerTile = (channels: number): number => Math.max(1, Math.floor(4096 / channels));

export function softmaxLowering(kernel: 'softmax' | 'logSoftmax'): Lowering<unknown, CpuLaunch> {
  return {
    launches({ inputs: [x], outputs: [y] }) {
      const perTile = rowsPerTile(x.channels);
      return [{
        kernel,
        tiles: ceil(x.rows, perTile),
        args: [{ address: x }, { address: y }, x.rows, x.channels, x.stride * 4, y.stride * 4, perTile],
        label: kernel,
      }];
    },
  };
}

interface CrossEntropyAttrs {
  readonly ignoreLabel: number | null;
}

function options(labels: Placed, { ignoreLabel }: CrossEntropyAttrs, perTile: number): number[] {
  return [labels.dtype === 'float32' ? 1 : 0, ignoreLabel === null ? 0 : 1, ignoreLabel ?? 0, perTile];
}

export const crossEntropyLowering: Lowering<CrossEntropyAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [logits, labels, classWeights, sampleWeights], outputs: [losses, p] }) {
    const perTile = rowsPerTile(logits.channels);
    return [{
      kernel: 'crossEntropy',
      tiles: ceil(logits.rows, perTile),
      args: [
        { address: logits }, { address: labels }, { address: classWeights }, { address: sampleWeights }, { address: losses },
        { address: p }, logits.rows, logits.channels, logits.stride * 4, labels.stride * 4, p.stride * 4,
        ...options(labels, attrs, perTile),
      ],
      label: 'softmaxCrossEntropy',
    }];
  },
};

export const crossEntropyGradLowering: Lowering<CrossEntropyAttrs, CpuLaunch> = {
  launches({ attrs, inputs: [dlosses, p, labels, classWeights, sampleWeights], outputs: [dlogits] }) {
    const perTile = rowsPerTile(p.channels);
    return [{
      kernel: 'crossEntropyGrad',
      tiles: ceil(p.rows, perTile),
      args: [
        { address: dlosses }, { address: labels }, { address: classWeights }, { address: sampleWeights }, { address: dlogits },
        { address: p }, p.rows, p.channels, dlogits.stride * 4, labels.stride * 4, p.stride * 4, ...options(labels, attrs, perTile),
      ],
      label: 'softmaxCrossEntropyGrad',
    }];
  },
};
