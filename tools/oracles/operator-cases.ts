/**
 * The cases of MXNet's operator fixtures, by their names: shapes and what is particular about values follow from a seed. Those of
 * operators that Fovea lacks (grouped convolution, Deconvolution, LRN) are not here: the given files are refused, there is no figure to
 * meet.
 */
import type { PoolingOptions, SoftmaxOutputOptions } from '../../src/nn/layers.ts';
import {
  abs, activation, add, addN, batchNorm, broadcastAdd, broadcastMultiply, concat, convolution, divide, dropout, exp, flatten, fullyConnected,
  leakyRelu, linearRegressionOutput, log, logisticRegressionOutput, logSoftmax, makeLoss, max, mean, multiply, pad, pooling, reshape, sliceAxis,
  softmax, softmaxOutput, sqrt, square, subtract, sum, transpose, variable,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Inputs } from '../../test/support/operator-uses.ts';

export interface OperatorCase {
  readonly name: string;
  readonly symbol: ModelSymbol;
  readonly inputs: Inputs;
  /** Values of inputs that are not drawn like the others, by name. */
  readonly values?: Readonly<Record<string, readonly number[]>>;
  /** In inference mode, without gradients. */
  readonly inference?: boolean;
}

const data = variable('data');
const [a, b, c] = ['a', 'b', 'c'].map((name) => variable(name));

export function operatorCases(seed: number): OperatorCase[] {
  const stream = new PhiloxStream(seed, 'cases');
  const between = (least: number, most: number): number => least + stream.int(most - least + 1);
  return [
    ...convolutions(between), ...poolings(between, stream), ...norms(between), ...dense(between), ...expressions(between), ...losses(between, stream),
  ];
}

type Between = (least: number, most: number) => number;

function convolutions(between: Between): OperatorCase[] {
  const [h, w, channels, numFilter] = [between(9, 13), between(9, 13), between(3, 5), between(4, 8)];
  const cases: [name: string, kernel: [number, number], more?: object, batch?: number][] = [
    ['conv_1x1', [1, 1]], ['conv_1x1_nobias', [1, 1], { noBias: true }], ['conv_3x3_pad1', [3, 3], { pad: [1, 1] }],
    ['conv_3x3_stride2', [3, 3], { stride: [2, 2] }], ['conv_3x3_stride2_pad1', [3, 3], { stride: [2, 2], pad: [1, 1] }, 3],
    ['conv_5x5_pad2', [5, 5], { pad: [2, 2] }], ['conv_7x7_stride2_pad3', [7, 7], { stride: [2, 2], pad: [3, 3] }, 1],
    ['conv_1x7', [1, 7], { pad: [0, 3] }], ['conv_7x1', [7, 1], { pad: [3, 0] }], ['conv_dilated', [3, 3], { pad: [2, 2], dilate: [2, 2] }],
  ];
  return cases.map(([name, kernel, more = {}, batch = 2]) => (
    { name, symbol: convolution(data, { kernel, numFilter, name: 'conv', ...more }), inputs: { data: [batch, channels, h, w] } }));
}

function poolings(between: Between, stream: PhiloxStream): OperatorCase[] {
  const shape = [2, between(3, 5), between(10, 14), between(10, 14)];
  const pool = (name: string, more: PoolingOptions): OperatorCase =>
    ({ name: `pool_${name}`, symbol: pooling(data, { kernel: [3, 3], ...more, name: 'pool' }), inputs: { data: shape } });
  const three = { stride: [1, 1], pad: [1, 1] } as const;
  const ties = pool('max_ties', { poolType: 'max', ...three });
  return [
    ...(['max', 'avg'] as const).flatMap((poolType) => [
      ...(['valid', 'full'] as const).flatMap((poolingConvention) => [
        pool(`${poolType}_3x3_s2_${poolingConvention}`, { poolType, stride: [2, 2], poolingConvention }),
        pool(`${poolType}_3x3_s2_p1_${poolingConvention}`, { poolType, stride: [2, 2], pad: [1, 1], poolingConvention }),
      ]),
      pool(`${poolType}_3x3_s1_p1`, { poolType, ...three }), pool(`${poolType}_global`, { poolType, kernel: [7, 7], globalPool: true }),
    ]),
    pool('avg_exclude_pad', { poolType: 'avg', ...three, countIncludePad: false }),
    pool('avg_exclude_pad_full', { poolType: 'avg', stride: [2, 2], pad: [1, 1], countIncludePad: false, poolingConvention: 'full' }),
    { ...ties, values: { data: Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => stream.int(3)) } },
  ];
}

function norms(between: Between): OperatorCase[] {
  const channels = between(3, 6);
  const inputs = { data: [4, channels, 5, 6] };
  const norm = (name: string, more: object, rest: Partial<OperatorCase> = {}): OperatorCase =>
    ({ name: `bn_${name}`, symbol: batchNorm(data, { eps: 1e-5, momentum: 0.9, ...more, name: 'bn' }), inputs, ...rest });
  return [
    ...[false, true].flatMap((fixGamma) => {
      const end = fixGamma ? 'fixgamma' : 'gamma';
      return [
        norm(`train_${end}`, { fixGamma }), norm(`infer_${end}`, { fixGamma }, { inference: true }),
        norm(`frozen_${end}`, { fixGamma, eps: 1e-3, useGlobalStats: true }),
      ];
    }),
    norm('train_eps1e-4_momentum.1', { fixGamma: false, eps: 1e-4, momentum: 0.1 }),
    norm('2d', { fixGamma: false, eps: 1e-3 }, { inputs: { data: [8, channels] } }),
  ];
}

function dense(between: Between): OperatorCase[] {
  const [rows, columns, numHidden] = [5, between(6, 11), between(3, 7)];
  const image = { data: [3, 4, 5, 2] };
  return [
    { name: 'fc', symbol: fullyConnected(data, { numHidden, name: 'fc' }), inputs: { data: [rows, columns] } },
    { name: 'fc_nobias', symbol: fullyConnected(data, { numHidden, noBias: true, name: 'fc' }), inputs: { data: [rows, columns] } },
    { name: 'fc_flattens', symbol: fullyConnected(data, { numHidden, name: 'fc' }), inputs: { data: [rows, 3, between(2, 4), 2] } },
    { name: 'flatten', symbol: flatten(data, { name: 'flat' }), inputs: { data: [2, 3, between(2, 4), 5] } },
    ...(['relu', 'sigmoid', 'tanh', 'softrelu'] as const).map((actType) =>
      ({ name: `act_${actType}`, symbol: activation(data, { actType, name: 'act' }), inputs: image })),
    { name: 'leaky_relu', symbol: leakyRelu(data, { actType: 'leaky', slope: 0.25, name: 'act' }), inputs: image },
    { name: 'dropout_infer', symbol: dropout(a, { p: 0.4, name: 'drop' }), inputs: { a: [3, between(5, 9)] }, inference: true },
  ];
}

function expressions(between: Between): OperatorCase[] {
  const [h, w] = [between(3, 5), between(4, 6)];
  const image = [2, 3, h, w];
  const all = (shape: readonly number[]): Inputs => ({ a: shape, b: shape, c: shape });
  const places = (symbol: typeof sum): ModelSymbol => symbol(a, { axis: [2, 3] });
  return [
    { name: 'concat_channels', symbol: concat([a, b, c], { dim: 1, name: 'cat' }),
      inputs: { a: image, b: [2, 1, h, w], c: [2, between(2, 6), h, w] } },
    { name: 'add_n', symbol: addN([a, b, c], { name: 'sum' }), inputs: all(image) },
    { name: 'elemwise', symbol: subtract(multiply(add(a, b), c), divide(a, add(multiply(b, b), 2))), inputs: all([2, 3, w]) },
    { name: 'scalar_ops', symbol: subtract(2, divide(add(multiply(a, 3), 1), 4)), inputs: { a: [h, w] } },
    { name: 'broadcast', symbol: broadcastAdd(broadcastMultiply(a, b), c), inputs: { a: image, b: [1, 3, 1, 1], c: [2, 1, h, 1] } },
    { name: 'reshape', symbol: reshape(a, { shape: [0, -1], name: 'r' }), inputs: { a: image } },
    { name: 'transpose', symbol: transpose(a, { axes: [0, 2, 3, 1] }), inputs: { a: image } },
    { name: 'reduce', symbol: add(add(places(sum), places(mean)), places(max)), inputs: { a: image } },
    { name: 'unary', symbol: add(add(add(add(exp(a), log(add(a, 3))), sqrt(add(a, 2))), square(a)), abs(a)), inputs: { a: [h, w] } },
    { name: 'slice_axis', symbol: sliceAxis(a, { axis: 1, begin: 1, end: 3 }), inputs: { a: [2, 4, h, w] } },
    { name: 'pad_edge', inputs: { a: image },
      symbol: pad(a, { mode: 'constant', constantValue: 0.5, padWidth: [0, 0, 0, 0, 1, 2, 3, 0], name: 'pad' }) },
  ];
}

function losses(between: Between, stream: PhiloxStream): OperatorCase[] {
  const [n, k] = [9, between(3, 5)];
  const drawn = (size: number, draw: () => number): number[] => Array.from({ length: size }, draw);
  const label = drawn(n, () => stream.int(k));
  const wide = (size: number): number[] => drawn(size, () => stream.uniform(-4, 4));
  const output = (
    name: string, more: SoftmaxOutputOptions, own: OperatorCase['values'] = {}, inputs: Inputs = { data: [n, k], softmax_label: [n] },
  ): OperatorCase => ({
    name: `softmax_output_${name}`, symbol: softmaxOutput(data, { ...more, name: 'softmax' }), inputs,
    values: { data: wide(n * k), softmax_label: label, ...own },
  });
  const ignored = label.map((v, i) => (i === 1 || i === 4 ? -1 : v));
  const soft = drawn(n, () => 0).flatMap(() => {
    const parts = drawn(k, () => -Math.log(1 - stream.uniform()));
    return parts.map((part) => part / parts.reduce((x, y) => x + y, 0));
  });
  const each = { useIgnore: true, ignoreLabel: -1 } as const;
  return [
    ...(['null', 'batch', 'valid'] as const).map((normalization) => output(normalization, { normalization })),
    ...(['null', 'valid'] as const).map((normalization) =>
      output(`ignore_${normalization}`, { ...each, normalization }, { softmax_label: ignored })),
    output('scaled', { gradScale: 0.25 }), output('smooth', { smoothAlpha: 0.1 }),
    output('soft_labels', {}, { softmax_label: soft }, { data: [n, k], softmax_label: [n, k] }),
    output('multi', { multiOutput: true }, { data: wide(2 * k * 12), softmax_label: drawn(24, () => stream.int(k)) },
      { data: [2, k, 3, 4], softmax_label: [2, 3, 4] }),
    output('extreme', {}, { data: [1e4, -1e4, 0, 88, 89, 90, -1e30, 1e30, 0], softmax_label: [0, 1, 2] },
      { data: [3, 3], softmax_label: [3] }),
    { name: 'softmax', symbol: softmax(data, { axis: -1 }), inputs: { data: [n, k] }, values: { data: wide(n * k) } },
    { name: 'log_softmax', symbol: logSoftmax(data, { axis: -1 }), inputs: { data: [n, k] }, values: { data: wide(n * k) } },
    { name: 'linear_regression', symbol: linearRegressionOutput(data, { label: variable('label'), name: 'reg' }), inputs: { data: [n, 3] },
      values: { label: wide(n * 3) } },
    { name: 'logistic_regression', symbol: logisticRegressionOutput(data, { label: variable('label'), name: 'reg' }), inputs: { data: [n, 1] } },
    { name: 'make_loss', symbol: makeLoss(square(data), { gradScale: 0.5, name: 'loss' }), inputs: { data: [4, 3] } },
  ];
}
