/**
 * Keras' layers as layers of a Symbol. Axes turn from Keras' NHWC to MXNet's NCHW. A layer with an activation of its own becomes two,
 * `NAME` and `NAME_relu`; `padding: "same"` becomes padding of both sides, or a Pad layer where TensorFlow pads one side more.
 */
import { FormatError } from '../errors.ts';
import {
  activation, add, addN, batchNorm, concat, convolution, dropout, exp, flatten, fullyConnected, leakyRelu, multiply, operator, pad, pooling,
  relu, softmax, transpose,
} from '../nn/layers.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import type { Fields } from './fields.ts';

/** What a layer is built on. */
export interface KerasContext {
  readonly name: string;
  readonly config: Fields;
  readonly inputs: readonly ModelSymbol[];
  /** MXNet's axes. Known where the model states the size of its images. @throws FormatError where it does not */
  shapeOf(symbol: ModelSymbol): readonly number[];
  /** Number of axes. */
  rankOf(symbol: ModelSymbol): number;
}

type Build = (context: KerasContext) => ModelSymbol;
type Pair = readonly [number, number];

function activate(x: ModelSymbol, kind: string, name: string, config: Fields, key = 'activation'): ModelSymbol {
  switch (kind) {
    case 'linear': return x;
    case 'relu': case 'sigmoid': case 'tanh': case 'softsign': return activation(x, { actType: kind, name });
    case 'softplus': return activation(x, { actType: 'softrelu', name });
    case 'relu6': return operator('clip', [x], { values: { a_min: 0, a_max: 6 }, name });
    case 'elu': return leakyRelu(x, { actType: 'elu', slope: 1, name });
    case 'exponential': return exp(x, { name });
    case 'swish': case 'silu': return multiply(x, activation(x, { actType: 'sigmoid', name: `${name}_sigmoid` }), { name });
    // Keras' last axis is MXNet's channels where there are four, and the only one beside the batch where there are two.
    case 'softmax': return softmax(x, { axis: 1, name });
    default: return config.fail(key, 'linear, relu, relu6, elu, sigmoid, tanh, softplus, softsign, exponential, swish or softmax');
  }
}

/** The layer, and its own activation after it. */
function withActivation(x: ModelSymbol, { name, config }: KerasContext): ModelSymbol {
  const kind = config.text('activation', 'linear');
  return activate(x, kind, `${name}_${kind}`, config);
}

function refuseUnless(config: Fields, key: string, value: unknown, expected: string): void {
  if (config.has(key) && JSON.stringify(config.raw(key)) !== JSON.stringify(value)) config.fail(key, expected);
}

function channelsLast(config: Fields): void {
  refuseUnless(config, 'data_format', 'channels_last', '"channels_last"');
}

function one({ inputs, name }: KerasContext): ModelSymbol {
  if (inputs.length !== 1) throw new FormatError(`layer "${name}": expected one input, got ${inputs.length}`);
  return inputs[0];
}

/** Padding ahead of each axis, and what is missing behind it. */
interface Same {
  readonly before: Pair;
  readonly more: Pair;
}

/** TensorFlow's rule: outputs of ceil(size / stride), the odd pixel of padding behind. */
function samePadding(context: KerasContext, x: ModelSymbol, window: Pair, stride: Pair): Same {
  const totals = window.map((k, i) => {
    if (stride[i] === 1) return k - 1;
    const size = context.shapeOf(x)[2 + i];
    return Math.max(0, (Math.ceil(size / stride[i]) - 1) * stride[i] + k - size);
  });
  const before = totals.map((t) => Math.floor(t / 2)) as unknown as Pair;
  return { before, more: totals.map((t, i) => t - 2 * before[i]) as unknown as Pair };
}

function isSame({ config }: KerasContext): boolean {
  const padding = config.text('padding', 'valid');
  if (padding !== 'same' && padding !== 'valid') config.fail('padding', '"same" or "valid"');
  return padding === 'same';
}

function padded(x: ModelSymbol, name: string, [top, left]: Pair, [bottom, right]: Pair): ModelSymbol {
  return pad(x, { mode: 'constant', padWidth: [0, 0, 0, 0, top, bottom, left, right], name });
}

const conv2d: Build = (context) => {
  const { name, config } = context;
  channelsLast(config);
  refuseUnless(config, 'groups', 1, '1: grouped convolutions are not supported');
  const kernel = config.pair('kernel_size');
  const stride = config.pair('strides', 1);
  const dilate = config.pair('dilation_rate', 1);
  let x = one(context);
  let pads: Pair = [0, 0];
  if (isSame(context)) {
    const { before, more } = samePadding(context, x, [dilate[0] * (kernel[0] - 1) + 1, dilate[1] * (kernel[1] - 1) + 1], stride);
    if (more[0] === 0 && more[1] === 0) pads = before;
    else x = padded(x, `${name}_pad`, before, [before[0] + more[0], before[1] + more[1]]);
  }
  const dilation = dilate[0] === 1 && dilate[1] === 1 ? undefined : dilate;
  const noBias = !config.flag('use_bias', true);
  return withActivation(convolution(x, { kernel, numFilter: config.number('filters'), stride, pad: pads, dilate: dilation, noBias, name }), context);
};

const pool2d = (poolType: 'max' | 'avg'): Build => (context) => {
  const { name, config } = context;
  channelsLast(config);
  const kernel = config.pair('pool_size', 2);
  const stride = config.has('strides') ? config.pair('strides') : kernel;
  const x = one(context);
  if (!isSame(context)) return pooling(x, { kernel, stride, poolType, name });
  const { before, more } = samePadding(context, x, kernel, stride);
  // A window more behind is what MXNet's `full` gives; where the stride is 1 it gives none.
  if (more.some((m, i) => m > 0 && stride[i] === 1)) config.fail('pool_size', 'odd sizes where padding is "same" and the stride 1');
  const poolingConvention = more[0] > 0 || more[1] > 0 ? 'full' : undefined;
  // TensorFlow leaves padding out of averages.
  return pooling(x, { kernel, stride, pad: before, poolType, poolingConvention, countIncludePad: poolType === 'avg' ? false : undefined, name });
};

const globalPool2d = (poolType: 'max' | 'avg'): Build => (context) => {
  const { name, config } = context;
  channelsLast(config);
  const pooled = pooling(one(context), { kernel: [1, 1], globalPool: true, poolType, name });
  return config.flag('keepdims', false) ? pooled : flatten(pooled, { name: `${name}_flat` });
};

/** An axis of Keras' (NHWC) in MXNet's (NCHW). */
function axisOf(context: KerasContext, key: string, rank: number): number {
  const { config } = context;
  const raw = config.raw(key) ?? -1;
  const value: unknown = Array.isArray(raw) && raw.length === 1 ? raw[0] : raw;
  if (!Number.isInteger(value)) config.fail(key, 'an axis');
  const axis = (value as number) < 0 ? (value as number) + rank : (value as number);
  if (!(axis >= 0 && axis < rank)) config.fail(key, `an axis of ${rank}`);
  return rank === 4 ? [0, 2, 3, 1][axis] : axis;
}

const builders: Readonly<Record<string, Build>> = {
  Conv2D: conv2d,
  BatchNormalization: (context) => {
    const { name, config } = context;
    const x = one(context);
    const axis = axisOf(context, 'axis', context.rankOf(x));
    if (axis !== 1) config.fail('axis', 'the last axis');
    // Without `scale` there is no gamma: it is taken as 1.
    return batchNorm(x, { eps: config.number('epsilon', 1e-3), momentum: config.number('momentum', 0.99), fixGamma: !config.flag('scale', true), name });
  },
  Activation: (context) => activate(one(context), context.config.text('activation'), context.name, context.config),
  ReLU: (context) => {
    const { config, name } = context;
    refuseUnless(config, 'threshold', 0, '0');
    const slope = config.number('negative_slope', 0);
    const largest = config.has('max_value') ? config.number('max_value') : undefined;
    if (slope !== 0 && largest !== undefined) config.fail('max_value', 'none beside negative_slope');
    if (slope !== 0) return leakyRelu(one(context), { slope, name });
    return largest === undefined ? relu(one(context), { name }) : operator('clip', [one(context)], { values: { a_min: 0, a_max: largest }, name });
  },
  LeakyReLU: (context) => {
    const { config, name } = context;
    return leakyRelu(one(context), { slope: config.number(config.has('negative_slope') ? 'negative_slope' : 'alpha', 0.3), name });
  },
  Softmax: (context) => {
    const x = one(context);
    return softmax(x, { axis: axisOf(context, 'axis', context.rankOf(x)), name: context.name });
  },
  MaxPooling2D: pool2d('max'),
  AveragePooling2D: pool2d('avg'),
  GlobalMaxPooling2D: globalPool2d('max'),
  GlobalAveragePooling2D: globalPool2d('avg'),
  Concatenate: (context) => {
    const dim = axisOf(context, 'axis', context.rankOf(context.inputs[0]));
    return concat(context.inputs, { dim: dim === 1 ? undefined : dim, name: context.name });
  },
  Add: ({ inputs, name }) => (inputs.length === 2 ? add(inputs[0], inputs[1], { name }) : addN(inputs, { name })),
  Multiply: ({ inputs, name }) => inputs.slice(1).reduce((x, y, i) => multiply(x, y, { name: i === inputs.length - 2 ? name : `${name}_${i}` }), inputs[0]),
  Flatten: (context) => {
    const { name, config } = context;
    channelsLast(config);
    const x = one(context);
    // Keras flattens height, width, channels.
    const moves = context.rankOf(x) === 4 && context.shapeOf(x).slice(2).some((d) => d > 1);
    return flatten(moves ? transpose(x, { axes: [0, 2, 3, 1], name: `${name}_nhwc` }) : x, { name });
  },
  Dense: (context) => {
    const { name, config } = context;
    const x = one(context);
    if (context.rankOf(x) !== 2) throw new FormatError(`${config.where}: a Dense layer over ${context.rankOf(x)} axes is not supported; expected two`);
    return withActivation(fullyConnected(x, { numHidden: config.number('units'), noBias: !config.flag('use_bias', true), name }), context);
  },
  Dropout: (context) => {
    refuseUnless(context.config, 'noise_shape', null, 'none');
    return dropout(one(context), { p: context.config.number('rate'), name: context.name });
  },
  ZeroPadding2D: (context) => {
    const { name, config } = context;
    channelsLast(config);
    const raw = config.raw('padding') ?? 1;
    const sides = (typeof raw === 'number' ? [raw, raw] : Array.isArray(raw) ? raw : config.fail('padding', 'numbers'))
      .map((v: unknown) => (Array.isArray(v) ? v : [v, v]) as unknown[]);
    if (sides.length !== 2 || !sides.every((s) => s.length === 2 && s.every((v) => Number.isSafeInteger(v) && (v as number) >= 0))) {
      config.fail('padding', '[[top, bottom], [left, right]]');
    }
    const [[top, bottom], [left, right]] = sides as number[][];
    return padded(one(context), name, [top, left], [bottom, right]);
  },
  Rescaling: (context) => {
    const { name, config } = context;
    const scaled = multiply(one(context), config.number('scale'), { name: `${name}_scale` });
    return add(scaled, config.number('offset', 0), { name });
  },
};

/**
 * A layer of Keras' class.
 *
 * @throws FormatError for a class that is not known, or a setting that Fovea has nothing for
 */
export function buildKerasLayer(className: string, context: KerasContext): ModelSymbol {
  if (!Object.hasOwn(builders, className)) {
    throw new FormatError(`${context.config.where}: layer "${context.name}": Keras' ${className} is not supported; ` +
      `these are: ${Object.keys(builders).join(', ')}`);
  }
  return builders[className](context);
}
