/**
 * Layers. Each function takes the symbol to build on and its options, or the options alone and gives a function for `chain`.
 * Options are MXNet's in camel case; what is not given is MXNet's default. Parameters that are not given as symbols are made,
 * named `LAYER_weight` and so on.
 */
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { AttributeValue } from './attributes.ts';
import { formatAttribute, isUserAttribute, parseAttributes } from './attributes.ts';
import { automaticName } from './names.ts';
import { didYouMean } from '../nearest.ts';
import { findOperator } from './operators.ts';
import { ModelSymbol } from './symbol.ts';
import type { SymbolEntry, SymbolNode } from './symbol-graph.ts';

/** What any layer may be given beside its own options. */
export interface LayerOptions {
  /** Default: the operator and a count, `convolution0`. */
  readonly name?: string;
  /** Factors on learning rate and weight decay of the layer's parameters. */
  readonly lrMult?: number;
  readonly wdMult?: number;
  /** Keeps the layer's parameters as they are. */
  readonly freeze?: boolean;
  /** Attributes of the user's own. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface VariableOptions {
  readonly shape?: Shape;
  readonly lrMult?: number;
  readonly wdMult?: number;
  readonly freeze?: boolean;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A layer to build on what comes before it in a chain. */
export type Step = (data: ModelSymbol) => ModelSymbol;

export interface Layer<O> {
  (data: ModelSymbol, options: O): ModelSymbol;
  (options: O): Step;
}

/** A layer that may do without options. */
export interface PlainLayer<O> {
  (data: ModelSymbol, options?: O): ModelSymbol;
  (options?: O): Step;
}

/** An input of a network, or a parameter that layers share. */
export function variable(name: string, options: VariableOptions = {}): ModelSymbol {
  const attributes = userAttributes(options);
  if (options.shape !== undefined) attributes.__shape__ = formatAttribute(options.shape);
  return new ModelSymbol([{ node: { op: 'null', name, attributes, inputs: [] }, index: 0 }]);
}

/** Layers one after another; a text is a variable's name. */
export function chain(first: ModelSymbol | string, ...steps: readonly Step[]): ModelSymbol {
  return steps.reduce((data, step) => step(data), typeof first === 'string' ? variable(first) : first);
}

/**
 * An application of any operator by MXNet's name, for those without a function of their own.
 *
 * @param inputs in order; `undefined` for what is to be made
 * @param options attributes by MXNet's names
 * @throws OptionError for an unknown operator or attribute, or a value out of range
 */
export function operator(
  operatorName: string,
  inputs: readonly (ModelSymbol | undefined)[],
  options: LayerOptions & { readonly values?: Readonly<Record<string, AttributeValue>> } = {},
): ModelSymbol {
  const name = options.name ?? automaticName(operatorName);
  const found = findOperator(operatorName, name);
  const attributes: Record<string, string> = {};
  for (const [key, value] of Object.entries(options.values ?? {})) {
    if (value !== undefined) attributes[key] = formatAttribute(value, found.schema[key]?.float);
  }
  Object.assign(attributes, userAttributes(options));
  const parsed = parseAttributes(name, found.name, found.schema, attributes);
  const names = found.inputs?.(parsed);
  const entries: SymbolEntry[] = [];
  const count = names?.length ?? inputs.length;
  if (inputs.length > count) {
    throw new OptionError(`layer "${name}" (${found.name}): ${inputs.length} inputs given, ` +
      `takes ${count} (${names!.join(', ')})`);
  }
  for (let i = 0; i < count; i++) {
    const input = inputs[i];
    if (input === undefined) {
      const state = found.auxiliary?.includes(names![i]) ?? false;
      // As MXNet does it: a variable made for a layer bears the layer's attributes.
      const own = { ...attributes };
      if (state) own.__init__ = names![i].endsWith('var') ? '["one", {}]' : '["zero", {}]';
      entries.push({ node: { op: 'null', name: `${name}_${names![i]}`, attributes: own, inputs: [] }, index: 0 });
    } else if (input.outputCount !== 1) {
      throw new OptionError(`layer "${name}" (${found.name}): input ${names?.[i] ?? i} has ${input.outputCount} outputs; ` +
        'choose one');
    } else {
      entries.push(input.entries[0]);
    }
  }
  const node: SymbolNode = { op: found.name, name, attributes, inputs: entries };
  const outputs = found.outputs?.(parsed).length ?? 1;
  return new ModelSymbol(Array.from({ length: outputs }, (_, index) => ({ node, index })));
}

function userAttributes(options: Omit<LayerOptions, 'name'>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [key, value] of Object.entries(options.attributes ?? {})) out[isUserAttribute(key) ? key : `__${key}__`] = value;
  if (options.lrMult !== undefined) out.__lr_mult__ = formatAttribute(options.lrMult, true);
  if (options.wdMult !== undefined) out.__wd_mult__ = formatAttribute(options.wdMult, true);
  if (options.freeze) out.__grad__ = 'freeze';
  return out;
}

const common = new Set(['name', 'lrMult', 'wdMult', 'freeze', 'attributes']);

/**
 * The layer function of an operator. `symbols` are the options that are symbols, by the operator's input names; the others
 * are attributes, in camel case.
 */
function layer<O extends LayerOptions>(operatorName: string, symbols: readonly string[] = []): PlainLayer<O> {
  const build = (data: ModelSymbol, options: O): ModelSymbol => {
    const { schema } = findOperator(operatorName, options.name ?? operatorName);
    const values: Record<string, AttributeValue> = {};
    for (const [key, value] of Object.entries(options)) {
      if (common.has(key) || symbols.includes(key)) continue;
      const attribute = key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
      if (!Object.hasOwn(schema, attribute)) {
        const camel = Object.keys(schema).map((k) => k.replace(/_(.)/g, (_m, c: string) => c.toUpperCase()));
        const known = [...common, ...symbols, ...camel];
        throw new OptionError(`${operatorName}: unknown option "${key}"${didYouMean(key, known, '"')}`);
      }
      values[attribute] = value as AttributeValue;
    }
    const given = options as unknown as Record<string, ModelSymbol | undefined>;
    const inputs = [data, ...symbols.map((s) => given[s])];
    while (inputs.length > 1 && inputs[inputs.length - 1] === undefined) inputs.pop();
    return operator(operatorName, inputs, { ...options, values });
  };
  return ((first?: ModelSymbol | O, second?: O) =>
    first instanceof ModelSymbol
      ? build(first, second ?? ({} as O))
      : (data: ModelSymbol) => build(data, first ?? ({} as O))) as PlainLayer<O>;
}

export interface ConvolutionOptions extends LayerOptions {
  /** [height, width]. */
  readonly kernel: readonly [number, number];
  readonly numFilter: number;
  readonly stride?: readonly [number, number];
  /** On both sides. */
  readonly pad?: readonly [number, number];
  readonly dilate?: readonly [number, number];
  readonly noBias?: boolean;
  readonly weight?: ModelSymbol;
  readonly bias?: ModelSymbol;
}
export const convolution: Layer<ConvolutionOptions> = layer('Convolution', ['weight', 'bias']);

export interface FullyConnectedOptions extends LayerOptions {
  readonly numHidden: number;
  readonly noBias?: boolean;
  /** False applies the layer along the last axis. Default true. */
  readonly flatten?: boolean;
  readonly weight?: ModelSymbol;
  readonly bias?: ModelSymbol;
}
export const fullyConnected: Layer<FullyConnectedOptions> = layer('FullyConnected', ['weight', 'bias']);

export interface BatchNormOptions extends LayerOptions {
  /** Default 1e-3. */
  readonly eps?: number;
  /** Of the moving statistics; default 0.9. */
  readonly momentum?: number;
  /** Takes gamma as 1; default true, as MXNet's. */
  readonly fixGamma?: boolean;
  /** Keeps to the moving statistics in training too. */
  readonly useGlobalStats?: boolean;
  readonly axis?: number;
  readonly gamma?: ModelSymbol;
  readonly beta?: ModelSymbol;
}
export const batchNorm: PlainLayer<BatchNormOptions> = layer('BatchNorm', ['gamma', 'beta']);

export interface ActivationOptions extends LayerOptions {
  readonly actType: 'relu' | 'sigmoid' | 'tanh' | 'softrelu' | 'softsign';
}
export const activation: Layer<ActivationOptions> = layer('Activation');

export interface LeakyReluOptions extends LayerOptions {
  readonly actType?: 'leaky' | 'elu';
  readonly slope?: number;
}
export const leakyRelu: PlainLayer<LeakyReluOptions> = layer('LeakyReLU');

export interface PoolingOptions extends LayerOptions {
  readonly kernel?: readonly [number, number];
  readonly poolType?: 'max' | 'avg';
  readonly stride?: readonly [number, number];
  readonly pad?: readonly [number, number];
  readonly globalPool?: boolean;
  /** `full` rounds the output's size up. Default `valid`. */
  readonly poolingConvention?: 'valid' | 'full';
  /** Of averages; default true. */
  readonly countIncludePad?: boolean;
}
export const pooling: Layer<PoolingOptions> = layer('Pooling');

export const flatten: PlainLayer<LayerOptions> = layer('Flatten');

export interface DropoutOptions extends LayerOptions {
  /** The share that is dropped; default 0.5. */
  readonly p?: number;
}
export const dropout: PlainLayer<DropoutOptions> = layer('Dropout');

export interface SoftmaxOutputOptions extends LayerOptions {
  readonly gradScale?: number;
  readonly ignoreLabel?: number;
  readonly useIgnore?: boolean;
  readonly multiOutput?: boolean;
  readonly normalization?: 'null' | 'batch' | 'valid';
  readonly smoothAlpha?: number;
  readonly label?: ModelSymbol;
}
export const softmaxOutput: PlainLayer<SoftmaxOutputOptions> = layer('SoftmaxOutput', ['label']);

export interface RegressionOptions extends LayerOptions {
  readonly gradScale?: number;
  readonly label?: ModelSymbol;
}
export const linearRegressionOutput: PlainLayer<RegressionOptions> = layer('LinearRegressionOutput', ['label']);
export const logisticRegressionOutput: PlainLayer<RegressionOptions> = layer('LogisticRegressionOutput', ['label']);
export const makeLoss: PlainLayer<LayerOptions & { readonly gradScale?: number }> = layer('MakeLoss');
export const blockGradient: PlainLayer<LayerOptions> = layer('BlockGrad');

export const softmax: PlainLayer<LayerOptions & { readonly axis?: number }> = layer('softmax');
export const logSoftmax: PlainLayer<LayerOptions & { readonly axis?: number }> = layer('log_softmax');
export const reshape: Layer<LayerOptions & { readonly shape: readonly number[] }> = layer('Reshape');
export const transpose: PlainLayer<LayerOptions & { readonly axes?: readonly number[] }> = layer('transpose');
export const sliceAxis: Layer<LayerOptions & { readonly axis: number; readonly begin: number; readonly end: number }> =
  layer('slice_axis');
export const slice: Layer<LayerOptions & { readonly begin: readonly number[]; readonly end: readonly number[] }> = layer('slice');

export interface PadOptions extends LayerOptions {
  /** Before and after each axis, in MXNet's order: (0, 0, 0, 0, top, bottom, left, right). */
  readonly padWidth: readonly number[];
  readonly mode: 'constant' | 'edge';
  readonly constantValue?: number;
}
export const pad: Layer<PadOptions> = layer('Pad');

type ReduceOptions = LayerOptions & { readonly axis?: readonly number[]; readonly keepdims?: boolean };
export const sum: PlainLayer<ReduceOptions> = layer('sum');
export const mean: PlainLayer<ReduceOptions> = layer('mean');
export const max: PlainLayer<ReduceOptions> = layer('max');
export const min: PlainLayer<ReduceOptions> = layer('min');
export const relu: PlainLayer<LayerOptions> = layer('relu');
export const exp: PlainLayer<LayerOptions> = layer('exp');
export const log: PlainLayer<LayerOptions> = layer('log');
export const sqrt: PlainLayer<LayerOptions> = layer('sqrt');
export const square: PlainLayer<LayerOptions> = layer('square');
export const abs: PlainLayer<LayerOptions> = layer('abs');

/** Symbols side by side along an axis of MXNet's; default the channels. */
export function concat(inputs: readonly ModelSymbol[], options: LayerOptions & { readonly dim?: number } = {}): ModelSymbol {
  return operator('Concat', inputs, { ...options, values: { dim: options.dim, num_args: inputs.length } });
}

/** The sum of symbols of one shape. */
export function addN(inputs: readonly ModelSymbol[], options: LayerOptions = {}): ModelSymbol {
  return operator('add_n', inputs, { ...options, values: { num_args: inputs.length } });
}

/** Names as MXNet gives them to operators in expressions. */
function arithmetic(symbols: string, stem: string, plain: string, reversed: string) {
  return (a: ModelSymbol | number, b: ModelSymbol | number, options: LayerOptions = {}): ModelSymbol => {
    if (a instanceof ModelSymbol && b instanceof ModelSymbol) {
      return operator(symbols, [a, b], { ...options, name: options.name ?? `_${automaticName(stem)}` });
    }
    const [first, second] = typeof a === 'number' ? [b, a] : [a, b];
    if (!(first instanceof ModelSymbol) || typeof second !== 'number') {
      throw new OptionError(`${symbols}: expected a symbol and a number, or two symbols`);
    }
    const name = typeof a === 'number' ? reversed : plain;
    return operator(name, [first], {
      ...options,
      name: options.name ?? `_${automaticName(name.replaceAll('_', ''))}`,
      values: { scalar: second },
    });
  };
}

/** Sums, differences, products and quotients of symbols of one shape, or of a symbol and a number. */
export const add = arithmetic('elemwise_add', 'plus', '_plus_scalar', '_plus_scalar');
export const subtract = arithmetic('elemwise_sub', 'minus', '_minus_scalar', '_rminus_scalar');
export const multiply = arithmetic('elemwise_mul', 'mul', '_mul_scalar', '_mul_scalar');
export const divide = arithmetic('elemwise_div', 'div', '_div_scalar', '_rdiv_scalar');

/** The same with numpy's broadcasting, between symbols of one rank. */
export const broadcastAdd = (a: ModelSymbol, b: ModelSymbol, options: LayerOptions = {}): ModelSymbol =>
  operator('broadcast_add', [a, b], options);
export const broadcastMultiply = (a: ModelSymbol, b: ModelSymbol, options: LayerOptions = {}): ModelSymbol =>
  operator('broadcast_mul', [a, b], options);
