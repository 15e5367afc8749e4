/** Exported models, run by onnxruntime: every operator and whole Inceptions give what they give here. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import type { Checkpoint } from '../../src/formats/mxnet-params.ts';
import { exportOnnx } from '../../src/formats/onnx/export.ts';
import { translationOf } from '../../src/formats/onnx/operators.ts';
import { inceptionBN, inceptionV3 } from '../../src/models/index.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import {
  activation, batchNorm, chain, concat, convolution, dropout, findOperator, fromMXNet, fullyConnected, group, internals, operator, operatorNames,
  pooling, reshape, softmaxOutput, variable,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { throws } from '../support/errors.ts';
import { recipe, toNCHW } from '../support/mxnet.ts';
import { onnxruntimeAbsent, runOnnx } from '../support/onnxruntime.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

process.env.FOVEA_RUNNERS ??= 'cpu';
const [runner] = (await runners()).present;

type Inputs = Readonly<Record<string, readonly number[]>>;

function parametersOf(symbol: ModelSymbol, inputs: Inputs): Checkpoint {
  const shapes = symbol.inferShape(inputs);
  const values = (names: readonly string[], from: ReadonlyMap<string, readonly number[]>): Map<string, HostArray> =>
    new Map(names.map((name) => [name, recipe(name, from.get(name)!)]));
  return { arguments: values(symbol.listParameters(Object.keys(inputs)), shapes.arguments), auxiliary: values([...shapes.auxiliary.keys()], shapes.auxiliary) };
}

/** Both on the same inputs; asserts names and shapes, and gives each output's largest difference over its largest value. */
async function compare(symbol: ModelSymbol, inputs: Inputs, options: { positive?: boolean; freeBatch?: boolean; batch?: number } = {}): Promise<number[]> {
  const parameters = parametersOf(symbol, inputs);
  const model = exportOnnx(symbol, parameters, { inputs, freeBatch: options.freeBatch });
  const stream = new PhiloxStream(3, 'inputs');
  const given: Record<string, HostArray> = {};
  for (const [name, shape] of Object.entries(inputs)) {
    const actual = options.batch === undefined ? [...shape] : [options.batch, ...shape.slice(1)];
    const data = Float32Array.from({ length: actual.reduce((n, d) => n * d, 1) }, () => stream.uniform(options.positive ? 0.25 : -2, 2));
    given[name] = { shape: actual, dtype: 'float32', data };
  }
  const memory = Object.entries(given).map(([name, array]) => [name, fromMXNet(array)] as const);
  const tensors = Object.fromEntries(memory.map(([name, a]) => [name, wrap(a.data as Float32Array, a.shape, 'float32')]));
  const all = new Map([...parameters.arguments, ...parameters.auxiliary].map(([name, array]) => {
    const { data, shape } = fromMXNet(array);
    return [name, wrap(data as Float32Array, shape, 'float32')];
  }));
  const outputs = symbol.applyAll(all, tensors);
  const shapes = outputs.map((t) => t.shape);
  const mine = await runner.evaluate(outputs);
  const theirs = await runOnnx(model, given as Record<string, { shape: readonly number[]; data: Float32Array }>);
  assert.equal([...theirs.keys()], symbol.listOutputs());
  return [...theirs.values()].map((theirsOf, i) => {
    const got = toNCHW(mine[i], shapes[i]);
    assert.equal([...theirsOf.dims], shapes[i].length === 4 ? [0, 3, 1, 2].map((axis) => shapes[i][axis]) : [...shapes[i]], symbol.listOutputs()[i]);
    const largest = got.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    return got.reduce((m, v, k) => Math.max(m, Math.abs(v - theirsOf.data[k])), 0) / Math.max(largest, 1e-30);
  });
}

const data = variable('data');
const other = variable('other');
const image = { data: [2, 5, 9, 11] };
const matrix = { data: [3, 7] };
const of = (name: string, values: Record<string, string | number | boolean | readonly number[]> = {}) => (x: ModelSymbol): ModelSymbol =>
  operator(name, [x], { name: 'layer', values });

/** One or more uses of each operator: what it is, the symbol, its inputs. Positive inputs where a logarithm needs them. */
const uses: [title: string, symbol: ModelSymbol, inputs: Inputs, positive?: boolean][] = [
  ['Convolution', convolution(data, { kernel: [3, 2], stride: [2, 1], pad: [1, 0], numFilter: 4, name: 'layer' }), image],
  ['Convolution dilated, without bias', convolution(data, { kernel: [3, 3], dilate: [2, 2], noBias: true, numFilter: 4, name: 'layer' }), image],
  ['BatchNorm', batchNorm(data, { fixGamma: false, eps: 1e-2, name: 'layer' }), image],
  ['BatchNorm, gamma as 1', batchNorm(data, { name: 'layer' }), image],
  ['BatchNorm along the last axis', batchNorm(data, { axis: 3, fixGamma: false, name: 'layer' }), image],
  ['BatchNorm of a matrix', batchNorm(data, { fixGamma: false, name: 'layer' }), matrix],
  ...(['max', 'avg'] as const).flatMap((poolType): typeof uses => [
    ...(['valid', 'full'] as const).flatMap((poolingConvention): typeof uses => [
      [`Pooling ${poolType} ${poolingConvention}`, pooling(data, { kernel: [3, 2], stride: [2, 2], poolType, poolingConvention, name: 'layer' }), { data: [2, 3, 8, 11] }],
      [`Pooling ${poolType} ${poolingConvention} padded`, pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType, poolingConvention, name: 'layer' }), { data: [2, 3, 8, 11] }],
    ]),
    [`Pooling ${poolType} global`, pooling(data, { globalPool: true, poolType, name: 'layer' }), image],
  ]),
  ...(['valid', 'full'] as const).map((poolingConvention): (typeof uses)[number] => [`Pooling avg ${poolingConvention} without padding`,
    pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType: 'avg', poolingConvention, countIncludePad: false, name: 'layer' }), { data: [2, 3, 8, 11] }]),
  ['FullyConnected', fullyConnected(data, { numHidden: 4, name: 'layer' }), matrix],
  ['FullyConnected of images', fullyConnected(data, { numHidden: 4, noBias: true, name: 'layer' }), image],
  ['FullyConnected along the last axis', fullyConnected(data, { numHidden: 4, flatten: false, name: 'layer' }), { data: [2, 3, 5] }],
  ...(['relu', 'sigmoid', 'tanh', 'softrelu', 'softsign'] as const).map((actType): (typeof uses)[number] => [`Activation ${actType}`, activation(data, { actType, name: 'layer' }), image]),
  ['LeakyReLU', of('LeakyReLU', { slope: 0.1 })(data), image],
  ['LeakyReLU elu', of('LeakyReLU', { act_type: 'elu', slope: 1 })(data), image],
  ['Concat', concat([data, data, other], { name: 'layer' }), { ...image, other: [2, 3, 9, 11] }],
  ['Concat of heights', concat([data, data], { dim: 2, name: 'layer' }), image],
  ['SoftmaxOutput', softmaxOutput(data, { name: 'layer' }), matrix],
  ['SoftmaxOutput of positions', softmaxOutput(data, { multiOutput: true, name: 'layer' }), image],
  ['softmax', of('softmax', { axis: 1, temperature: 2 })(data), image],
  ['log_softmax', of('log_softmax')(data), image],
  ['SoftmaxActivation', of('SoftmaxActivation', { mode: 'channel' })(data), image],
  ['Reshape', reshape(data, { shape: [0, -1, 3], name: 'layer' }), { data: [2, 6, 4, 5] }],
  ['Reshape joining and splitting', reshape(data, { shape: [0, -4, 2, -1, -3], name: 'layer' }), { data: [2, 6, 4, 5] }],
  ['Flatten', of('Flatten')(data), image],
  ['expand_dims', of('expand_dims', { axis: -1 })(data), matrix],
  ['squeeze', of('squeeze')(data), { data: [3, 1, 4, 1] }],
  ['transpose', of('transpose', { axes: [0, 2, 3, 1] })(data), image],
  ['transpose of all', of('transpose')(data), { data: [2, 3, 4] }],
  ['SwapAxis', of('SwapAxis', { dim1: 1, dim2: 3 })(data), image],
  ['slice_axis', of('slice_axis', { axis: 1, begin: 1, end: [-1] })(data), image],
  ['slice', of('slice', { begin: [0, 1, 2], end: [2, 4, 8] })(data), image],
  ['Pad', of('Pad', { mode: 'constant', pad_width: [0, 0, 0, 0, 1, 2, 3, 0], constant_value: 0.5 })(data), image],
  ['Pad edge', of('Pad', { mode: 'edge', pad_width: [0, 0, 0, 0, 1, 2, 3, 0] })(data), image],
  ...['sum', 'mean', 'max', 'min'].flatMap((name): typeof uses => [
    [name, of(name, { axis: [1, 2] })(data), image], [`${name} excluding, axes kept`, of(name, { axis: [1], exclude: true, keepdims: true })(data), image],
    [`${name} of all`, of(name)(data), image],
  ]),
  ['argmax', of('argmax', { axis: 2, keepdims: true })(data), image],
  ['argmax_channel', of('argmax_channel')(data), matrix],
  ['clip', of('clip', { a_min: -0.5, a_max: 1 })(data), image],
  ['dot', operator('dot', [data, other], { name: 'layer', values: { transpose_a: true, transpose_b: true } }), { data: [3, 2], other: [4, 3] }],
  ['add_n', operator('add_n', [data, data, other], { name: 'layer', values: { num_args: 3 } }), { ...image, other: image.data }],
  ['Dropout', activation(dropout(data, { name: 'drop' }), { actType: 'relu', name: 'layer' }), image],
  ...['abs', 'cos', 'exp', 'floor', 'negative', 'relu', 'sigmoid', 'sign', 'sin', 'square', 'tanh', 'reciprocal', 'log', 'rsqrt', 'sqrt']
    .map((name): (typeof uses)[number] => [name, of(name)(data), image, true]),
  ...['_plus', '_minus', '_rminus', '_mul', '_div', '_rdiv', '_power', '_rpower', '_maximum', '_minimum']
    .map((stem): (typeof uses)[number] => [`${stem}_scalar`, of(`${stem}_scalar`, { scalar: 1.5 })(data), image, true]),
  ...['elemwise_add', 'elemwise_sub', 'elemwise_mul', 'elemwise_div', '_maximum', '_minimum', '_power']
    .map((name): (typeof uses)[number] => [name, operator(name, [data, other], { name: 'layer' }), { ...image, other: image.data }, true]),
  ...['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'power', 'equal', 'not_equal', 'greater', 'greater_equal', 'lesser', 'lesser_equal']
    .map((stem): (typeof uses)[number] => [`broadcast_${stem}`, operator(`broadcast_${stem}`, [data, other], { name: 'layer' }), { ...image, other: [1, 5, 1, 1] }, true]),
  ...['LinearRegressionOutput', 'LogisticRegressionOutput', 'MakeLoss', 'BlockGrad', '_copy']
    .map((name): (typeof uses)[number] => [name, of(name)(data), matrix]),
  ['SliceChannel', operator('SliceChannel', [data], { name: 'layer', values: { num_outputs: 3, axis: 1 } }), { data: [2, 6, 4, 5] }],
  ['SliceChannel squeezed', operator('SliceChannel', [data], { name: 'layer', values: { num_outputs: 3, axis: 1, squeeze_axis: true } }), { data: [2, 3, 4, 5] }],
  ['Cast', of('Cast', { dtype: 'float32' })(data), image],
];

test('every operator is exported, and every one is tried here', () => {
  const tried = new Set(uses.flatMap(([, symbol]) => symbol.nodes.map((n) => n.op)));
  for (const name of operatorNames()) {
    const { name: own } = findOperator(name, 'any');
    assert.type(translationOf(own), 'function');
    assert.ok(tried.has(own), `${own} is not tried`);
  }
});

if (onnxruntimeAbsent !== undefined) {
  for (const title of ['operators', 'Inception-BN', 'Inception v3']) skip(`${title} in onnxruntime`, onnxruntimeAbsent);
} else {
  for (const [title, symbol, inputs, positive] of uses) {
    test(`${title} in onnxruntime`, async () => {
      for (const off of await compare(symbol, inputs, { positive })) assert.ok(off <= 5e-6, `off by ${off} of the largest`);
    });
  }

  test('several outputs, layers passed through, a batch of another length', async () => {
    const trunk = chain('data', convolution({ kernel: [3, 3], numFilter: 4, name: 'conv' }), dropout({ name: 'drop' }));
    const head = chain(trunk, pooling({ globalPool: true, poolType: 'avg', name: 'pool' }), reshape({ shape: [0, -1], name: 'flat' }), fullyConnected({ numHidden: 3, name: 'fc' }));
    for (const off of await compare(group(head, trunk, internals(head).conv_output), image, { batch: 5 })) assert.ok(off <= 5e-6, `off by ${off}`);
  });

  for (const [title, symbol, side] of [
    ['Inception-BN', inceptionBN(), 224], ["Inception v3 as Keras'", inceptionV3(), 299],
    ["Inception v3 as torchvision's", inceptionV3({ variant: 'torchvision' }), 299], ["Inception v3 as MXNet's", inceptionV3({ variant: 'mxnet' }), 299],
  ] as const) {
    test(`${title} in onnxruntime`, async () => {
      const features = internals(symbol).global_pool_output;
      const [probabilities, pooled] = await compare(group(symbol, features), { data: [1, 3, side, side] });
      assert.ok(pooled <= 3e-5, `features off by ${pooled} of the largest`);
      assert.ok(probabilities <= 3e-5, `probabilities off by ${probabilities} of the largest`);
    });
  }
}

test('what cannot be exported is refused by the layer\'s name', () => {
  const none: Checkpoint = { arguments: new Map(), auxiliary: new Map() };
  throws(() => exportOnnx(of('Cast', { dtype: 'int32' })(data), none, { inputs: matrix }), OptionError, /layer "layer" \(Cast\): dtype int32 is not exported/);
  throws(() => exportOnnx(of('Dropout', { mode: 'always' })(data), none, { inputs: matrix }), OptionError, /layer "layer" \(Dropout\): mode "always"/);
  throws(() => exportOnnx(fullyConnected(data, { numHidden: 2, name: 'fc' }), none, { inputs: matrix }), OptionError, /"fc_weight"/);
});

test.run();
