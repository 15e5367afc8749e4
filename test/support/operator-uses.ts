/** One use or more of every operator, for those who hold files that Fovea wrote to other systems. */
import type { Checkpoint } from '../../src/formats/mxnet-params.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import {
  activation, batchNorm, concat, convolution, dropout, fullyConnected, operator, pooling, reshape, softmaxOutput, variable,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { recipe } from './mxnet.ts';

/** Shapes by name, in MXNet's axes. */
export type Inputs = Readonly<Record<string, readonly number[]>>;

/** Parameters by recipe for all that a symbol has beside its inputs. */
export function parametersOf(symbol: ModelSymbol, inputs: Inputs, seed = 0): Checkpoint {
  const shapes = symbol.inferShape(inputs);
  const values = (names: readonly string[], from: ReadonlyMap<string, readonly number[]>): Map<string, HostArray> =>
    new Map(names.map((name) => [name, recipe(name, from.get(name)!, 1, seed)]));
  return { arguments: values(symbol.listParameters(Object.keys(inputs)), shapes.arguments), auxiliary: values([...shapes.auxiliary.keys()], shapes.auxiliary) };
}

export const data = variable('data');
const other = variable('other');
export const image = { data: [2, 5, 9, 11] };
export const matrix = { data: [3, 7] };
/** An operator by name, on one input. */
export const of = (name: string, values: Record<string, string | number | boolean | readonly number[]> = {}) => (x: ModelSymbol): ModelSymbol =>
  operator(name, [x], { name: 'layer', values });

const uses: [title: string, symbol: ModelSymbol, inputs: Inputs, positive?: boolean][] = [
  ['Convolution', convolution(data, { kernel: [3, 2], stride: [2, 1], pad: [1, 0], numFilter: 4, name: 'layer' }), image],
  ['Convolution dilated, without bias', convolution(data, { kernel: [3, 3], dilate: [2, 2], noBias: true, numFilter: 4, name: 'layer' }), image],
  ['BatchNorm', batchNorm(data, { fixGamma: false, eps: 1e-2, name: 'layer' }), image],
  ['BatchNorm, gamma as 1', batchNorm(data, { name: 'layer' }), image],
  ['BatchNorm along the last axis', batchNorm(data, { axis: 3, fixGamma: false, name: 'layer' }), image],
  ['BatchNorm of a matrix', batchNorm(data, { fixGamma: false, name: 'layer' }), matrix],
  ...(['max', 'avg'] as const).flatMap((poolType): typeof uses => [
    ...(['valid', 'full'] as const).flatMap((poolingConvention): typeof uses => [
      [`Pooling ${poolType} ${poolingConvention}`, pooling(data, { kernel: [3, 2], stride: [2, 2], poolType, poolingConvention, name: 'layer' }),
        { data: [2, 3, 8, 11] }],
      [`Pooling ${poolType} ${poolingConvention} padded`,
        pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType, poolingConvention, name: 'layer' }), { data: [2, 3, 8, 11] }],
    ]),
    [`Pooling ${poolType} global`, pooling(data, { globalPool: true, poolType, name: 'layer' }), image],
  ]),
  ...(['valid', 'full'] as const).map((poolingConvention): (typeof uses)[number] => [`Pooling avg ${poolingConvention} without padding`,
    pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType: 'avg', poolingConvention, countIncludePad: false, name: 'layer' }),
      { data: [2, 3, 8, 11] }]),
  ['FullyConnected', fullyConnected(data, { numHidden: 4, name: 'layer' }), matrix],
  ['FullyConnected of images', fullyConnected(data, { numHidden: 4, noBias: true, name: 'layer' }), image],
  ['FullyConnected along the last axis', fullyConnected(data, { numHidden: 4, flatten: false, name: 'layer' }), { data: [2, 3, 5] }],
  ...(['relu', 'sigmoid', 'tanh', 'softrelu', 'softsign'] as const).map((actType): (typeof uses)[number] =>
    [`Activation ${actType}`, activation(data, { actType, name: 'layer' }), image]),
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
  ['slice_axis', of('slice_axis', { axis: 1, begin: 1, end: -1 })(data), image],
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
    .map((stem): (typeof uses)[number] =>
      [`broadcast_${stem}`, operator(`broadcast_${stem}`, [data, other], { name: 'layer' }), { ...image, other: [1, 5, 1, 1] }, true]),
  ...['LinearRegressionOutput', 'LogisticRegressionOutput', 'MakeLoss', 'BlockGrad', '_copy']
    .map((name): (typeof uses)[number] => [name, of(name)(data), matrix]),
  ['SliceChannel', operator('SliceChannel', [data], { name: 'layer', values: { num_outputs: 3, axis: 1 } }), { data: [2, 6, 4, 5] }],
  ['SliceChannel squeezed',
    operator('SliceChannel', [data], { name: 'layer', values: { num_outputs: 3, axis: 1, squeeze_axis: true } }), { data: [2, 3, 4, 5] }],
  ['Cast', of('Cast', { dtype: 'float32' })(data), image],
];

export interface OperatorUse {
  readonly title: string;
  readonly symbol: ModelSymbol;
  readonly inputs: Inputs;
  /** Inputs have to be positive: it has a logarithm or a root. */
  readonly positive: boolean;
}

export const operatorUses: readonly OperatorUse[] = uses.map(([title, symbol, inputs, positive = false]) => ({ title, symbol, inputs, positive }));
