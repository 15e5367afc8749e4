/** The rewrites to fused kernels: which ones a graph gets, and that they change no value. Computed in float64, without a device. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { isLeaf } from '../../src/graph/leaves.ts';
import { topologicalOrder } from '../../src/graph/node.ts';
import { runReference } from '../../src/graph/reference.ts';
import { rewrite } from '../../src/graph/rewrite.ts';
import { batchNorm } from '../../src/ops/batch-norm.ts';
import { add } from '../../src/ops/binary.ts';
import { conv2d } from '../../src/ops/conv2d.ts';
import { normalize } from '../../src/ops/normalize.ts';
import { mean, sum } from '../../src/ops/reduce.ts';
import { relu } from '../../src/ops/unary.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { grad } from '../../src/tensor/grad.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { wrap } from '../../src/tensor/tensor.ts';

const stream = new PhiloxStream(3, 'rewrites');

function random(...shape: number[]): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  return wrap(Float32Array.from({ length: n }, () => stream.uniform(-1, 1)), shape, 'float32');
}

function opNames(tensors: readonly Tensor[]): string[] {
  return count(topologicalOrder(tensors.map((t) => t.value.node)).filter((n) => !isLeaf(n)).map((n) => n.op.name));
}

function count(names: readonly string[]): string[] {
  return [...names].sort();
}

/** Rewrites the graph, asserts that every value stays to float64's rounding, and returns the ops that are left. */
function rewritten(tensors: readonly Tensor[]): { ops: string[]; applied: string[] } {
  const values = tensors.map((t) => t.value);
  const { roots, applied } = rewrite(values);
  const [before, after] = [runReference(values), runReference(roots)];
  before.forEach((data, i) => {
    assert.is(after[i].length, data.length);
    data.forEach((v, j) => assert.ok(Math.abs(v - after[i][j]) <= 1e-12 * Math.max(1, Math.abs(v)), `value ${i}, element ${j}`));
  });
  const ops = topologicalOrder(roots.map((v) => v.node)).filter((n) => !isLeaf(n)).map((n) => n.op.name);
  return { ops: count(ops), applied };
}

test('conv2d + relu', () => {
  const y = relu(conv2d(random(1, 5, 5, 3), random(4, 3, 3, 3), { bias: random(4), padding: 1 }));
  assert.equal(rewritten([y]).ops, ['conv2d']);
});

test('a convolution that is asked for, or read twice, keeps its relu apart', () => {
  const y = conv2d(random(1, 5, 5, 3), random(4, 3, 3, 3));
  assert.equal(rewritten([relu(y), y]).ops, ['conv2d', 'relu']);
  const z = conv2d(random(1, 5, 5, 3), random(4, 3, 3, 3));
  assert.equal(rewritten([add(relu(z), z)]).ops, ['add', 'conv2d', 'relu']);
});

test('normalize + relu, after a convolution: inference', () => {
  const x = conv2d(random(2, 4, 4, 3), random(5, 1, 1, 3), { bias: random(5) });
  const y = relu(normalize(x, random(5), wrap(new Float32Array(5).fill(0.5), [5], 'float32'), random(5), random(5)));
  assert.equal(rewritten([y]).ops, ['conv2d', 'normalize']);
});

/** conv, batch norm, relu: the unit of an Inception. */
function unit(x: Tensor, filters: number, parameters: Tensor[], statistics: Tensor[]): Tensor {
  const filter = random(filters, 3, 3, x.shape[3]);
  const [bias, gamma, beta] = [random(filters), random(filters), random(filters)];
  parameters.push(filter, bias, gamma, beta);
  const { y, mean: m, variance } = batchNorm(conv2d(x, filter, { bias, padding: 1 }), gamma, beta);
  statistics.push(m, variance);
  return relu(y);
}

test('conv2d + batchNorm + relu, forward: conv2dStats and normalize', () => {
  const statistics: Tensor[] = [];
  const y = unit(random(2, 4, 4, 3), 4, [], statistics);
  const { ops, applied } = rewritten([y, ...statistics]);
  assert.equal(ops, ['conv2dStats', 'normalize']);
  assert.ok(applied.includes('conv2d + batch statistics') && applied.includes('batchNorm + conv2dStats'), applied.join());
});

test('batchNorm + relu without a convolution', () => {
  const x = random(6, 4);
  const { y, mean: m } = batchNorm(x, random(4), random(4));
  assert.equal(rewritten([relu(y), m]).ops, ['batchNorm']);
  // its result is asked for too
  const second = batchNorm(x, random(4), random(4));
  assert.equal(rewritten([relu(second.y), second.y]).ops, ['batchNorm', 'relu']);
});

test('two units, trained: fused forward and backward', () => {
  const parameters: Tensor[] = [];
  const statistics: Tensor[] = [];
  const y = unit(unit(random(2, 5, 5, 3), 4, parameters, statistics), 5, parameters, statistics);
  const loss = mean(y.mul(random(...y.shape)));
  const asked = [loss, ...grad(loss, parameters), ...statistics];
  assert.ok(opNames(asked).includes('reluGrad'));
  const { ops } = rewritten(asked);
  const fused = ops.filter((name) => /conv2d|Norm|norm|relu/i.test(name));
  assert.equal(fused, [
    'batchNormReluGrad', 'batchNormReluGrad', 'conv2dFilterGrad', 'conv2dFilterGrad', 'conv2dInputGrad', 'conv2dStats', 'conv2dStats',
    'normalize', 'normalize',
  ]);
});

test('a reluGrad of another batch norm is not taken for its own', () => {
  const x = random(6, 4);
  const [gamma, beta] = [random(4), random(4)];
  const first = batchNorm(x, gamma, beta, { epsilon: 1e-3 });
  const second = batchNorm(x, gamma, beta, { epsilon: 1e-1 });
  const loss = sum(add(relu(first.y), relu(second.y)).mul(random(6, 4)));
  const { ops } = rewritten(grad(loss, [x, gamma, beta]));
  assert.is(ops.filter((name) => name === 'batchNormReluGrad').length, 2);
});

test('a concatenation of two norms, then one relu: nothing to fuse backward', () => {
  const x = random(6, 4);
  const y = batchNorm(x, random(4), random(4)).y;
  const loss = sum(relu(add(y, random(6, 4))));
  assert.ok(rewritten(grad(loss, [x])).ops.includes('batchNormGrad'));
});

test.run();
