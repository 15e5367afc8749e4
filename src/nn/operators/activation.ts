import { hashName } from '../../random/philox.ts';
import { flag, float, ignored, integer, oneOf, optionalTuple } from '../attributes.ts';
import type { Emitter } from '../operator.ts';
import { axisInMemory, defineOperator, permuted, resolveAxis } from '../operator.ts';

const activationOps = { relu: 'relu', sigmoid: 'sigmoid', tanh: 'tanh', softrelu: 'softplus' } as const;

export const activation = defineOperator({
  name: 'Activation',
  kind: 'activation',
  schema: { act_type: oneOf(['relu', 'sigmoid', 'tanh', 'softrelu', 'softsign']) },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    if (a.act_type !== 'softsign') return e.emit(activationOps[a.act_type], [x], {});
    const [magnitude] = e.emit('abs', [x], {});
    const [divisor] = e.emit('add', [magnitude, e.scalar(1)], {});
    return e.emit('divide', [x, divisor], {});
  },
});

export const leakyRelu = defineOperator({
  name: 'LeakyReLU',
  kind: 'activation',
  schema: {
    act_type: oneOf(['leaky', 'elu'], 'leaky'),
    slope: float(0.25),
    // Of rrelu, which is refused; files state them beside other types.
    lower_bound: ignored,
    upper_bound: ignored,
  },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    return a.act_type === 'leaky'
      ? e.emit('leakyRelu', [x], { slope: a.slope })
      : e.emit('elu', [x], { alpha: a.slope });
  },
});

/** Softmax or its logarithm along any axis: the ops work along the last. */
function softmaxAlong<V>(e: Emitter<V>, op: string, x: V, axis: number, layer: string): V {
  const rank = e.typeOf(x).shape.length;
  const at = axisInMemory(resolveAxis(axis, rank, layer), rank);
  const axes = Array.from({ length: rank }, (_, i) => i);
  const forth = [...axes.filter((i) => i !== at), at];
  const [y] = e.emit(op, [permuted(e, x, forth)], {});
  return permuted(e, y, axes.map((i) => forth.indexOf(i)));
}

const softmaxOperators = [['softmax', 'softmax'], ['log_softmax', 'logSoftmax']].map(([name, op]) =>
  defineOperator({
    name,
    kind: 'activation',
    schema: { axis: integer(-1), temperature: float(1), dtype: oneOf(['None', 'float32'], 'None'), use_length: flag(false) },
    inputs: () => ['data'],
    lower(e, [x], { name: layer, attributes: a }) {
      const [scaled] = a.temperature === 1 ? [x] : e.emit('divide', [x, e.scalar(a.temperature)], {});
      return [softmaxAlong(e, op, scaled, a.axis, layer)];
    },
  }));

/** Softmax over the classes; over the channels at each position with mode `channel`. */
export const softmaxActivation = defineOperator({
  name: 'SoftmaxActivation',
  kind: 'activation',
  schema: { mode: oneOf(['instance', 'channel'], 'instance') },
  inputs: () => ['data'],
  lower(e, [x], { name }) {
    return [softmaxAlong(e, 'softmax', x, 1, name)];
  },
});

/** Dropout by Philox draws keyed by the layer's name; the identity outside training. */
export const dropout = defineOperator({
  name: 'Dropout',
  kind: 'random',
  schema: {
    p: float(0.5),
    mode: oneOf(['training', 'always'], 'training'),
    axes: optionalTuple(),
    cudnn_off: ignored,
  },
  inputs: () => ['data'],
  outputCount: () => 2,
  lower(e, [x], { name, attributes: a }) {
    if ((!e.training && a.mode === 'training') || a.p === 0) return [x];
    const { seed, step, ids } = e.random(e.typeOf(x).shape[0]);
    return e.emit('dropout', [x, seed, step, ids], { rate: a.p, key: hashName(name) });
  },
});

export const activations = [activation, leakyRelu, ...softmaxOperators, softmaxActivation, dropout];
