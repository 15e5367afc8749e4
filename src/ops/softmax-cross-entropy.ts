/** softmaxCrossEntropy: softmax and weighted cross-entropy in one, and its gradient. */
import type { TensorType } from '../device/types.ts';
import { DTypeError } from '../errors.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { apply, apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { broadcastTo } from './broadcast-to.ts';
import * as cpu from './cpu/softmax.ts';
import * as cuda from './cuda/softmax.ts';
import { sum } from './reduce.ts';
import { checkClasses, logSumExp } from './softmax.ts';
import { bytesTouched } from './support/cost.ts';
import { f32, fixed, i32 } from './support/samples.ts';
import { checkFloat, checkRank, checkSameShape, checkVector, named, shapeError } from './support/shapes.ts';
import * as gpuSoftmax from './webgpu/softmax.ts';

export type CrossEntropyAttrs = {
  /** int32 labels of this value have no loss and no gradient; null for none. So have all labels outside of 0 to C-1. */
  readonly ignoreLabel: number | null;
};

const names = ['logits', 'labels', 'classWeights', 'sampleWeights'] as const;

/** labels are int32 [N] or float32 [N,C], weights [C] and [N]. */
function checkLabels(op: string, nameOfX: string, inputs: readonly TensorType[]): void {
  const [x, labels, classWeights, sampleWeights] = inputs;
  checkRank(op, nameOfX, x, 2, '[samples, classes]');
  checkClasses(op, nameOfX, x);
  const [n, c] = x.shape;
  if (labels.dtype === 'float32') {
    checkSameShape(op, nameOfX, x, 'labels', labels);
  } else if (labels.dtype === 'int32') {
    if (labels.shape.length !== 1 || labels.shape[0] !== n) {
      shapeError(op, `${named('labels', labels)} should be [${n}], one for each row of ${named(nameOfX, x)}`);
    }
  } else {
    throw new DTypeError(`${op}: ${named('labels', labels)} is ${labels.dtype}, expected int32 [${n}] or float32 [${n},${c}]`);
  }
  checkVector(op, 'classWeights', classWeights, c, `one for each class of ${named(nameOfX, x)}`);
  checkVector(op, 'sampleWeights', sampleWeights, n, `one for each row of ${named(nameOfX, x)}`);
}

/** The target t[row, c]: one-hot of a hard label, zero where ignored; a soft label as it is. */
function target(labels: HostTensor, row: number, c: number, classes: number, ignoreLabel: number | null): number {
  if (labels.dtype === 'float32') return labels.data[row * classes + c];
  const label = labels.data[row];
  return label === c && label !== ignoreLabel ? 1 : 0;
}

export const softmaxCrossEntropyOp: DifferentiableOp<CrossEntropyAttrs> = defineOp<CrossEntropyAttrs>({
  name: 'softmaxCrossEntropy',
  inputs: names,
  infer(inputs: readonly TensorType[]) {
    const [logits, , classWeights, sampleWeights] = inputs;
    checkFloat('softmaxCrossEntropy', ['logits', 'classWeights', 'sampleWeights'], [logits, classWeights, sampleWeights]);
    checkLabels('softmaxCrossEntropy', 'logits', inputs);
    return [{ shape: [logits.shape[0]], dtype: 'float32' }, { shape: logits.shape, dtype: 'float32' }];
  },
  /*
   * With target t (one-hot of a hard label), class weights w and sample weight s:
   *   loss = -s sum_c w_c t_c log p_c,  so  dlogits_j = dloss s (p_j sum_c w_c t_c - w_j t_j);
   * through p itself: dlogits = p (dp - sum_j dp_j p_j). Labels and weights get no gradient.
   */
  gradient({ attrs, inputs: [, labels, classWeights, sampleWeights], outputs: [, p], grads: [dlosses, dp] }) {
    let dlogits: Tensor | undefined;
    if (dlosses !== undefined) {
      dlogits = apply1(softmaxCrossEntropyGradOp, [dlosses, p, labels, classWeights, sampleWeights], attrs);
    }
    if (dp !== undefined) {
      const part = p.mul(dp.sub(sum(dp.mul(p), -1, { keepDims: true })));
      dlogits = dlogits === undefined ? part : dlogits.add(part);
    }
    return [dlogits, undefined, undefined, undefined];
  },
  reference: ([logits, labels, w, s]: readonly HostTensor[], { ignoreLabel }) => {
    const [n, classes] = logits.shape;
    const losses = new Float64Array(n);
    const p = new Float64Array(n * classes);
    for (let row = 0; row < n; row++) {
      const { lse } = logSumExp(logits, row);
      for (let c = 0; c < classes; c++) {
        const logP = logits.data[row * classes + c] - lse;
        p[row * classes + c] = Math.exp(logP);
        const t = target(labels, row, c, classes, ignoreLabel);
        if (t !== 0) losses[row] -= s.data[row] * w.data[c] * t * logP;
      }
    }
    return [losses, p];
  },
  // as of logSoftmax and softmax
  magnitude: ([logits, labels, w, s], { ignoreLabel }) => {
    const [n, classes] = logits.shape;
    const losses = new Float64Array(n);
    const p = new Float64Array(n * classes);
    for (let row = 0; row < n; row++) {
      const { lse, max } = logSumExp(logits, row);
      for (let c = 0; c < classes; c++) {
        const v = logits.data[row * classes + c];
        p[row * classes + c] = Math.exp(v - lse) * (1 + Math.min(max - v, 100));
        const t = Math.abs(target(labels, row, c, classes, ignoreLabel));
        if (t !== 0) losses[row] += Math.abs(s.data[row] * w.data[c]) * t * (max - v + lse - max + 1);
      }
    }
    return [losses, p];
  },
  kernels: { cpu: cpu.crossEntropyLowering, webgpu: gpuSoftmax.crossEntropyLowering, cuda: cuda.crossEntropyLowering },
  precision: 'keep',
  reductionLength: ([logits]) => logits.shape[1],
  cost: (inputs, outputs) => ({ flop: 12 * logitsSize(inputs[0]), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<CrossEntropyAttrs>[] {
    const sizes = [[1, 2], [4, 3], [7, 5], [5, 12], [3, 1], [2, 301]];
    return sizes.flatMap(([n, c], i): Sample<CrossEntropyAttrs>[] => {
      const weights = [fixed([c], { low: 0.25, high: 4 }), fixed([n], { low: 0, high: 2 })];
      const logits = f32([n, c], { low: -4, high: 4 });
      return [
        { inputs: [logits, i32([n], c), ...weights], attrs: { ignoreLabel: null } },
        { inputs: [logits, i32([n], c), ...weights], attrs: { ignoreLabel: i % 2 }, note: 'ignored label' },
        { inputs: [logits, fixed([n, c], { low: 0, high: 1 }), ...weights], attrs: { ignoreLabel: null }, note: 'soft labels' },
      ];
    }).concat([extreme()]);
  },
});

/** Logits that overflow a naive softmax; a label that is out of range. */
function extreme(): Sample<CrossEntropyAttrs> {
  const logits: SampleInput = {
    shape: [4, 3], dtype: 'float32', differentiable: false, values: [1e4, -1e4, 0, 88, 89, 90, -100, 100, 0, 1, 2, 3],
  };
  const labels: SampleInput = { shape: [4], dtype: 'int32', differentiable: false, values: [0, 1, 2, -1] };
  return { inputs: [logits, labels, fixed([3], { low: 0.5, high: 2 }), fixed([4], { low: 0.5, high: 2 })], attrs: { ignoreLabel: null }, note: 'extreme' };
}

function logitsSize(logits: TensorType): number {
  return logits.shape[0] * logits.shape[1];
}

const gradNames = ['dlosses', 'probabilities', 'labels', 'classWeights', 'sampleWeights'] as const;

/** dlogits[n,j] = dlosses[n] s[n] (p[n,j] sum_c w[c] t[n,c] - w[j] t[n,j]). It has no gradient itself. */
export const softmaxCrossEntropyGradOp: DifferentiableOp<CrossEntropyAttrs> = defineOp<CrossEntropyAttrs>({
  name: 'softmaxCrossEntropyGrad',
  inputs: gradNames,
  infer(inputs: readonly TensorType[]) {
    const [dlosses, p, labels, classWeights, sampleWeights] = inputs;
    checkFloat('softmaxCrossEntropyGrad', ['dlosses', 'probabilities', 'classWeights', 'sampleWeights'], [dlosses, p, classWeights, sampleWeights]);
    checkLabels('softmaxCrossEntropyGrad', 'probabilities', [p, labels, classWeights, sampleWeights]);
    checkVector('softmaxCrossEntropyGrad', 'dlosses', dlosses, p.shape[0], `one for each row of ${named('probabilities', p)}`);
    return [{ shape: p.shape, dtype: 'float32' }];
  },
  reference: (inputs: readonly HostTensor[], { ignoreLabel }) => [backward(inputs, ignoreLabel, (v) => v)],
  magnitude: (inputs, { ignoreLabel }) => [backward(inputs, ignoreLabel, Math.abs)],
  kernels: { cpu: cpu.crossEntropyGradLowering, webgpu: gpuSoftmax.crossEntropyGradLowering, cuda: cuda.crossEntropyGradLowering },
  inPlace: () => [],
  precision: 'keep',
  reductionLength: ([, p, labels]) => (labels.dtype === 'float32' ? p.shape[1] : 1),
  cost: (inputs, outputs) => ({ flop: 4 * logitsSize(inputs[1]), bytes: bytesTouched(inputs, outputs) }),
  samples(): Sample<CrossEntropyAttrs>[] {
    const sizes = [[1, 2], [4, 3], [7, 5], [5, 12], [3, 1], [2, 301]];
    return sizes.flatMap(([n, c], i): Sample<CrossEntropyAttrs>[] => {
      const weights = [fixed([c], { low: 0.25, high: 4 }), fixed([n], { low: 0, high: 2 })];
      const first = [fixed([n]), fixed([n, c], { low: 0, high: 1 })];
      return [
        { inputs: [...first, i32([n], c), ...weights], attrs: { ignoreLabel: i % 2 === 0 ? null : 0 } },
        { inputs: [...first, fixed([n, c], { low: 0, high: 1 }), ...weights], attrs: { ignoreLabel: null }, note: 'soft labels' },
      ];
    });
  },
});

/** The formula above, every term passed through `part`. */
function backward(
  [dlosses, p, labels, w, s]: readonly HostTensor[],
  ignoreLabel: number | null,
  part: (v: number) => number,
): Float64Array {
  const [n, classes] = p.shape;
  const dlogits = new Float64Array(n * classes);
  for (let row = 0; row < n; row++) {
    let total = 0;
    for (let c = 0; c < classes; c++) total += w.data[c] * target(labels, row, c, classes, ignoreLabel);
    for (let c = 0; c < classes; c++) {
      const scale = dlosses.data[row] * s.data[row];
      const t = target(labels, row, c, classes, ignoreLabel);
      dlogits[row * classes + c] = part(scale * p.data[row * classes + c] * total) + part(-scale * w.data[c] * t);
    }
  }
  return dlogits;
}

export interface CrossEntropyOptions {
  /** [C]; default 1. */
  readonly classWeights?: TensorLike;
  /** [N]; default 1. A padded sample has weight 0. */
  readonly sampleWeights?: TensorLike;
  /** int32 label without loss or gradient. Labels outside of 0 to C-1 have none either. */
  readonly ignoreLabel?: number | null;
}

/**
 * Weighted cross-entropy of softmax(logits [N,C]) with labels: int32 [N], or float32 [N,C] of probabilities.
 * No mean is taken: divide the sum by what is right for the weights.
 *
 * @returns losses [N], each -sampleWeight * sum over c of classWeight[c] target[c] log p[c], and probabilities [N,C]
 */
export function softmaxCrossEntropy(
  logits: TensorLike,
  labels: TensorLike,
  options: CrossEntropyOptions = {},
): { losses: Tensor; probabilities: Tensor } {
  const x = toTensor(logits);
  checkRank('softmaxCrossEntropy', 'logits', x, 2, '[samples, classes]');
  const [n, c] = x.shape;
  const classWeights = options.classWeights ?? broadcastTo(1, [c]);
  const sampleWeights = options.sampleWeights ?? broadcastTo(1, [n]);
  const attrs: CrossEntropyAttrs = { ignoreLabel: options.ignoreLabel ?? null };
  const [losses, probabilities] = apply(softmaxCrossEntropyOp, [x, labels, classWeights, sampleWeights], attrs);
  return { losses, probabilities };
}
