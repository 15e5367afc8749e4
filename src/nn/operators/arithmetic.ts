import type { Shape } from '../../device/types.ts';
import { float, integer, oneOf } from '../attributes.ts';
import { defineOperator } from '../operator.ts';

/** Unary operators: MXNet's name, then the op's where it differs. */
const unary = [
  ['relu'], ['sigmoid'], ['tanh'], ['exp'], ['log'], ['sqrt'], ['rsqrt'], ['square'], ['abs'], ['negative', 'neg'],
  ['reciprocal'], ['sign'], ['floor'], ['sin'], ['cos'],
].map(([name, op = name]) =>
  defineOperator({
    name,
    kind: op === 'relu' || op === 'sigmoid' || op === 'tanh' ? 'activation' : 'arithmetic',
    schema: {},
    inputs: () => ['data'],
    lower: (e, inputs) => e.emit(op, inputs, {}),
  }));

/** Operators of two tensors of one shape, with the names that files of all ages have for them. */
const elementwise = ([
  ['elemwise_add', 'add', '_plus', '_Plus', '_add'],
  ['elemwise_sub', 'subtract', '_minus', '_Minus', '_sub'],
  ['elemwise_mul', 'multiply', '_mul', '_Mul'],
  ['elemwise_div', 'divide', '_div', '_Div'],
  ['_maximum', 'maximum', '_Maximum'],
  ['_minimum', 'minimum', '_Minimum'],
  ['_power', 'pow', '_Power'],
] as const).map(([name, op, ...aliases]) =>
  defineOperator({
    name,
    aliases,
    kind: 'arithmetic',
    schema: {},
    inputs: () => ['lhs', 'rhs'],
    completeShapes: sameShape,
    lower: (e, inputs) => e.emit(op, inputs, {}),
  }));

const broadcast = ([
  ['broadcast_add', 'add', 'broadcast_plus'],
  ['broadcast_sub', 'subtract', 'broadcast_minus'],
  ['broadcast_mul', 'multiply'],
  ['broadcast_div', 'divide'],
  ['broadcast_power', 'pow'],
  ['broadcast_maximum', 'maximum'],
  ['broadcast_minimum', 'minimum'],
] as const).map(([name, op, ...aliases]) =>
  defineOperator({
    name,
    aliases,
    kind: 'arithmetic',
    schema: {},
    inputs: () => ['lhs', 'rhs'],
    lower: (e, inputs) => e.emit(op, inputs, {}),
  }));

/** Comparisons give 0 or 1 in the type of their inputs. */
const comparisons = ([
  ['broadcast_equal', 'equal'], ['broadcast_not_equal', 'notEqual'], ['broadcast_greater', 'greater'],
  ['broadcast_greater_equal', 'greaterEqual'], ['broadcast_lesser', 'less'], ['broadcast_lesser_equal', 'lessEqual'],
] as const).map(([name, op]) =>
  defineOperator({
    name,
    kind: 'arithmetic',
    schema: {},
    inputs: () => ['lhs', 'rhs'],
    lower(e, inputs) {
      const [truth] = e.emit(op, inputs, {});
      return e.emit('cast', [truth], { dtype: 'float32' });
    },
  }));

/** A tensor and a number; `reversed` has the number first. */
const scalars = ([
  ['_plus_scalar', 'add', false, '_PlusScalar'],
  ['_minus_scalar', 'subtract', false, '_MinusScalar'],
  ['_rminus_scalar', 'subtract', true, '_RMinusScalar'],
  ['_mul_scalar', 'multiply', false, '_MulScalar'],
  ['_div_scalar', 'divide', false, '_DivScalar'],
  ['_rdiv_scalar', 'divide', true, '_RDivScalar'],
  ['_power_scalar', 'pow', false, '_PowerScalar'],
  ['_rpower_scalar', 'pow', true, '_RPowerScalar'],
  ['_maximum_scalar', 'maximum', false, '_MaximumScalar'],
  ['_minimum_scalar', 'minimum', false, '_MinimumScalar'],
] as const).map(([name, op, reversed, ...aliases]) =>
  defineOperator({
    name,
    aliases,
    kind: 'arithmetic',
    schema: { scalar: float(), is_int: oneOf(['True', 'False', '1', '0'], 'True') },
    inputs: () => ['data'],
    lower(e, [x], { attributes: a }) {
      const number = e.scalar(a.scalar);
      return e.emit(op, reversed ? [number, x] : [x, number], {});
    },
  }));

const addN = defineOperator({
  name: 'add_n',
  aliases: ['ElementWiseSum', 'elemwise_sum', 'element_wise_sum'],
  kind: 'arithmetic',
  schema: { num_args: integer(undefined, 1) },
  completeShapes: sameShape,
  lower(e, [first, ...rest]) {
    return [rest.reduce((sum, x) => e.emit('add', [sum, x], {})[0], first)];
  },
});

const clip = defineOperator({
  name: 'clip',
  kind: 'arithmetic',
  schema: { a_min: float(), a_max: float() },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    const [low] = e.emit('maximum', [x, e.scalar(a.a_min)], {});
    return e.emit('minimum', [low, e.scalar(a.a_max)], {});
  },
});

const copy = defineOperator({
  name: '_copy',
  aliases: ['identity'],
  kind: 'arithmetic',
  schema: {},
  inputs: () => ['data'],
  lower: (_e, [x]) => [x],
});

const cast = defineOperator({
  name: 'Cast',
  aliases: ['cast'],
  kind: 'arithmetic',
  schema: { dtype: oneOf(['float32', 'int32', 'uint8', 'bool']) },
  inputs: () => ['data'],
  lower: (e, [x], { attributes: a }) => e.emit('cast', [x], { dtype: a.dtype }),
});

function sameShape(shapes: readonly (Shape | undefined)[]): (Shape | undefined)[] {
  const known = shapes.find((s) => s !== undefined);
  return shapes.map((s) => s ?? known);
}

export const arithmetic = [
  ...unary, ...elementwise, ...broadcast, ...comparisons, ...scalars, addN, clip, copy, cast,
];
