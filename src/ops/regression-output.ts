/** MXNet's other loss layers: linearRegressionOutput, logisticRegressionOutput and makeLoss. Their gradients ignore the head's. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { divide, greater, maximum } from './binary.ts';
import { broadcastTo } from './broadcast-to.ts';
import { cast } from './cast.ts';
import { sum } from './reduce.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, fixed } from './support/samples.ts';
import { checkFloat, named, shapeError } from './support/shapes.ts';
import { sizeOf } from '../device/types.ts';
import { sigmoidOp } from './unary.ts';

export type RegressionAttrs = { readonly gradScale: number };

/** dx = (y - label) gradScale / outputs of a sample. */
function regressionGradient(y: Tensor, label: Tensor, { gradScale }: RegressionAttrs): Tensor {
  const perSample = label.shape.length === 0 ? 1 : label.size / label.shape[0];
  return y.sub(label.reshape(y.shape)).mul(gradScale / perSample);
}

function inferRegression(op: string, inputs: readonly TensorType[]): TensorType[] {
  checkFloat(op, ['x', 'label'], inputs);
  const [x, label] = inputs;
  if (label && sizeOf(label.shape) !== sizeOf(x.shape)) {
    shapeError(op, `${named('label', label)} should have as many elements as ${named('x', x)}`);
  }
  return [{ shape: x.shape, dtype: 'float32' }];
}

const samples = (): Sample<RegressionAttrs>[] => [
  { inputs: [f32([5, 3]), fixed([5, 3])], attrs: { gradScale: 1 } },
  { inputs: [f32([4, 1]), fixed([4])], attrs: { gradScale: 0.5 } },
  { inputs: [f32([2, 8])], attrs: { gradScale: 1 } },
];

export const linearRegressionOutputOp: DifferentiableOp<RegressionAttrs> = defineOp<RegressionAttrs>({
  name: 'linearRegressionOutput',
  inputs: ['x', 'label?'],
  infer: (inputs: readonly TensorType[]) => inferRegression('linearRegressionOutput', inputs),
  gradient: ({ attrs, inputs: [, label], outputs: [y] }) => (label ? [regressionGradient(y, label, attrs), undefined] : [undefined]),
  reference: ([x]: readonly HostTensor[]) => [x.data.slice()],
  view: () => ({ row: 0, channel: 0 }),
  precision: 'keep',
  cost: elementwiseCost(0),
  samples,
});

export const logisticRegressionOutputOp: DifferentiableOp<RegressionAttrs> = defineOp<RegressionAttrs>({
  name: 'logisticRegressionOutput',
  inputs: ['x', 'label?'],
  infer: (inputs: readonly TensorType[]) => inferRegression('logisticRegressionOutput', inputs),
  gradient: ({ attrs, inputs: [, label], outputs: [y] }) => (label ? [regressionGradient(y, label, attrs), undefined] : [undefined]),
  reference: (inputs: readonly HostTensor[], _attrs, outputs) => sigmoidOp.reference!([inputs[0]], {}, outputs),
  // the sigmoid's: they read input 0 alone
  kernels: sigmoidOp.kernels,
  precision: 'keep',
  cost: elementwiseCost(8),
  samples,
});

export type MakeLossAttrs = {
  readonly gradScale: number;
  /** `batch` divides the gradient by the first axis, `valid` by the number of elements above validThresh (at least 1). */
  readonly normalization: 'null' | 'batch' | 'valid';
  readonly validThresh: number;
};

export const makeLossOp: DifferentiableOp<MakeLossAttrs> = defineOp<MakeLossAttrs>({
  name: 'makeLoss',
  inputs: ['x'],
  infer([x]: readonly TensorType[]) {
    checkFloat('makeLoss', ['x'], [x]);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  gradient({ attrs: { gradScale, normalization, validThresh }, inputs: [x] }) {
    if (normalization === 'valid') {
      return [broadcastTo(divide(gradScale, maximum(sum(cast(greater(x, validThresh), 'float32')), 1)), x.shape)];
    }
    return [broadcastTo(normalization === 'batch' ? gradScale / x.shape[0] : gradScale, x.shape)];
  },
  reference: ([x]: readonly HostTensor[]) => [x.data.slice()],
  view: () => ({ row: 0, channel: 0 }),
  precision: 'keep',
  cost: elementwiseCost(0),
  samples: (): Sample<MakeLossAttrs>[] => [
    { inputs: [f32([5, 3])], attrs: { gradScale: 0.5, normalization: 'null', validThresh: 0 } },
    { inputs: [f32([7])], attrs: { gradScale: 2, normalization: 'valid', validThresh: 0 } },
  ],
});

function regression(op: DifferentiableOp<RegressionAttrs>, x: TensorLike, label: TensorLike | undefined, gradScale: number): Tensor {
  return apply1(op, label === undefined ? [x] : [x, label], { gradScale });
}

/** x itself; differentiated, it gives (x - label) gradScale / outputs of a sample, whatever the gradient of the result. */
export const linearRegressionOutput = (x: TensorLike, label?: TensorLike, gradScale = 1): Tensor =>
  regression(linearRegressionOutputOp, x, label, gradScale);

/** sigmoid(x); differentiated, it gives (sigmoid(x) - label) gradScale / outputs of a sample. */
export const logisticRegressionOutput = (x: TensorLike, label?: TensorLike, gradScale = 1): Tensor =>
  regression(logisticRegressionOutputOp, x, label, gradScale);

/** x itself; differentiated, it gives gradScale everywhere (normalized as said), whatever the gradient of the result. */
export function makeLoss(x: TensorLike, options: Partial<MakeLossAttrs> = {}): Tensor {
  return apply1(makeLossOp, [x], {
    gradScale: options.gradScale ?? 1,
    normalization: options.normalization ?? 'null',
    validThresh: options.validThresh ?? 0,
  });
}
