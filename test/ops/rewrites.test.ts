/** The rewrites to fused kernels: which ones a graph gets, and that they change no value. Computed in float64, without a device. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { isLeaf } from '../../src/graph/leaves.ts';
import { getOp } from '../../src/graph/op.ts';
import type { Stage } from '../../src/graph/op.ts';
import { topologicalOrder } from '../../src/graph/node.ts';
import { runReference } from '../../src/graph/reference.ts';
import { rewrite } from '../../src/graph/rewrite.ts';
import { batchNorm } from '../../src/ops/batch-norm.ts';
import { add } from '../../src/ops/binary.ts';
import { concat } from '../../src/ops/concat.ts';
import { conv2d } from '../../src/ops/conv2d.ts';
import { maxPool2d } from '../../src/ops/max-pool2d.ts';
import { normalize } from '../../src/ops/normalize.ts';
import { mean, sum } from '../../src/ops/reduce.ts';
import type { PoolOptions } from '../../src/ops/support/pool.ts';
import { relu } from '../../src/ops/unary.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { grad } from '../../src/tensor/grad.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { apply, wrap } from '../../src/tensor/tensor.ts';

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
function rewritten(tensors: readonly Tensor[], taken: readonly Stage[] = []): { ops: string[]; applied: string[] } {
  const values = tensors.map((t) => t.value);
  const { roots, applied } = rewrite(values, false, taken);
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

/** By statistics of its own, that are given. */
const normalized = (x: Tensor, epsilon = 1e-3): Tensor => {
  const channels = x.shape[x.shape.length - 1];
  return normalize(x, random(channels), wrap(new Float32Array(channels).fill(0.5), [channels], 'float32'), random(channels), random(channels), { epsilon });
};

test('normalize + relu is the epilogue of a convolution that it alone reads, where a device takes epilogues', () => {
  const x = random(2, 4, 4, 3);
  const conv = (options = {}): Tensor => conv2d(x, random(5, 3, 3, 3), options);
  const y = relu(normalized(conv({ bias: random(5), padding: 1 })));
  assert.equal(rewritten([y]).ops, ['conv2d', 'normalize']);
  assert.equal(rewritten([y], ['epilogue']).ops, ['conv2dNormalize']);
  // what is convolved is asked for, read besides, for its mean too, or went through a ReLU
  const asked = conv();
  assert.equal(rewritten([normalized(asked), asked], ['epilogue']).ops, ['conv2d', 'normalize']);
  const read = conv();
  assert.equal(rewritten([add(normalized(read), read)], ['epilogue']).ops, ['add', 'conv2d', 'normalize']);
  const twice = conv();
  const by = normalize(twice, mean(twice, [0, 1, 2]), mean(random(2, 5).mul(0.1).add(1), [0]), random(5), random(5));
  assert.ok(rewritten([by], ['epilogue']).ops.includes('conv2d'));
  assert.equal(rewritten([normalized(relu(conv()))], ['epilogue']).ops, ['conv2d', 'normalize']);
  // the statistics are the batch's own
  assert.equal(rewritten([batchNorm(conv(), random(5), random(5)).y], ['epilogue']).ops, ['conv2dStats', 'normalize']);
});

test('convolutions 1x1 of one image become one with their epilogues, of the same epsilon', () => {
  const x = random(2, 4, 4, 8);
  const block = (epsilon: number): Tensor => concat([4, 3, 5].map((n, i) => relu(normalized(conv2d(x, random(n, 1, 1, 8)), i === 0 ? epsilon : 1e-3))));
  const of = (name: string, { ops }: { ops: string[] }): number => ops.filter((op) => op === name).length;
  const same = rewritten([sum(block(1e-3))], ['epilogue']);
  assert.equal([of('conv2dNormalize', same), of('normalize', same), of('slice', same)], [1, 0, 3]);
  assert.ok(same.applied.includes('conv2dNormalize of one image'));
  assert.is(of('conv2dNormalize', rewritten([sum(block(1e-2))], ['epilogue'])), 2);
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
  // The gradients of biases ahead of batch norm are no sums.
  const fused = ops.filter((name) => /conv2d|Norm|norm|relu|sum/i.test(name));
  assert.equal(fused, [
    'batchNormReluGrad', 'batchNormReluGrad', 'conv2dFilterGrad', 'conv2dFilterGrad', 'conv2dInputGrad', 'conv2dStats', 'conv2dStats',
    'normalize', 'normalize',
  ]);
});

test('gradients between convolution and batch norm are made on their way, where nothing else reads them', () => {
  const stages = ['gradient-prologue'] as const;
  const gradients = (active: boolean, use: (dy: Tensor) => Tensor[]): string[] => {
    const [x, parameters] = [random(2, 5, 5, 3), [random(4, 3, 3, 3), random(4), random(4), random(4)]];
    const [filter, bias, gamma, beta] = parameters;
    const inner = relu(batchNorm(conv2d(x, random(3, 1, 1, 3)), random(3), random(3)).y);
    const conv = conv2d(inner, filter, { bias, padding: 1 });
    const { y } = batchNorm(conv, gamma, beta);
    const loss = mean((active ? relu(y) : y).mul(random(...y.shape)));
    const [dy, ...others] = grad(loss, [conv, ...parameters, inner]);
    return rewritten([loss, ...others, ...use(dy)], stages).ops.filter((name) => /Grad/.test(name));
  };
  for (const active of [true, false]) assert.equal(gradients(active, () => []), ['conv2dBatchNormGrad'], `ReLU ${active}`);
  const separate = ['batchNormReluGrad', 'conv2dFilterGrad', 'conv2dInputGrad'];
  assert.equal(gradients(true, (dy) => [dy]), separate, 'asked for');
  assert.equal(gradients(true, (dy) => [sum(dy.mul(dy))]), separate, 'read elsewhere too');
});

test('a filter gradient that needs the image gradient stays apart from it', () => {
  const [x, filter, gamma, beta] = [random(2, 5, 5, 4), random(4, 3, 3, 4), random(4), random(4)];
  const inner = relu(x);
  const conv = conv2d(inner, filter, { padding: 1 });
  const loss = mean(relu(batchNorm(conv, gamma, beta).y).mul(random(2, 5, 5, 4)));
  const [dy, dx] = grad(loss, [conv, inner]);
  const attrs = { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], filterShape: [...filter.shape] };
  const { ops } = rewritten(apply(getOp('conv2dFilterGrad'), [dx, dy], attrs), ['gradient-prologue']);
  assert.ok(ops.includes('conv2dFilterGrad') && ops.includes('batchNormReluGrad'), ops.join());
});

test('the gradient of a bias ahead of batch norm is zero, and no number where that of beta is none', () => {
  const [x, filter, bias, gamma, beta] = [random(2, 4, 4, 3), random(4, 3, 3, 3), random(4), random(4), random(4)];
  const biasGradient = (factor: number, through: (y: Tensor) => Tensor): number[] => {
    const y = through(batchNorm(conv2d(x, filter, { bias }), gamma, beta).y);
    const loss = mean(y.mul(random(...y.shape)).mul(factor));
    const { roots, applied } = rewrite(grad(loss, [bias]).map((t) => t.value));
    assert.ok(applied.includes('sum of batchNormGrad'), applied.join());
    return [...runReference(roots)[0]];
  };
  for (const through of [relu, (y: Tensor) => y]) assert.equal(biasGradient(1, through), [0, 0, 0, 0]);
  assert.ok(biasGradient(NaN, (y) => y).every(Number.isNaN));
});

test('only over all rows, and with statistics of what was normalized, the gradient of batch norm adds up to zero', () => {
  const [dy, x, other] = [random(4, 4), random(4, 4), random(4, 4)];
  const [gamma, beta] = [random(4), random(4)];
  const summed = (statisticsOf: Tensor, axis: number, keepDims = false): string[] => {
    const { mean: m, variance } = batchNorm(statisticsOf, gamma, beta);
    const [dx] = apply(getOp('batchNormGrad'), [dy, x, m, variance, gamma], { epsilon: 1e-3, fixGamma: false });
    return rewritten([sum(dx, axis, { keepDims })]).applied;
  };
  assert.equal(summed(x, 0), ['sum of batchNormGrad']);
  assert.equal(summed(other, 0), []);
  assert.equal(summed(x, 1), []);
  assert.equal(summed(x, 0, true), []);
});

test('by given statistics a bias has a gradient', () => {
  const [x, bias, gamma, beta] = [random(2, 4, 4, 3), random(3), random(3), random(3)];
  const { mean: m, variance } = batchNorm(random(2, 4, 4, 3), gamma, beta);
  const y = relu(normalize(add(x, bias), m, variance, gamma, beta));
  const { ops } = rewritten(grad(mean(y.mul(random(...y.shape))), [bias]));
  assert.ok(ops.includes('sum'), ops.join());
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

/** Three branches of an Inception block over x [2,4,4,8], with the rest of the block between them and the sum. */
function branches(x: Tensor): { filters: Tensor[]; y: Tensor } {
  const filters = [random(4, 1, 1, 8), random(3, 1, 1, 8), random(5, 1, 1, 8), random(6, 3, 3, 3)];
  const [a, b, c] = filters.slice(0, 3).map((w) => relu(batchNorm(conv2d(x, w), random(w.shape[0]), random(w.shape[0])).y));
  return { filters, y: concat([a, relu(conv2d(b, filters[3], { padding: 1 })), c]) };
}

test('max pooling and its gradient: the indices are kept, and x is not read again', () => {
  const x = random(2, 7, 6, 3);
  const pooled = (options: PoolOptions): Tensor[] => {
    const y = maxPool2d(x, options);
    return [y, ...grad(sum(y.mul(random(...y.shape))), [x])];
  };
  const options = { size: 3, stride: 2, padding: 1 };
  const { ops, applied } = rewritten(pooled(options));
  assert.equal(ops.filter((name) => name.startsWith('maxPool')), ['maxPool2dIndexGrad', 'maxPool2dIndices']);
  assert.equal(applied, ['maxPool2d + indices', 'maxPool2dGrad by indices']);
  // x computed again costs nothing to keep
  assert.equal(rewrite(pooled(options).map((t) => t.value), true).applied, []);
  // no gradient: no indices; a window of more places than a byte counts: x is read
  assert.equal(rewritten([maxPool2d(x, options)]).ops, ['maxPool2d']);
  assert.ok(rewritten(pooled({ size: 16, padding: 8 })).ops.includes('maxPool2dGrad'));
});

test('two gradients of one max pooling read the same indices', () => {
  const x = random(1, 6, 6, 4);
  const y = maxPool2d(x, { size: 2 });
  const gradients = [1, 2].flatMap((power) => grad(sum(y.mul(random(...y.shape)).mul(power)), [x]));
  const { ops } = rewritten(gradients);
  assert.equal(ops.filter((name) => name.startsWith('maxPool')), ['maxPool2dIndexGrad', 'maxPool2dIndexGrad', 'maxPool2dIndices']);
});

test('convolutions 1x1 of one image become one, in all directions', () => {
  const x = random(2, 4, 4, 8);
  const { filters, y } = branches(x);
  const [dx, ...gradients] = grad(mean(y.mul(random(...y.shape))), [x, ...filters]);
  // parameters' gradients go into an arena: nobody asks for them as such
  const { ops, applied } = rewritten([sum(dx), ...gradients.map((g) => g.mul(2))]);
  assert.equal(applied.filter((name) => name.includes('conv2d') && / of /.test(name)).sort(), [
    'conv2dFilterGrad of one image', 'conv2dStats of one image', 'sum of conv2dInputGrad',
  ]);
  const of = (name: string): number => ops.filter((op) => op === name).length;
  // what is left beside the merged one is the convolution 3x3
  assert.equal([of('conv2dStats'), of('conv2d'), of('conv2dFilterGrad'), of('conv2dInputGrad'), of('add')], [1, 1, 2, 2, 0]);
});

test('convolutions of one image that need each other, or differ, stay apart', () => {
  const x = random(1, 4, 4, 6);
  const first = conv2d(x, random(6, 1, 1, 6));
  const second = conv2d(x, mean(first, [0, 1]).sum(0).mul(random(5, 1, 1, 6)));
  assert.equal(rewritten([sum(first), sum(second)]).ops.filter((op) => op === 'conv2d').length, 2);
  const strided = [conv2d(x, random(4, 1, 1, 6), { stride: 2 }), conv2d(x, random(4, 1, 1, 6), { stride: 2 })];
  assert.equal(rewritten(strided.map((t) => sum(t))).ops.filter((op) => op === 'conv2d').length, 2);
});

test('two merges that would need each other: one of them is left undone', () => {
  const [u, v] = [random(1, 3, 3, 4), random(1, 3, 3, 4)];
  const filter = (from: Tensor): Tensor => mean(from, [0, 1, 2]).mul(random(4, 1, 1, 4));
  const [a, b] = [conv2d(u, random(4, 1, 1, 4)), conv2d(v, random(4, 1, 1, 4))];
  // of u: a, and one that needs b; of v: b, and one that needs a
  const [c, d] = [conv2d(u, filter(b)), conv2d(v, filter(a))];
  const { ops } = rewritten([a, b, c, d].map((t) => sum(t)));
  assert.is(ops.filter((op) => op === 'conv2d').length, 3);
});

test.run();
