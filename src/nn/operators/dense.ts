import { ShapeError } from '../../errors.ts';
import { flag, integer } from '../attributes.ts';
import { defineOperator, inMemoryOrder, reshaped, reshapedInMXNetOrder, shapeInMXNet } from '../operator.ts';

/** `x W^T + b`. The weight is [out, in] with `in` in MXNet's order: images are transposed, not the weight. */
export const fullyConnected = defineOperator({
  name: 'FullyConnected',
  kind: 'dense',
  schema: { num_hidden: integer(undefined, 1), no_bias: flag(false), flatten: flag(true) },
  inputs: (a) => (a.no_bias ? ['data', 'weight'] : ['data', 'weight', 'bias']),
  completeShapes([data, weight, bias], { attributes: a }) {
    if (data === undefined) return [data, weight, bias];
    const features = a.flatten ? data.slice(1).reduce((n, d) => n * d, 1) : data[data.length - 1];
    return [data, [a.num_hidden, features], [a.num_hidden]];
  },
  lower(e, [x, weight, bias], { attributes: a }) {
    const shape = shapeInMXNet(e.typeOf(x).shape);
    if (shape.length < 1) throw new ShapeError('data: expected one axis or more, got a scalar');
    const features = a.flatten ? shape.slice(1).reduce((n, d) => n * d, 1) : shape[shape.length - 1];
    const outer = a.flatten ? [shape[0]] : shape.slice(0, -1);
    const rows = outer.reduce((n, d) => n * d, 1);
    const flat = reshapedInMXNetOrder(e, x, [rows, features]);
    const [product] = e.emit('matmul', [flat, weight], { transposeA: false, transposeB: true });
    const [y] = bias === undefined ? [product] : e.emit('add', [product, bias], {});
    return [inMemoryOrder(e, reshaped(e, y, [...outer, a.num_hidden]))];
  },
});

/** Product of two matrices. */
export const dot = defineOperator({
  name: 'dot',
  kind: 'dense',
  schema: { transpose_a: flag(false), transpose_b: flag(false) },
  inputs: () => ['lhs', 'rhs'],
  lower(e, inputs, { attributes: a }) {
    for (const input of inputs) {
      const { shape } = e.typeOf(input);
      if (shape.length !== 2) throw new ShapeError(`expected two matrices, got a tensor of ${shape.length} axes`);
    }
    return e.emit('matmul', inputs, { transposeA: a.transpose_a, transposeB: a.transpose_b });
  },
});

export const dense = [fullyConnected, dot];
