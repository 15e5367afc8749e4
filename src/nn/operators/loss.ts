import { OptionError } from '../../errors.ts';
import type { Shape } from '../../device/types.ts';
import { flag, float, integer, oneOf } from '../attributes.ts';
import { defineOperator } from '../operator.ts';

/**
 * Softmax whose gradient is that of the cross-entropy with the label, `(p - onehot) * grad_scale`, whatever the head
 * gradient: a sum over samples unless `normalization` says otherwise. Labels of the data's own shape are soft ones.
 * Classes lie along axis 1 with `multi_output`, else along the last. In inference the label may be left out.
 */
const softmaxOutput = defineOperator({
  name: 'SoftmaxOutput',
  aliases: ['Softmax'],
  kind: 'loss',
  schema: {
    grad_scale: float(1),
    ignore_label: float(-1),
    use_ignore: flag(false),
    multi_output: flag(false),
    preserve_shape: flag(false),
    normalization: oneOf(['null', 'batch', 'valid'], 'null'),
    out_grad: flag(false),
    smooth_alpha: float(0),
  },
  inputs: () => ['data', 'label'],
  optionalInInference: ['label'],
  completeShapes([data, label], { attributes: a }) {
    if (data === undefined) return [data, label];
    return [data, a.multi_output ? [data[0], ...data.slice(2)] : data.slice(0, -1)];
  },
  lower(e, [x, label], { attributes: a }) {
    if (a.out_grad) throw new OptionError('out_grad is not supported');
    const rank = e.typeOf(x).shape.length;
    if (rank !== 2 && !(a.multi_output && rank === 4) && !a.preserve_shape) {
      throw new OptionError(`data of ${rank} axes: expected two, or four with multi_output, or preserve_shape`);
    }
    if (label === undefined) return e.emit('softmax', [x], {});
    return e.emit('softmaxOutput', [x, label], {
      gradScale: a.grad_scale,
      ignoreLabel: a.ignore_label,
      useIgnore: a.use_ignore,
      multiOutput: a.multi_output,
      normalization: a.normalization,
      smoothAlpha: a.smooth_alpha,
    });
  },
});

/** Outputs of regression: the value (or its sigmoid), with `(output - label) * grad_scale / outputs per sample`. */
const regressions = ([
  ['LinearRegressionOutput', 'linearRegressionOutput', 'identity'],
  ['LogisticRegressionOutput', 'logisticRegressionOutput', 'sigmoid'],
] as const).map(([name, op, link]) =>
  defineOperator({
    name,
    kind: 'loss',
    schema: { grad_scale: float(1) },
    inputs: () => ['data', 'label'],
    optionalInInference: ['label'],
    completeShapes: ([data, label]: readonly (Shape | undefined)[]) => [data, label ?? data],
    lower(e, [x, label], { attributes: a }) {
      if (label === undefined) return link === 'identity' ? [x] : e.emit(link, [x], {});
      return e.emit(op, [x, label], { gradScale: a.grad_scale });
    },
  }));

/** The identity, whose gradient is `grad_scale` whatever the head gradient. */
const makeLoss = defineOperator({
  name: 'MakeLoss',
  aliases: ['make_loss'],
  kind: 'loss',
  schema: { grad_scale: float(1), normalization: oneOf(['null', 'batch', 'valid'], 'null'), valid_thresh: float(0) },
  inputs: () => ['data'],
  lower: (e, [x], { attributes: a }) =>
    e.emit('makeLoss', [x], { gradScale: a.grad_scale, normalization: a.normalization, validThresh: a.valid_thresh }),
});

const blockGradient = defineOperator({
  name: 'BlockGrad',
  aliases: ['stop_gradient'],
  kind: 'loss',
  schema: {},
  inputs: () => ['data'],
  lower: (e, [x]) => [e.detach(x)],
});

/** The class of largest score, as a float; no gradient. */
const classIndex = defineOperator({
  name: 'argmax_channel',
  kind: 'arithmetic',
  schema: { num_args: integer(1) },
  inputs: () => ['data'],
  lower(e, [x]) {
    const [index] = e.emit('argMax', [x], { axis: e.typeOf(x).shape.length === 4 ? 3 : 1 });
    return e.emit('cast', [index], { dtype: 'float32' });
  },
});

export const losses = [softmaxOutput, ...regressions, makeLoss, blockGradient, classIndex];
