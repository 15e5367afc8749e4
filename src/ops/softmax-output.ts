/** softmaxOutput: MXNet's loss layer, whose result is the softmax and whose gradient is that of a cross-entropy. */
import type { Lowerings, TensorType } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { divide, maximum, notEqual } from './binary.ts';
import { cast } from './cast.ts';
import { oneHot } from './one-hot.ts';
import { sum } from './reduce.ts';
import { reshape } from './reshape.ts';
import { checkClasses, softmaxOp } from './softmax.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, fixed } from './support/samples.ts';
import { checkFloat, named, sameShape, shapeError, show } from './support/shapes.ts';

/** MXNet 1.9's SoftmaxOutput parameters. */
export type SoftmaxOutputAttrs = {
  readonly gradScale: number;
  readonly ignoreLabel: number;
  readonly useIgnore: boolean;
  /** x is [N, ..., C] with a label for each position; unless `valid` normalizes, the gradient is divided by the positions. */
  readonly multiOutput: boolean;
  readonly normalization: 'null' | 'batch' | 'valid';
  readonly smoothAlpha: number;
};

export const softmaxOutputOp: DifferentiableOp<SoftmaxOutputAttrs> = defineOp<SoftmaxOutputAttrs>({
  name: 'softmaxOutput',
  inputs: ['x', 'label?'],
  infer(inputs: readonly TensorType[], { normalization }) {
    const [x, label] = inputs;
    checkFloat('softmaxOutput', ['x', 'label'], inputs);
    checkClasses('softmaxOutput', 'x', x);
    if (label && !sameShape(label.shape, x.shape) && !sameShape(label.shape, x.shape.slice(0, -1))) {
      shapeError('softmaxOutput', `${named('label', label)} should be ${show(x.shape.slice(0, -1))} or like ${named('x', x)}`);
    }
    if (!['null', 'batch', 'valid'].includes(normalization)) {
      throw new OptionError(`softmaxOutput: normalization "${String(normalization)}" should be null, batch or valid`);
    }
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  gradient: ({ attrs, inputs: [, label], outputs: [p] }) => (label === undefined ? [undefined] : [lossGradient(p, label, attrs), undefined]),
  reference: (inputs: readonly HostTensor[], _attrs, outputs) => softmaxOp.reference!([inputs[0]], {}, outputs),
  magnitude: (inputs, _attrs, outputs) => softmaxOp.magnitude!([inputs[0]], {}, outputs),
  // the softmax's: they read input 0 alone
  kernels: softmaxOp.kernels as Lowerings<SoftmaxOutputAttrs> | undefined,
  precision: 'keep',
  reductionLength: ([x]) => x.shape[x.shape.length - 1],
  cost: elementwiseCost(10),
  samples(): Sample<SoftmaxOutputAttrs>[] {
    const attrs: SoftmaxOutputAttrs = {
      gradScale: 1, ignoreLabel: -1, useIgnore: false, multiOutput: false, normalization: 'null', smoothAlpha: 0,
    };
    const label = (shape: number[], values: number[]) => fixed(shape, { values });
    return [
      { inputs: [f32([5, 7]), label([5], [0, 6, 3, 3, 2])], attrs },
      { inputs: [f32([4, 3]), label([4], [0, -1, 1, 2])], attrs: { ...attrs, useIgnore: true, normalization: 'valid' } },
      { inputs: [f32([2, 2, 3, 4])], attrs: { ...attrs, multiOutput: true } },
    ];
  },
});

/**
 * MXNet's own gradient, which takes no account of the head's: with target t (one-hot; smoothed, 1 - alpha and alpha / (C - 1)),
 *   dx = (p - t) gradScale / count,  0 where the label is ignored,
 * count being 1, the number of labels (`batch`) or of labels that are not ignoreLabel (`valid`, at least 1); with `multiOutput`
 * times the positions of a sample, unless `valid`. Labels like x are soft: dx = (p - label) gradScale.
 */
function lossGradient(p: Tensor, label: Tensor, attrs: SoftmaxOutputAttrs): Tensor {
  const { gradScale, ignoreLabel, useIgnore, multiOutput, normalization, smoothAlpha } = attrs;
  if (sameShape(label.shape, p.shape)) return p.sub(label).mul(gradScale);
  const classes = p.shape[p.shape.length - 1];
  let target = oneHot(cast(label, 'int32'), classes);
  if (smoothAlpha !== 0) {
    const rest = smoothAlpha / (classes - 1);
    target = target.mul(1 - smoothAlpha - rest).add(rest);
  }
  let dx = p.sub(target);
  const counted = cast(notEqual(label, ignoreLabel), 'float32');
  if (useIgnore) dx = dx.mul(reshape(counted, [...label.shape, 1]));
  if (normalization === 'valid') return dx.mul(divide(gradScale, maximum(sum(counted), 1)));
  const positions = multiOutput ? label.size / label.shape[0] : 1;
  const count = normalization === 'batch' ? label.shape[0] : 1;
  return dx.mul(gradScale / positions / count);
}

/**
 * softmax of x [..., C] over the classes; differentiated, it gives the gradient of the cross-entropy with `label`, whatever the
 * gradient of the result. label is float32 [...] of class numbers, or [..., C] of probabilities, and may be left out at inference.
 */
export function softmaxOutput(x: TensorLike, label?: TensorLike, options: Partial<SoftmaxOutputAttrs> = {}): Tensor {
  const attrs: SoftmaxOutputAttrs = {
    gradScale: options.gradScale ?? 1,
    ignoreLabel: options.ignoreLabel ?? -1,
    useIgnore: options.useIgnore ?? false,
    multiOutput: options.multiOutput ?? false,
    normalization: options.normalization ?? 'null',
    smoothAlpha: options.smoothAlpha ?? 0,
  };
  return apply1(softmaxOutputOp, label === undefined ? [x] : [x, label], attrs);
}
