/** Lowerings of softmax and of the cross-entropy fused with it. */
import type { Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, read, write } from '../../device/webgpu/launch.ts';

export function softmaxLowering(log: boolean): Lowering<unknown, WebgpuLaunch> {
  return {
    launches: ({ inputs: [x], outputs: [y] }) => [{
      shader: 'softmax',
      replace: { LOG: log ? 1 : 0 },
      uniforms: [x.rows, x.channels, boundOffset(x), x.stride, boundOffset(y), y.stride, f32(Infinity)],
      bindings: [read(x), write(y)],
      grid: linearGrid(x.rows),
      label: log ? 'logSoftmax' : 'softmax',
    }],
  };
}

interface CrossEntropyAttrs {
  readonly ignoreLabel: number | null;
}

const labelKind = (labels: Placed): Record<string, string | number> =>
  labels.dtype === 'float32' ? { LABEL: 'f32', SOFT: 1 } : { LABEL: 'i32', SOFT: 0 };

const ignored = ({ ignoreLabel }: CrossEntropyAttrs): number[] => [ignoreLabel === null ? 0 : 1, ignoreLabel ?? 0];

export const crossEntropyLowering: Lowering<CrossEntropyAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [x, labels, classes, samples], outputs: [losses, p], attrs }) => [{
    shader: 'cross_entropy',
    replace: labelKind(labels),
    uniforms: [
      x.rows, x.channels, boundOffset(x), x.stride, boundOffset(labels), labels.stride, boundOffset(classes), boundOffset(samples),
      boundOffset(losses), boundOffset(p), p.stride, ...ignored(attrs), f32(Infinity),
    ],
    bindings: [read(x), read(labels), read(classes), read(samples), write(losses), write(p)],
    grid: linearGrid(x.rows),
    label: 'softmaxCrossEntropy',
  }],
};

export const crossEntropyGradLowering: Lowering<CrossEntropyAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [dlosses, p, labels, classes, samples], outputs: [dx], attrs }) => [{
    shader: 'cross_entropy_grad',
    replace: labelKind(labels),
    uniforms: [
      p.rows, p.channels, boundOffset(dlosses), boundOffset(p), p.stride, boundOffset(labels), labels.stride, boundOffset(classes),
      boundOffset(samples), boundOffset(dx), dx.stride, ...ignored(attrs),
    ],
    bindings: [read(dlosses), read(p), read(labels), read(classes), read(samples), write(dx)],
    grid: linearGrid(p.rows),
    label: 'softmaxCrossEntropyGrad',
  }],
};
