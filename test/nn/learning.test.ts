/** What of a network learns, and how fast; where it is cut, what is put on, and which part never changes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { OptionError } from '../../src/errors.ts';
import { compile, grad } from '../../src/fovea.ts';
import { readSymbol, writeSymbol } from '../../src/formats/index.ts';
import { inceptionBN, inceptionBNSmall, inceptionV3 } from '../../src/models/index.ts';
import {
  activation, addHead, batchNorm, blocksOf, chain, chooseLayers, convolution, createVariables, cutAt, dotToSvg, flatten, freeze, frozenPart,
  fullyConnected, initialize, learningNames, ownVariables, parseHead, scaleLearningRates, toDot, trainingAttributes, unfreeze, upTo,
  withAttributes,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { createNetwork } from '../../src/train/network.ts';
import { createOptimizer } from '../../src/train/optimizer.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { throws } from '../support/errors.ts';

const cpu = await device('cpu', { threads: 2 });
setDefaultDevice(cpu);

function small(): ModelSymbol {
  return chain('data',
    convolution({ name: 'conv_1', kernel: [3, 3], numFilter: 4 }), batchNorm({ name: 'bn_1', fixGamma: false }),
    activation({ name: 'relu_1', actType: 'relu' }),
    convolution({ name: 'conv_2', kernel: [3, 3], numFilter: 4 }), batchNorm({ name: 'bn_2', fixGamma: false }),
    activation({ name: 'relu_2', actType: 'relu' }), flatten({ name: 'flat' }), fullyConnected({ name: 'fc', numHidden: 2 }));
}

const frozenNames = (symbol: ModelSymbol): string[] => symbol.listArguments().filter((name) => trainingAttributes(symbol, name).frozen);
const globalStatistics = (symbol: ModelSymbol): string[] =>
  symbol.nodes.filter((node) => node.attributes.use_global_stats === 'True').map((node) => node.name);

test('layers are frozen by name, by the beginning of names, by a test, and up to a layer', () => {
  const net = small();
  assert.equal(frozenNames(freeze(net, 'conv_1')), ['conv_1_weight', 'conv_1_bias']);
  assert.equal(frozenNames(freeze(net, ['bn_2', 'fc_bias'])), ['bn_2_gamma', 'bn_2_beta', 'fc_bias']);
  assert.equal(frozenNames(freeze(net, 'conv_*')), ['conv_1_weight', 'conv_1_bias', 'conv_2_weight', 'conv_2_bias']);
  assert.equal(frozenNames(freeze(net, ({ op }) => op === 'FullyConnected')), ['fc_weight', 'fc_bias']);
  const half = freeze(net, upTo(net, 'conv_2'));
  assert.equal(frozenNames(half).filter((name) => name !== 'data'), [
    'conv_1_weight', 'conv_1_bias', 'bn_1_gamma', 'bn_1_beta', 'conv_2_weight', 'conv_2_bias',
  ]);
  assert.equal(globalStatistics(half), ['bn_1']);
  assert.equal(globalStatistics(freeze(net, 'bn_*', { statistics: 'batch' })), []);
  const freed = unfreeze(half, 'bn_1', { statistics: 'batch' });
  assert.equal(globalStatistics(freed), []);
  assert.equal(learningNames(freed), ['bn_1_gamma', 'bn_1_beta', 'bn_2_gamma', 'bn_2_beta', 'fc_weight', 'fc_bias',
    'bn_1_moving_mean', 'bn_1_moving_var', 'bn_2_moving_mean', 'bn_2_moving_var']);
  assert.equal(frozenNames(net), [], 'the network given is as it was');
  throws(() => freeze(net, 'conv_3'), OptionError, /no layer "conv_3"; did you mean "conv_/);
  throws(() => freeze(net, 'cnv*'), OptionError, /no layer begins with "cnv"/);
  throws(() => upTo(net, 'conv_9'), OptionError, /no layer "conv_9"/);
  assert.equal([...chooseLayers(net, 'bn_1')].map((n) => n.name), ['bn_1']);
  assert.equal(ownVariables(net.node('bn_1')).map((n) => n.name), ['bn_1_gamma', 'bn_1_beta', 'bn_1_moving_mean', 'bn_1_moving_var']);
});

test('what is frozen travels with the file', () => {
  const net = scaleLearningRates(freeze(small(), 'bn_*'), (name) => (name.startsWith('conv') ? 0.25 : 1));
  const read = readSymbol(writeSymbol(net), { file: 'x' });
  assert.equal(frozenNames(read), frozenNames(net));
  assert.equal(globalStatistics(read), ['bn_1', 'bn_2']);
  assert.is(trainingAttributes(read, 'conv_2_weight').lrMult, 0.25);
});

test('a step moves what learns, each by its factors on rate and decay, and nothing else', async () => {
  const decayed = withAttributes(small(), ({ name }) => (name === 'fc_bias' ? { wd_mult: 2 } : name === 'conv_2_weight' ? { wd_mult: 0 } : undefined));
  const symbol = scaleLearningRates(freeze(decayed, ['conv_1', 'bn_1']), (name) =>
    (name === 'conv_2_weight' ? 0.5 : name === 'bn_2_gamma' ? 0 : 1));
  const network = createNetwork(symbol, { shape: [8, 8, 3] }, { seed: 2 });
  const optimizer = createOptimizer(network, { kind: 'sgd', momentum: 0, weightDecay: 0.1 }, cpu);
  const { all, trainable } = network.variables;
  const x = wrap(Float32Array.from({ length: 2 * 192 }, (_, i) => Math.sin(i)), [2, 8, 8, 3], 'float32');
  const names = trainable.map((v) => v.name);
  assert.equal(names, ['conv_2_weight', 'conv_2_bias', 'bn_2_gamma', 'bn_2_beta', 'fc_weight', 'fc_bias']);
  const read = async () => new Map(await Promise.all([...all].map(async ([name, v]) => [name, [...(await v.data())]] as const)));
  const before = await read();
  const step = compile((image: Tensor) => {
    const gradients = grad(network.logits.apply(all, image, { training: true }).square().mean(), trainable);
    optimizer.update(gradients, 0.2);
    return gradients;
  }, { device: cpu });
  const gradients = await Promise.all((await step(x)).map(async (g) => [...(await g.data())]));
  const after = await read();
  const factors: Record<string, [rate: number, decay: number]> = {
    conv_2_weight: [0.5, 0], conv_2_bias: [1, 0], bn_2_gamma: [0, 1], bn_2_beta: [1, 0], fc_weight: [1, 1], fc_bias: [1, 2],
  };
  for (const [name, values] of after) {
    const old = before.get(name)!;
    const k = names.indexOf(name);
    if (k < 0) {
      assert.is(String(values) === String(old), !name.startsWith('bn_2_moving'), name);
      continue;
    }
    const [rate, decay] = factors[name];
    values.forEach((value, i) => {
      const want = old[i] - 0.2 * rate * (gradients[k][i] + 0.1 * decay * old[i]);
      assert.ok(Math.abs(value - want) < 1e-6 * Math.max(1, Math.abs(want)), `${name}[${i}]: ${value}, expected ${want}`);
    });
  }
  optimizer.dispose();
  network.dispose();
});

test('a frozen batch norm goes by its moving statistics in training too, and passes gradients on', async () => {
  const net = freeze(small(), 'bn_2');
  const arrays = initialize(net, { data: [1, 3, 8, 8] }, { seed: 3 });
  for (const [name, { data }] of arrays.auxiliary) data.forEach((_, i) => (data[i] = name.endsWith('var') ? 2 : 0.1 * i));
  const { all, trainable } = createVariables(freeze(net, 'bn_1'), arrays);
  const x = wrap(Float32Array.from({ length: 192 }, (_, i) => Math.cos(i)), [1, 8, 8, 3], 'float32');
  const still = freeze(net, 'bn_1');
  const training = await still.apply(all, x, { training: true }).data();
  assert.equal([...training], [...(await still.apply(all, x).data())]);
  const [first] = grad(still.apply(all, x, { training: true }).square().sum(), [trainable[0]]);
  assert.ok((await first.data()).some((g) => g !== 0), `${trainable[0].name} has a gradient`);
});

test('blocks end where all passes through one layer', () => {
  const ends = (net: ModelSymbol): string[] => blocksOf(net).map((block) => block[block.length - 1].name);
  assert.equal(ends(inceptionBN()), ['pool_1', 'relu_2_red', 'pool_2', ...['3a', '3b', '3c', '4a', '4b', '4c', '4d', '4e', '5a']
    .map((b) => `ch_concat_${b}_chconcat`), 'flatten', 'softmax']);
  assert.equal(ends(inceptionV3()).slice(4, 16), ['max_pooling2d_2', ...Array.from({ length: 10 }, (_, i) => `mixed${i}`), ends(inceptionV3())[15]]);
  assert.equal(ends(small()), ['relu_1', 'flat', 'fc']);
  for (const net of [inceptionBNSmall(), small()]) {
    const layers = net.nodes.filter((node) => node.op !== 'null');
    assert.equal(blocksOf(net).flat().map((n) => n.name), layers.map((n) => n.name), 'each layer once, in order');
  }
});

test('a network is cut by the name of a layer or of its output, and gets a head', () => {
  const net = inceptionBN({ width: 0.25 });
  const inputs = { data: [1, 3, 64, 64] };
  const article = addHead(cutAt(net, 'global_pool'), parseHead('128,relu,2'), inputs);
  assert.equal(article.nodes.slice(-9).filter((n) => n.op !== 'null').map((n) => n.name), ['head_fc1', 'head_relu1', 'head_fc2', 'softmax']);
  assert.equal(article.inferShape(inputs).outputs.get('softmax_output'), [1, 2]);
  const fromImage = addHead(cutAt(net, 'ch_concat_4a_chconcat_output'), parseHead('2'), inputs);
  assert.equal(fromImage.inferShape(inputs).arguments.get('head_fc1_weight'), [2, 144], 'the mean over all places');
  const all = addHead(cutAt(net, 'ch_concat_4a_chconcat'), parseHead('flatten,2'), inputs);
  assert.ok(all.inferShape(inputs).arguments.get('head_fc1_weight')![1] > 144);
  const rich = addHead(cutAt(net, 'ch_concat_4a_chconcat'), parseHead('max,norm,dropout:0.3,16,tanh,dropout,3'), inputs);
  assert.equal(rich.nodes.filter((n) => n.name.startsWith('head_') && n.op !== 'null').map((n) => n.op),
    ['Pooling', 'Flatten', 'BatchNorm', 'Dropout', 'FullyConnected', 'Activation', 'Dropout', 'FullyConnected']);
  throws(() => cutAt(net, 'global_pol'), OptionError, /no layer "global_pol" to cut at; did you mean "global_pool"/);
  throws(() => parseHead('128,rleu,2'), OptionError, /"rleu" is neither the size of a layer nor one of relu.*did you mean "relu"/);
  throws(() => parseHead('128,relu'), OptionError, /ends in the number of classes/);
  throws(() => parseHead('dropout:1.5,2'), OptionError, /expected a share from 0 to 1/);
  throws(() => addHead(cutAt(net, 'flatten'), parseHead('avg,2'), inputs), OptionError, /avg is over the places of an image/);
  throws(() => addHead(article, parseHead('2'), inputs), OptionError, /has a layer "head_fc1" already/);
});

test('the frozen part ends at the last layer through which all the rest sees the image', () => {
  const net = inceptionBN({ width: 0.25 });
  const frozen = freeze(net, upTo(net, 'ch_concat_3b_chconcat'));
  const { trunk, rest } = frozenPart(frozen)!;
  // Not the pooling of the next block, which is frozen as well but for one branch alone.
  assert.equal(trunk.listOutputs(), ['ch_concat_3b_chconcat_output']);
  assert.ok(!rest.listArguments().includes('conv_1_weight') && rest.listArguments().includes('data'));
  assert.equal(frozenPart(freeze(net, upTo(net, 'ch_concat_5b_chconcat')))!.trunk.listOutputs(), ['flatten_output'], 'what has no weights too');
  assert.is(frozenPart(net), undefined);
  assert.is(frozenPart(freeze(net, upTo(net, 'bn_1'), { statistics: 'batch' }))!.trunk.name, 'conv_1');
  assert.is(frozenPart(freeze(net, ({ name }) => name.startsWith('conv_3a'))), undefined);
});

test('Graphviz draws what toDot writes', async () => {
  const svg = await dotToSvg(toDot(small(), { title: 'small', inputs: { data: [1, 3, 8, 8] } }));
  assert.match(svg, /<svg/);
  for (const text of ['conv_1', '4×6×6', '#fb8072', '3×8×8']) assert.ok(svg.includes(text), text);
  let message = '';
  await dotToSvg('digraph {').catch((error: unknown) => (message = String(error)));
  assert.match(message, /OptionError.*Graphviz: .*syntax error/s);
});

test.after(() => cpu.dispose());
test.run();
