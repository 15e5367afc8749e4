import { flag, integer, optionalTuple } from '../attributes.ts';
import { axisInMemory, defineOperator, permuted, resolveAxis, toMemory } from '../operator.ts';

/** sum, mean, max, min over some axes, or all; `exclude` means all but those. */
const reduce = ([['sum', 'sum', 'sum_axis'], ['mean', 'mean'], ['max', 'max', 'max_axis'], ['min', 'min', 'min_axis']] as const)
  .map(([name, op, ...aliases]) =>
    defineOperator({
      name,
      aliases,
      kind: 'arithmetic',
      schema: { axis: optionalTuple(), keepdims: flag(false), exclude: flag(false) },
      inputs: () => ['data'],
      lower(e, [x], { name: layer, attributes: a }) {
        const rank = e.typeOf(x).shape.length;
        const all = Array.from({ length: rank }, (_, i) => i);
        const named = a.axis === null ? all : a.axis.map((axis) => resolveAxis(axis, rank, layer));
        const logical = a.exclude && a.axis !== null ? all.filter((i) => !named.includes(i)) : named;
        const axes = logical.map((axis) => axisInMemory(axis, rank)).sort((p, q) => p - q);
        const [y] = e.emit(op, [x], { axes, keepDims: a.keepdims });
        if (a.keepdims) return [y];
        // What is left stands in memory order; MXNet's order is that of its own axes.
        const left = toMemory(rank).filter((axis) => !logical.includes(axis));
        const order = [...left].sort((p, q) => p - q);
        // MXNet has no scalars: a full reduction has shape [1].
        if (left.length === 0) return e.emit('reshape', [y], { shape: [1] });
        return [permuted(e, y, order.map((axis) => left.indexOf(axis)))];
      },
    }));

const argmax = defineOperator({
  name: 'argmax',
  kind: 'arithmetic',
  schema: { axis: integer(), keepdims: flag(false) },
  inputs: () => ['data'],
  lower(e, [x], { name: layer, attributes: a }) {
    const { shape } = e.typeOf(x);
    const rank = shape.length;
    const logical = resolveAxis(a.axis, rank, layer);
    const [index] = e.emit('argMax', [x], { axis: axisInMemory(logical, rank) });
    const [y] = e.emit('cast', [index], { dtype: 'float32' });
    const left = toMemory(rank).filter((axis) => axis !== logical);
    if (a.keepdims) {
      return e.emit('reshape', [y], { shape: toMemory(rank).map((axis, i) => (axis === logical ? 1 : shape[i])) });
    }
    return [permuted(e, y, [...left].sort((p, q) => p - q).map((axis) => left.indexOf(axis)))];
  },
});

export const reductions = [...reduce, argmax];
