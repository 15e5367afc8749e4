/** MXNet's operators as ONNX's, in inference. Both lie NCHW and OIHW, so that nothing is transposed. */
import { OptionError } from '../../errors.ts';
import type { Shape } from '../../device/types.ts';
import { resolveAxis } from '../../nn/operator.ts';
import { pair } from '../../nn/operators/convolution.ts';
import { bound, decodeShape } from '../../nn/operators/shape.ts';
import { elementTypes } from './proto.ts';
import type { OnnxAttribute } from './proto.ts';

/** What a layer is translated from, and where its nodes go. Values are known by name. */
export interface OnnxLayer {
  readonly name: string;
  // What a schema yields differs by operator; `attributesOf` has checked it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly a: any;
  readonly inputs: readonly string[];
  /** MXNet's axes. */
  readonly shapes: readonly Shape[];
  readonly outputShapes: readonly Shape[];
  /** A node of one output, which is named. */
  emit(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>): string;
  /** The same of several outputs. */
  emitSeveral(opType: string, inputs: readonly string[], count: number, attributes?: Readonly<Record<string, OnnxAttribute>>): string[];
  /** A constant: int64 of one axis. */
  integers(values: readonly number[]): string;
  /** A constant: a float32 scalar, or `length` times the same. */
  float(value: number, length?: number): string;
}

export type Translate = (layer: OnnxLayer) => string | readonly string[];

const plain = (opType: string): Translate => ({ emit, inputs }) => emit(opType, inputs);
const first: Translate = ({ inputs }) => inputs[0];
/** Losses take a label too, which inference does not. */
const plainOfFirst = (opType: string): Translate => ({ emit, inputs: [x] }) => emit(opType, [x]);

/** A comparison of ONNX gives a bool, of MXNet 0 or 1. */
const comparison = (opType: string, negated = false): Translate => ({ emit, inputs }) => {
  const truth = emit(opType, inputs);
  return emit('Cast', [negated ? emit('Not', [truth]) : truth], { to: elementTypes.float32 });
};

const withScalar = (opType: string, reversed = false): Translate => ({ emit, inputs: [x], float, a }) => {
  const number = float(a.scalar as number);
  return emit(opType, reversed ? [number, x] : [x, number]);
};

/** ONNX's sum takes its axes as an input, its mean, maximum and minimum as an attribute. */
const reduction = (opType: string): Translate => ({ emit, inputs: [x], integers, a, shapes: [shape], name }) => {
  const all = shape.map((_, i) => i);
  const named = (a.axis as number[] | null)?.map((axis) => resolveAxis(axis, shape.length, name)) ?? all;
  const axes = (a.exclude && a.axis !== null ? all.filter((i) => !named.includes(i)) : [...named]).sort((p, q) => p - q);
  const keepdims = a.keepdims ? 1 : 0;
  const reduced = opType === 'ReduceSum' ? emit(opType, [x, integers(axes)], { keepdims }) : emit(opType, [x], { axes, keepdims });
  // MXNet has no scalars.
  return axes.length === shape.length && !a.keepdims ? emit('Reshape', [reduced, integers([1])]) : reduced;
};

const softmaxAlong = (opType: string): Translate => ({ emit, inputs: [x], float, a }) =>
  emit(opType, [a.temperature === 1 ? x : emit('Div', [x, float(a.temperature as number)])], { axis: a.axis as number });

/** Another shape; the batch stays free where the first axis is kept. */
const reshapeTo = ({ emit, inputs: [x], integers, shapes: [from] }: OnnxLayer, to: Shape): string =>
  emit('Reshape', [x, integers(to.map((d, i) => (i === 0 && d === from[0] ? 0 : d)))]);

const convolution: Translate = ({ emit, inputs, a }) => {
  const [h, w] = pair(a.pad as number[], 0);
  return emit('Conv', inputs, {
    kernel_shape: a.kernel as number[], strides: pair(a.stride as number[], 1), dilations: pair(a.dilate as number[], 1), pads: [h, w, h, w],
    group: a.num_group as number,
  });
};

/** `full` lets the last windows hang over: padding of their own behind, of which none lies in it whole. */
const pooling: Translate = ({ emit, inputs: [x], integers, float, a, shapes: [[, , ...size]], outputShapes: [[, , ...out]] }) => {
  const max = a.pool_type === 'max';
  if (a.global_pool) return emit(max ? 'GlobalMaxPool' : 'GlobalAveragePool', [x]);
  const kernel = a.kernel as number[];
  const strides = pair(a.stride as number[], 1);
  const pad = pair(a.pad as number[], 0);
  const over = out.map((n, i) => Math.max(0, (n - 1) * strides[i] + kernel[i] - size[i] - 2 * pad[i]));
  const window = { kernel_shape: kernel, strides, pads: [...pad, ...pad.map((p, i) => p + over[i])] };
  if (max) return emit('MaxPool', [x], window);
  if (!a.count_include_pad) return emit('AveragePool', [x], { ...window, count_include_pad: 0 });
  if (over.every((o) => o === 0)) return emit('AveragePool', [x], { ...window, count_include_pad: 1 });
  // MXNet divides by the window as far as the padding goes: that is made of zeros, and what hangs over it does not count.
  const padded = emit('Pad', [x, integers([0, 0, ...pad, 0, 0, ...pad]), float(0)], { mode: 'constant' });
  return emit('AveragePool', [padded], { ...window, pads: [0, 0, ...over], count_include_pad: 0 });
};

const batchNorm: Translate = ({ name, emit, inputs: [x, gamma, beta, mean, variance], float, a, shapes: [shape, [channels]] }) => {
  const scale = a.fix_gamma ? float(1, channels) : gamma;
  const axis = resolveAxis(a.axis as number, shape.length, name);
  const normalize = (data: string): string => emit('BatchNormalization', [data, scale, beta, mean, variance], { epsilon: { float: a.eps as number } });
  if (axis === 1) return normalize(x);
  // ONNX's channels are axis 1: the two trade places and back.
  const perm = shape.map((_, i) => (i === 1 ? axis : i === axis ? 1 : i));
  return emit('Transpose', [normalize(emit('Transpose', [x], { perm }))], { perm });
};

const fullyConnected: Translate = ({ emit, inputs: [x, weight, bias], a, shapes: [shape] }) => {
  if (a.flatten || shape.length === 2) {
    const flat = shape.length === 2 ? x : emit('Flatten', [x], { axis: 1 });
    return emit('Gemm', bias === undefined ? [flat, weight] : [flat, weight, bias], { transB: 1 });
  }
  const product = emit('MatMul', [x, emit('Transpose', [weight], { perm: [1, 0] })]);
  return bias === undefined ? product : emit('Add', [product, bias]);
};

/** The part [begin, end); axes that are whole are left out, so that the batch may be free. */
function slicedTo({ emit, inputs: [x], integers, shapes: [shape] }: OnnxLayer, begin: readonly number[], end: readonly number[]): string {
  const axes = shape.flatMap((d, i) => (begin[i] > 0 || end[i] < d ? [i] : []));
  if (axes.length === 0) return emit('Identity', [x]);
  return emit('Slice', [x, integers(axes.map((i) => begin[i])), integers(axes.map((i) => end[i])), integers(axes)]);
}

const sliceAxis: Translate = (layer) => {
  const { a, name, shapes: [shape] } = layer;
  const at = resolveAxis(a.axis as number, shape.length, name);
  const end = (a.end as number[] | null)?.[0];
  return slicedTo(layer, shape.map((d, i) => (i === at ? bound(a.begin as number, d, 0) : 0)), shape.map((d, i) => (i === at ? bound(end, d, d) : d)));
};

const slice: Translate = (layer) => {
  const { a: { begin, end }, shapes: [shape] } = layer as OnnxLayer & { a: Record<'begin' | 'end', number[]> };
  return slicedTo(layer, shape.map((d, i) => bound(begin[i], d, 0)), shape.map((d, i) => bound(end[i], d, d)));
};

const split: Translate = ({ name, emit, emitSeveral, inputs, integers, a, shapes: [shape] }) => {
  const axis = resolveAxis(a.axis as number, shape.length, name);
  const parts = emitSeveral('Split', inputs, a.num_outputs as number, { axis });
  return a.squeeze_axis ? parts.map((part) => emit('Squeeze', [part, integers([axis])])) : parts;
};

const swapAxis: Translate = ({ name, emit, inputs, a, shapes: [shape] }) => {
  const [p, q] = [a.dim1, a.dim2].map((axis: number) => resolveAxis(axis, shape.length, name));
  return emit('Transpose', inputs, { perm: shape.map((_, i) => (i === p ? q : i === q ? p : i)) });
};

const transpose: Translate = ({ name, emit, inputs, a, shapes: [shape] }) => {
  const axes = (a.axes as number[] | null)?.map((axis) => resolveAxis(axis, shape.length, name));
  return emit('Transpose', inputs, { perm: axes ?? shape.map((_, i) => shape.length - 1 - i) });
};

const pad: Translate = ({ emit, inputs: [x], integers, float, a }) => {
  const widths = a.pad_width as number[];
  const side = (odd: number): number[] => widths.filter((_, i) => i % 2 === odd);
  const pads = integers([...side(0), ...side(1)]);
  return emit('Pad', a.mode === 'constant' ? [x, pads, float(a.constant_value as number)] : [x, pads], { mode: a.mode as string });
};

const dot: Translate = ({ emit, inputs, a }) => {
  const flags = [a.transpose_a, a.transpose_b];
  return emit('MatMul', inputs.map((x, i) => (flags[i] ? emit('Transpose', [x], { perm: [1, 0] }) : x)));
};

const activations: Readonly<Record<string, string>> = { relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh', softrelu: 'Softplus', softsign: 'Softsign' };

/** The index of the largest, as a float. */
const argMax = (axis: number, keepdims: number): Translate => ({ emit, inputs }) =>
  emit('Cast', [emit('ArgMax', inputs, { axis, keepdims })], { to: elementTypes.float32 });

const table: Readonly<Record<string, Translate>> = {
  Activation: ({ emit, inputs, a }) => emit(activations[a.act_type as string], inputs),
  BatchNorm: batchNorm,
  BlockGrad: first,
  Cast: ({ inputs, a }) => {
    if (a.dtype !== 'float32') throw new OptionError(`dtype ${String(a.dtype)} is not exported to ONNX, only float32`);
    return inputs[0];
  },
  Concat: ({ emit, inputs, a }) => emit('Concat', inputs, { axis: a.dim as number }),
  Convolution: convolution,
  Dropout: ({ inputs, a }) => {
    if (a.mode === 'always') throw new OptionError('mode "always" is not exported to ONNX: its draws are Fovea\'s own');
    return inputs[0];
  },
  Flatten: ({ emit, inputs }) => emit('Flatten', inputs, { axis: 1 }),
  FullyConnected: fullyConnected,
  LeakyReLU: ({ emit, inputs, a }) => emit(a.act_type === 'leaky' ? 'LeakyRelu' : 'Elu', inputs, { alpha: { float: a.slope as number } }),
  LinearRegressionOutput: first,
  LogisticRegressionOutput: plainOfFirst('Sigmoid'),
  MakeLoss: first,
  Pad: pad,
  Pooling: pooling,
  Reshape: (layer) => reshapeTo(layer, decodeShape(layer.a.shape as number[], layer.shapes[0])),
  SliceChannel: split,
  SoftmaxActivation: ({ emit, inputs }) => emit('Softmax', inputs, { axis: 1 }),
  SoftmaxOutput: ({ emit, inputs: [x], a }) => emit('Softmax', [x], { axis: a.multi_output ? 1 : -1 }),
  SwapAxis: swapAxis,
  _copy: first,
  add_n: plain('Sum'),
  argmax: (layer) => argMax(layer.a.axis as number, layer.a.keepdims ? 1 : 0)(layer),
  argmax_channel: argMax(1, 0),
  clip: ({ emit, inputs: [x], float, a }) => emit('Clip', [x, float(a.a_min as number), float(a.a_max as number)]),
  dot,
  expand_dims: ({ name, emit, inputs: [x], integers, a, shapes: [shape] }) => emit('Unsqueeze', [x, integers([resolveAxis(a.axis as number, shape.length + 1, name)])]),
  slice,
  slice_axis: sliceAxis,
  squeeze: (layer) => reshapeTo(layer, layer.outputShapes[0]),
  transpose,

  abs: plain('Abs'), cos: plain('Cos'), exp: plain('Exp'), floor: plain('Floor'), log: plain('Log'), negative: plain('Neg'),
  reciprocal: plain('Reciprocal'), relu: plain('Relu'), sigmoid: plain('Sigmoid'), sign: plain('Sign'), sin: plain('Sin'),
  sqrt: plain('Sqrt'), tanh: plain('Tanh'),
  rsqrt: ({ emit, inputs }) => emit('Reciprocal', [emit('Sqrt', inputs)]),
  square: ({ emit, inputs: [x] }) => emit('Mul', [x, x]),

  elemwise_add: plain('Add'), elemwise_sub: plain('Sub'), elemwise_mul: plain('Mul'), elemwise_div: plain('Div'),
  _maximum: plain('Max'), _minimum: plain('Min'), _power: plain('Pow'),
  broadcast_add: plain('Add'), broadcast_sub: plain('Sub'), broadcast_mul: plain('Mul'), broadcast_div: plain('Div'),
  broadcast_maximum: plain('Max'), broadcast_minimum: plain('Min'), broadcast_power: plain('Pow'),
  broadcast_equal: comparison('Equal'), broadcast_not_equal: comparison('Equal', true), broadcast_greater: comparison('Greater'),
  broadcast_greater_equal: comparison('GreaterOrEqual'), broadcast_lesser: comparison('Less'), broadcast_lesser_equal: comparison('LessOrEqual'),

  _plus_scalar: withScalar('Add'), _minus_scalar: withScalar('Sub'), _mul_scalar: withScalar('Mul'), _div_scalar: withScalar('Div'),
  _power_scalar: withScalar('Pow'), _maximum_scalar: withScalar('Max'), _minimum_scalar: withScalar('Min'),
  _rminus_scalar: withScalar('Sub', true), _rdiv_scalar: withScalar('Div', true), _rpower_scalar: withScalar('Pow', true),

  sum: reduction('ReduceSum'), mean: reduction('ReduceMean'), max: reduction('ReduceMax'), min: reduction('ReduceMin'),
  softmax: softmaxAlong('Softmax'), log_softmax: softmaxAlong('LogSoftmax'),
};

/**
 * How an operator becomes ONNX's.
 *
 * @throws OptionError, by name, where it does not
 */
export function translationOf(operatorName: string): Translate {
  if (!Object.hasOwn(table, operatorName)) throw new OptionError(`operator "${operatorName}" is not exported to ONNX`);
  return table[operatorName];
}
