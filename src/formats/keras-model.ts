/** Keras' models (Functional, Sequential) out of a TensorFlow.js layers model: the topology as a Symbol, the weights by MXNet's names. */
import { FormatError, FoveaError } from '../errors.ts';
import type { Shape } from '../device/types.ts';
import type { HostArray } from '../nn/host-array.ts';
import { float32Array, permuteAxes } from '../nn/host-array.ts';
import { variable } from '../nn/layers.ts';
import { group } from '../nn/symbol.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { Fields } from './fields.ts';
import { buildKerasLayer } from './keras-layers.ts';
import type { LayersModel } from './layers-model.ts';
import { dequantize, readLayersModel } from './layers-model.ts';
import type { LoadedModel, LoadModelOptions } from './load-model.ts';
import { splitPath } from './model-files.ts';
import type { ModelFiles } from './model-files.ts';
import type { Checkpoint } from './mxnet-params.ts';
import { asOption, atSize, toMinusOneToOne } from './preprocessing.ts';

/** A network out of Keras' topology. */
export interface KerasNetwork {
  readonly symbol: ModelSymbol;
  /** Of the inputs, in MXNet's axes, batch 1, where the model states them. */
  readonly inputs: Readonly<Record<string, Shape>>;
  /** Keras' class of each layer, by name. */
  readonly classes: ReadonlyMap<string, string>;
}

interface LayerJson {
  readonly name: string;
  readonly className: string;
  readonly config: Fields;
  readonly from: readonly string[];
}

/**
 * The Symbol of a topology. A sole input is called `data`.
 *
 * @throws FormatError with file and field, for classes and settings that are not known
 */
export function symbolOfKeras(topology: unknown, { file }: { readonly file: string }): KerasNetwork {
  const root = new Fields(topology, `${file}: modelTopology`);
  const model = root.has('model_config') ? root.object('model_config') : root;
  const kind = model.text('class_name');
  const sequential = kind === 'Sequential';
  if (!sequential && !['Functional', 'Model'].includes(kind)) model.fail('class_name', 'Functional, Model or Sequential');
  const layers = sequential ? sequentialLayers(model) : model.object('config').objects('layers').map(functionalLayer);
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const sources = layers.filter((layer) => layer.className === 'InputLayer');
  const symbols = new Map<string, ModelSymbol>();
  const inputs: Record<string, Shape> = {};
  const ranks = new Map<ModelSymbol, number>();
  const shapeOf = (symbol: ModelSymbol, config: Fields): readonly number[] => {
    try {
      return symbol.inferShape(Object.fromEntries(Object.entries(inputs).filter(([name]) => symbol.listArguments().includes(name))))
        .outputs.values().next().value!;
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      throw new FormatError(`${config.where}: ${error.message}`, { cause: error });
    }
  };

  const build = (layer: LayerJson): ModelSymbol => {
    const { name, className, config } = layer;
    if (className === 'InputLayer') {
      const input = sources.length === 1 ? 'data' : name;
      const shape = inputShape(config);
      if (shape.every((d) => d > 0)) inputs[input] = shape;
      const made = variable(input);
      ranks.set(made, shape.length);
      return made;
    }
    const from = layer.from.map((source) => {
      const found = symbols.get(source);
      if (found === undefined) throw new FormatError(`${config.where}: layer "${name}": its input "${source}" is no layer before it`);
      return found;
    });
    if (from.length === 0) throw new FormatError(`${config.where}: layer "${name}": no inputs`);
    const made = buildKerasLayer(className, { name, config, inputs: from, shapeOf: (s) => shapeOf(s, config), rankOf: (s) => ranks.get(s) ?? 4 });
    const flat = className === 'Flatten' || className === 'Dense' || (className.startsWith('Global') && !config.flag('keepdims', false));
    ranks.set(made, flat ? 2 : ranks.get(from[0]) ?? 4);
    return made;
  };
  for (const layer of inOrder(layers, byName)) symbols.set(layer.name, build(layer));
  const outputs = sequential ? [layers[layers.length - 1].name] : model.object('config').list('output_layers').map((v) => endpoint(v, model));
  const heads = outputs.map((name) => symbols.get(name) ?? model.fail('config', `output_layers that exist, not "${name}"`));
  return {
    symbol: heads.length === 1 ? heads[0] : group(...heads), inputs, classes: new Map(layers.map((l) => [l.name, l.className])),
  };
}

/** Inputs before users, without recursion: files may list layers in any order. */
function inOrder(layers: readonly LayerJson[], byName: ReadonlyMap<string, LayerJson>): LayerJson[] {
  const waiting = new Map(layers.map((layer) => [layer, layer.from.filter((name) => byName.has(name)).length]));
  const users = new Map<string, LayerJson[]>();
  for (const layer of layers) for (const name of layer.from) users.set(name, [...(users.get(name) ?? []), layer]);
  const out = layers.filter((layer) => waiting.get(layer) === 0);
  for (const layer of out) {
    for (const user of users.get(layer.name) ?? []) {
      const left = waiting.get(user)! - 1;
      waiting.set(user, left);
      if (left === 0) out.push(user);
    }
  }
  if (out.length < layers.length) {
    const stuck = layers.find((layer) => !out.includes(layer))!;
    throw new FormatError(`${stuck.config.where}: layer "${stuck.name}" depends on itself`);
  }
  return out;
}

/** [batch, height, width, channels] or [batch, features], to MXNet's axes and a batch of 1; 0 where a length is not stated. */
function inputShape(config: Fields): number[] {
  const key = config.has('batch_shape') ? 'batch_shape' : 'batch_input_shape';
  const shape = config.list(key);
  const lengths = shape.slice(1).map((d) => (
    d === null ? 0 : Number.isSafeInteger(d) && (d as number) > 0 ? (d as number) : config.fail(key, 'lengths or null')));
  if (lengths.length !== 1 && lengths.length !== 3) config.fail(key, '[batch, height, width, channels] or [batch, features]');
  return lengths.length === 3 ? [1, lengths[2], lengths[0], lengths[1]] : [1, lengths[0]];
}

function functionalLayer(layer: Fields): LayerJson {
  const config = layer.object('config');
  const name = layer.text('name', config.text('name', ''));
  const calls = layer.list('inbound_nodes');
  if (calls.length > 1)
    throw new FormatError(`${layer.at('inbound_nodes')}: layer "${name}" is applied ${calls.length} times; shared layers are not supported`);
  return { name, className: layer.text('class_name'), config, from: calls.length === 0 ? [] : sourcesOf(calls[0], layer) };
}

/** The layers that a call takes: [[name, node, tensor, {}], ...] up to Keras 2, tensors with a history in Keras 3. */
function sourcesOf(call: unknown, layer: Fields): string[] {
  const isEntry = (value: unknown): value is [string, ...unknown[]] => Array.isArray(value) && typeof value[0] === 'string';
  if (isEntry(call)) return [call[0]];
  if (Array.isArray(call)) return call.map((entry: unknown) => (isEntry(entry) ? entry[0] : layer.fail('inbound_nodes', '[layer, node, tensor]')));
  const out: string[] = [];
  const walk = [...new Fields(call, layer.at('inbound_nodes[0]')).list('args')];
  while (walk.length > 0) {
    const value = walk.shift();
    if (Array.isArray(value)) walk.unshift(...(value as unknown[]));
    else if (typeof value === 'object' && value !== null) {
      out.push(endpoint(new Fields(value, layer.at('inbound_nodes')).object('config').raw('keras_history'), layer));
    }
  }
  return out;
}

function endpoint(value: unknown, at: Fields): string {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return at.fail('output_layers', '[layer, node, tensor]');
  return value[0];
}

function sequentialLayers(model: Fields): LayerJson[] {
  const list = Array.isArray(model.raw('config')) ? model.objects('config') : model.object('config').objects('layers');
  const layers: LayerJson[] = [];
  for (const layer of list) {
    const config = layer.object('config');
    const className = layer.text('class_name');
    const name = config.text('name');
    if (layers.length === 0 && className !== 'InputLayer') layers.push({ name: `${name}_input`, className: 'InputLayer', config, from: [] });
    layers.push({ name, className, config, from: className === 'InputLayer' ? [] : [layers[layers.length - 1].name] });
  }
  if (layers.length < 2) model.fail('config', 'layers');
  return layers;
}

/** Keras' names of a layer's weights: MXNet's, and how the axes go. */
const weightNames: Readonly<Record<string, readonly [name: string, axes4: readonly number[], axes2: readonly number[]]>> = {
  // HWIO and [in, out] to OIHW and [out, in].
  kernel: ['weight', [3, 2, 0, 1], [1, 0]],
  bias: ['bias', [], []],
  gamma: ['gamma', [], []],
  beta: ['beta', [], []],
  moving_mean: ['moving_mean', [], []],
  moving_variance: ['moving_var', [], []],
};

/**
 * The weights of a model by MXNet's names and in its axes; each is taken from `model` as it is converted, so that both never lie in
 * memory whole. A gamma or beta that Keras leaves out is all ones or zeros.
 *
 * @throws FormatError where a weight is missing, ambiguous or of another shape than its layer's
 */
export function parametersOfKeras({ symbol, inputs }: KerasNetwork, model: LayersModel, { file }: { readonly file: string }): Checkpoint {
  const found = new Map<string, string>();
  for (const name of model.weights.keys()) {
    // conv2d_1/kernel, conv2d_1/kernel:0, or with scopes ahead.
    const parts = name.replace(/:\d+$/, '').split('/');
    const [kind] = weightNames[parts[parts.length - 1]] ?? [];
    if (kind === undefined || parts.length < 2) continue;
    const key = `${parts[parts.length - 2]}_${kind}`;
    if (found.has(key)) throw new FormatError(`${file}: weights "${found.get(key)}" and "${name}" are of one layer`);
    found.set(key, name);
  }
  let shapes;
  try {
    shapes = Object.keys(inputs).length > 0 ? symbol.inferShape(inputs) : undefined;
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    throw new FormatError(`${file}: modelTopology: ${error.message}`, { cause: error });
  }
  const channels = new Map<string, number>();
  const convert = (name: string): HostArray | undefined => {
    const key = found.get(name);
    if (key === undefined) return undefined;
    const stored = model.weights.get(key)!;
    model.weights.delete(key);
    const values = dequantize(stored);
    const [, axes4, axes2] = weightNames[key.replace(/:\d+$/, '').split('/').pop()!];
    const axes = values.shape.length === 4 ? axes4 : values.shape.length === 2 ? axes2 : [];
    const array = axes.length === 0 ? values : permuteAxes(values, axes);
    const want = shapes?.arguments.get(name) ?? shapes?.auxiliary.get(name);
    if (want !== undefined && (want.length !== array.shape.length || want.some((d, i) => d !== array.shape[i]))) {
      throw new FormatError(`${file}: weights "${key}": [${values.shape.join(', ')}] does not fit its layer; as ${name} it should be [${want.join(', ')}]`);
    }
    channels.set(name.replace(/_[a-z]+$|_moving_[a-z]+$/, ''), array.shape[0]);
    return array;
  };
  const out: Checkpoint = { arguments: new Map(), auxiliary: new Map() };
  for (const name of symbol.listAuxiliaryStates()) {
    const array = convert(name);
    if (array === undefined) throw new FormatError(`${file}: weightsManifest: no weights for "${name}"`);
    out.auxiliary.set(name, array);
    channels.set(name.replace(/_moving_[a-z]+$/, ''), array.shape[0]);
  }
  for (const name of symbol.listArguments()) {
    if (name in inputs || name === 'data') continue;
    const array = convert(name) ?? missing(name, channels);
    if (array === undefined) throw new FormatError(`${file}: weightsManifest: no weights for "${name}"`);
    out.arguments.set(name, array);
  }
  return out;
}

/** Ones for a gamma, zeros for a beta, as long as the statistics of their batch norm. */
function missing(name: string, channels: ReadonlyMap<string, number>): HostArray | undefined {
  const match = /^(.*)_(gamma|beta)$/.exec(name);
  const size = match === null ? undefined : channels.get(match[1]);
  return size === undefined ? undefined : float32Array(new Float32Array(size).fill(match![2] === 'gamma' ? 1 : 0), [size]);
}

const blocks = Array.from({ length: 11 }, (_, i) => `mixed${i}`);

/**
 * A layers model by the path of its `model.json`.
 *
 * @throws DataError where a file is missing; FormatError with file and field
 */
export async function loadKerasModel(path: string, files: ModelFiles, options: LoadModelOptions): Promise<LoadedModel> {
  const { folder } = splitPath(path);
  const model = await readLayersModel(new TextDecoder().decode(await files.read(path)), (name) => files.read(folder + name), { file: path });
  const network = symbolOfKeras(model.topology, { file: path });
  const parameters = parametersOfKeras(network, model, { file: path });
  const warnings: string[] = [];
  const shape = Object.values(network.inputs)[0];
  const size = shape?.length === 4 ? [shape[2], shape[3]] as const : undefined;
  let preprocessing = atSize(options.preprocessing, size);
  if (preprocessing === undefined && blocks.every((name) => network.classes.has(name))) {
    preprocessing = atSize(toMinusOneToOne, size);
    warnings.push(`${path} says nothing of preprocessing; taken is that of Keras' Inception v3, x / 127.5 - 1; `
      + `${(options.spell ?? asOption)('preprocessing')} says otherwise`);
  }
  return { symbol: network.symbol, parameters, inputs: network.inputs, preprocessing, warnings };
}

