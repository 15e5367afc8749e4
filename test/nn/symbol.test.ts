import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile, data, grad, tensor } from '../../src/fovea.ts';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { OptionError, ShapeError } from '../../src/errors.ts';
import {
  activation, add, addN, batchNorm, chain, concat, convolution, createVariables, divide, dropout, flatten, fullyConnected, group,
  initialize, internals, nameScope, operator, pad, pooling, reshape, slice, sliceAxis, softmaxOutput, subtract, sum, summaryText,
  toDot, trainingAttributes, transpose, variable, withAttributes,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { throws } from '../support/errors.ts';

setDefaultDevice(await device('cpu', { threads: 2 }));

function small(): ModelSymbol {
  return chain('data',
    convolution({ name: 'conv', kernel: [3, 3], numFilter: 4, pad: [1, 1] }),
    batchNorm({ name: 'bn', fixGamma: false }),
    activation({ name: 'relu', actType: 'relu' }),
    pooling({ name: 'pool', kernel: [2, 2], stride: [2, 2], poolType: 'max' }),
    flatten({ name: 'flat' }),
    fullyConnected({ name: 'fc', numHidden: 3 }),
    softmaxOutput({ name: 'softmax' }));
}

test('lists of a chain, in MXNet\'s order and names', () => {
  const net = small();
  assert.equal(net.listArguments(), ['data', 'conv_weight', 'conv_bias', 'bn_gamma', 'bn_beta', 'fc_weight', 'fc_bias', 'softmax_label']);
  assert.equal(net.listAuxiliaryStates(), ['bn_moving_mean', 'bn_moving_var']);
  assert.equal(net.listOutputs(), ['softmax_output']);
  assert.equal(net.listParameters(['data']), ['conv_weight', 'conv_bias', 'bn_gamma', 'bn_beta', 'fc_weight', 'fc_bias']);
});

test('a network is cut at any layer and goes on from there', () => {
  const cut = internals(small()).pool_output;
  assert.equal(cut.listOutputs(), ['pool_output']);
  assert.equal(internals(small())[0].listOutputs(), ['data']);
  const longer = chain(cut, flatten(), fullyConnected({ name: 'head', numHidden: 5 }));
  assert.equal(longer.inferShape({ data: [2, 3, 8, 8] }).outputs.get('head_output'), [2, 5]);
  throws(() => internals(small()).pol_output, OptionError, /no output "pol_output".*"pool_output"/);
  throws(() => internals(small())[99], OptionError, /no output 99/);
});

test('shapes are inferred in MXNet\'s axes, those of parameters and labels too', () => {
  const shapes = small().inferShape({ data: [2, 3, 8, 10] });
  assert.equal(Object.fromEntries(shapes.arguments), {
    data: [2, 3, 8, 10], conv_weight: [4, 3, 3, 3], conv_bias: [4], bn_gamma: [4], bn_beta: [4], fc_weight: [3, 80], fc_bias: [3],
    softmax_label: [2],
  });
  assert.equal(shapes.auxiliary.get('bn_moving_var'), [4]);
  assert.equal(shapes.outputs.get('softmax_output'), [2, 3]);
});

test('errors of shape inference name the layer', () => {
  throws(() => small().inferShape({ data: [2, 3, 8] }), ShapeError, /layer "conv" \(Convolution\).*NCHW/);
  throws(() => small().inferShape({ data: [2, 3, 8, 8], fc_weight: [3, 65] }), ShapeError, /layer "fc" \(FullyConnected\)/);
  throws(() => small().inferShape({}), ShapeError, /"data"/);
  throws(() => small().inferShape({ date: [1] }), OptionError, /"date"/);
  const join = concat([variable('a'), variable('b')], { name: 'join' });
  throws(() => join.inferShape({ a: [1, 2, 4, 4], b: [1, 2, 5, 4] }), ShapeError, /layer "join"/);
});

test('what is no layer or option is refused by name', () => {
  throws(() => operator('Convulution', [variable('x')]), OptionError, /"Convulution" is not supported; did you mean "Convolution"/);
  throws(() => convolution({ kernel: [3, 3], numFilters: 3 } as never)(variable('x')), OptionError, /"numFilters"; did you mean "numFilter"/);
  throws(() => convolution(variable('x'), { kernel: [3, 3] } as never), OptionError, /num_filter is not stated/);
  throws(() => activation(variable('x'), { actType: 'relo' as 'relu' }), OptionError, /act_type: expected one of relu.*"relo"/);
  throws(() => small().apply({}, { dat: tensor([1]) }), OptionError, /no input "dat"; did you mean "data"/);
  throws(() => small().apply({}, { data: tensor([[[[1]]]]) }), OptionError, /layer "conv".*"conv_weight"/);
});

test('layers without names are counted as MXNet counts them, anew in a scope', () => {
  const build = (): string[] => chain('data', fullyConnected({ numHidden: 2 }), activation({ actType: 'tanh' }), fullyConnected({ numHidden: 2 }))
    .nodes.filter((n) => n.op !== 'null').map((n) => n.name);
  assert.equal(nameScope(build), ['fullyconnected0', 'activation0', 'fullyconnected1']);
  assert.equal(nameScope(build), ['fullyconnected0', 'activation0', 'fullyconnected1']);
});

test('layers share a parameter that is given', () => {
  const weight = variable('shared');
  const one = fullyConnected(variable('a'), { name: 'one', numHidden: 3, weight, noBias: true });
  const two = fullyConnected(variable('b'), { name: 'two', numHidden: 3, weight, noBias: true });
  assert.equal(group(one, two).listArguments(), ['a', 'shared', 'b']);
  throws(() => group(one, fullyConnected(variable('b'), { name: 'two', numHidden: 3, weight: variable('shared') })).inferShape({ a: [1, 2], b: [1, 2] }),
    OptionError, /two variables.*"shared"/);
});

test('learning-rate factors and freezing', () => {
  const net = withAttributes(small(), ({ name }): Record<string, string | number> | undefined =>
    name.startsWith('conv') ? { grad: 'freeze' } : name === 'fc_weight' ? { lr_mult: 0.1 } : undefined);
  assert.equal(trainingAttributes(net, 'conv_weight'), { lrMult: 1, wdMult: undefined, frozen: true });
  assert.equal(trainingAttributes(net, 'fc_weight'), { lrMult: 0.1, wdMult: undefined, frozen: false });
  const variables = createVariables(net, initialize(net, { data: [1, 3, 8, 8] }, { seed: 1 }));
  assert.equal(variables.trainable.map((v) => v.name), ['bn_gamma', 'bn_beta', 'fc_weight', 'fc_bias']);
  assert.equal(variables.states.map((v) => v.name), ['bn_moving_mean', 'bn_moving_var']);
  assert.ok(variables.all.has('conv_weight'));
});

/** x as MXNet would index it, NCHW, from what lies NHWC. */
const [n, c, h, w] = [2, 3, 4, 5];
const at = (i: number, k: number, y: number, x: number): number => 1000 * i + 100 * k + 10 * y + x;
const image = wrap(Float32Array.from({ length: n * h * w * c }, (_, j) =>
  at(Math.floor(j / (h * w * c)), j % c, Math.floor(j / (w * c)) % h, Math.floor(j / c) % w)), [n, h, w, c], 'float32');
const nchw = Array.from({ length: n * c * h * w }, (_, j) =>
  at(Math.floor(j / (c * h * w)), Math.floor(j / (h * w)) % c, Math.floor(j / w) % h, j % w));
const x = variable('data');

async function values(symbol: ModelSymbol): Promise<number[]> {
  return [...(await symbol.apply({}, image).data())];
}

test('Flatten and Reshape take elements in MXNet\'s order', async () => {
  assert.equal(await values(flatten(x)), nchw);
  assert.equal(await values(reshape(x, { shape: [0, -3, 5] })), nchw);
  const back = reshape(reshape(x, { shape: [-1] }), { shape: [n, c, h, w] });
  assert.equal(await values(back), [...(await image.data())]);
});

test('Transpose, slices, padding and reductions take MXNet\'s axes', async () => {
  const nhwc = transpose(x, { axes: [0, 2, 3, 1] });
  assert.equal(nhwc.inferShape({ data: [n, c, h, w] }).outputs.values().next().value, [n, h, w, c]);
  assert.equal(await values(flatten(nhwc)), [...(await image.data())]);
  assert.equal(await values(flatten(sliceAxis(x, { axis: 1, begin: 1, end: 2 }))), nchw.filter((v) => Math.floor(v / 100) % 10 === 1));
  assert.equal(await values(flatten(slice(x, { begin: [0, 0, 1, 2], end: [1, 1, 3, 5] }))), [12, 13, 14, 22, 23, 24]);
  const padded = pad(x, { mode: 'constant', constantValue: 7, padWidth: [0, 0, 0, 0, 1, 0, 0, 2] });
  assert.equal(padded.inferShape({ data: [n, c, h, w] }).outputs.values().next().value, [n, c, h + 1, w + 2]);
  assert.equal((await values(flatten(padded))).slice(0, 9), [7, 7, 7, 7, 7, 7, 7, 0, 1]);
  // Over the channels: what is left is [N, H, W].
  assert.equal((await values(sum(x, { axis: [1] }))).slice(0, 3), [300, 303, 306]);
  // Over the height: [N, C, W], in this order.
  assert.equal((await values(sum(x, { axis: [2] }))).slice(0, 7), [60, 64, 68, 72, 76, 460, 464]);
});

test('arithmetic of symbols and numbers', async () => {
  assert.equal((await values(flatten(subtract(100, divide(add(x, x), 2))))).slice(0, 3), [100, 99, 98]);
  assert.equal((await values(flatten(addN([x, x, x])))).slice(0, 3), [0, 3, 6]);
});

test('a fully connected layer on an image reads it in MXNet\'s order', async () => {
  const net = fullyConnected(x, { name: 'fc', numHidden: 1, noBias: true });
  const weight = new Float32Array(c * h * w);
  weight[1 * h * w + 2 * w + 3] = 1;
  const y = net.apply({ fc_weight: wrap(weight, [1, c * h * w], 'float32') }, image);
  assert.equal([...(await y.data())], [at(0, 1, 2, 3), at(1, 1, 2, 3)]);
});

test('no transpose where height and width are 1', () => {
  const net = flatten(pooling(x, { kernel: [4, 4], globalPool: true, poolType: 'avg' }));
  const y = net.apply({}, image);
  const ops: string[] = [];
  for (let node = y.value.node; node.inputs.length > 0; node = node.inputs[0].node) ops.push(node.op.name);
  assert.equal(ops, ['reshape', 'mean']);
});

test('dropout: the identity in inference, a share of zeros in training, by name and sample alone', async () => {
  const net = dropout(x, { p: 0.5, name: 'drop' });
  assert.equal(await values(net), [...(await image.data())]);
  throws(() => net.apply({}, image, { training: true }), OptionError, /random/);
  const ones = tensor(Array.from({ length: 4000 }, () => 1), [2, 2000]);
  const draw = (name: string, ids: number[]) => dropout(variable('data'), { p: 0.5, name })
    .apply({}, ones, { training: true, random: { seed: tensor(7, [], 'int32'), step: tensor(3, [], 'int32'), ids: tensor(ids, [2], 'int32') } });
  const [a, b, other] = await data(draw('drop', [10, 11]), draw('drop', [11, 12]), draw('else', [10, 11]));
  const kept = a.filter((v) => v !== 0).length;
  assert.ok(kept > 1800 && kept < 2200, `${kept}`);
  assert.ok(a.every((v) => v === 0 || v === 2));
  assert.equal(a.slice(2000), b.slice(0, 2000), 'sample 11 draws the same in any batch');
  assert.not.equal(a, other);
});

test('a step moves the moving statistics, inference and frozen statistics do not', async () => {
  const run = async (options: { training: boolean }, useGlobalStats: boolean): Promise<number[]> => {
    const net = batchNorm(variable('data'), { name: 'bn', useGlobalStats, momentum: 0.75 });
    const { all } = createVariables(net, initialize(net, { data: [2, 1] }, { seed: 1 }));
    const step = compile((input: Tensor) => net.apply(all, { data: input }, options));
    await step(tensor([[3], [5]]));
    return [...(await all.get('bn_moving_mean')!.data()), ...(await all.get('bn_moving_var')!.data())];
  };
  assert.equal(await run({ training: true }, false), [1, 1]);
  assert.equal(await run({ training: false }, false), [0, 1]);
  assert.equal(await run({ training: true }, true), [0, 1]);
});

test('gradients flow to the parameters of a symbol joined to tensor code', async () => {
  const logits = internals(small()).fc_output;
  const { all, trainable } = createVariables(logits, initialize(logits, { data: [2, 3, 4, 5] }, { seed: 3 }));
  const y = logits.apply(all, image.mul(0.001), { training: true });
  const gradients = grad(y.square().sum(), trainable);
  const sizes = (await data(...gradients)).map((g) => Math.hypot(...g));
  trainable.forEach((v, i) => assert.ok(v.name === 'conv_bias' || sizes[i] > 1e-6, `${v.name}: ${sizes[i]}`));
});

test('summary and graph as text', () => {
  const text = summaryText(small(), { data: [1, 3, 8, 8] });
  assert.match(text, /conv +Convolution +1 x 4 x 8 x 8 +112 +6,912/);
  assert.match(text, /total +7 layers +315 +7,104/);
  const dot = toDot(small(), { title: 'a "net"', inputs: { data: [1, 3, 8, 8] } });
  assert.match(dot, /^digraph "a \\"net\\"" \{/);
  assert.match(dot, /label="conv\\n3x3\/1x1, 4", fillcolor="#fb8072"/);
  assert.match(dot, /n0 -> n1 \[label="  3×8×8  "\];/);
  assert.not.match(dot, /conv_weight|moving|label="softmax_label"/);
});

test.run();
