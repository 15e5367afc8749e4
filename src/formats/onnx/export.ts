/** A Symbol and its parameters as an ONNX model, for inference elsewhere. */
import type { Shape } from '../../device/types.ts';
import { FoveaError, OptionError } from '../../errors.ts';
import { bytesOf, toFloat32 } from '../../nn/host-array.ts';
import type { HostArray } from '../../nn/host-array.ts';
import { inLayer } from '../../nn/infer.ts';
import { attributesOf, operatorOf, outputName } from '../../nn/symbol-graph.ts';
import type { SymbolEntry, SymbolNode } from '../../nn/symbol-graph.ts';
import type { ModelSymbol } from '../../nn/symbol.ts';
import type { Checkpoint } from '../mxnet-params.ts';
import { formatAttribute } from '../../nn/attributes.ts';
import type { Preprocessing } from '../preprocessing.ts';
import { translationOf } from './operators.ts';
import type { OnnxLayer } from './operators.ts';
import { writeOnnxModel } from './proto.ts';
import type { OnnxNode, OnnxTensor } from './proto.ts';

export interface OnnxOptions {
  /** Shapes of the inputs in MXNet's axes, `{ data: [1, 3, 224, 224] }`. */
  readonly inputs: Readonly<Record<string, Shape>>;
  /**
   * Leaves the length of the inputs' first axis free, as `N`, and that of the outputs that go with it. Default: where the graph is the same
   * for another batch; a layer that has the batch's length built in (a reshape to a stated length, say) makes the model one of the batch given.
   */
  readonly freeBatch?: boolean;
  /**
   * Kept in the model's metadata, under `mean`, `deviation` and `size`, a mean image under `mean_image` (little-endian float32 in base64) and
   * `mean_image_shape` (channels, height, width); the graph itself takes what is preprocessed already.
   */
  readonly preprocessing?: Preprocessing;
  /** The graph's name; default `fovea`. */
  readonly name?: string;
}

/** Collects nodes and constants; a layer's own are named `LAYER/0`, `LAYER/1`, ... */
class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  readonly #constants = new Map<string, string>();
  #layer = '';
  #first = 0;
  #made = 0;

  begin(layer: string): void {
    this.#layer = layer;
    this.#first = this.nodes.length;
    this.#made = 0;
  }

  emit(opType: string, inputs: readonly string[], count: number, attributes: OnnxNode['attributes']): string[] {
    const outputs = Array.from({ length: count }, () => `${this.#layer}/${this.#made++}`);
    const name = this.nodes.length === this.#first ? this.#layer : `${this.#layer}/${opType}${this.nodes.length - this.#first}`;
    this.nodes.push({ opType, name, inputs: [...inputs], outputs, attributes });
    return outputs;
  }

  /** Gives a value that the layer at hand made another name; one that it merely passed on gets a node for it. */
  rename(value: string, name: string): void {
    const own = this.nodes.slice(this.#first);
    if (!own.some((node) => node.outputs.includes(value))) {
      this.nodes.push({ opType: 'Identity', name, inputs: [value], outputs: [name], attributes: {} });
      return;
    }
    for (const node of own) {
      node.inputs = node.inputs.map((v) => (v === value ? name : v));
      node.outputs = node.outputs.map((v) => (v === value ? name : v));
    }
  }

  constant(type: OnnxTensor['type'], shape: readonly number[], data: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>): string {
    const key = `${type} [${shape.join()}] ${data.join()}`;
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = `constant/${this.#constants.size}`;
      this.#constants.set(key, name);
      this.initializers.push({ name, type, shape, bytes: new Uint8Array(data.buffer) });
    }
    return name;
  }

  parameter(name: string, array: HostArray): void {
    this.initializers.push({ name, type: 'float32', shape: array.shape, bytes: bytesOf(toFloat32(array)) });
  }
}

/**
 * The bytes of an `.onnx` file that computes the symbol's outputs in inference: dropout is left out, batch norms keep to their moving
 * statistics, losses give their predictions. Values bear the names of the symbol's outputs, parameters their own; the axes are the
 * symbol's (NCHW).
 *
 * @param parameters in MXNet's axes, as `loadModel` and `arraysToMXNet` give them
 * @throws OptionError for inputs that are missing; by the layer's name for an operator that has no counterpart, where a parameter has no
 *   value, and where `freeBatch` is asked for and a layer has the batch built in
 */
export function exportOnnx(symbol: ModelSymbol, parameters: Checkpoint, options: OnnxOptions): Uint8Array {
  const { inputs, preprocessing, name = 'fovea' } = options;
  checkInputs(symbol, parameters, inputs);
  const { graph, values, shapes, needed } = translate(symbol, parameters, inputs);
  const free = options.freeBatch === false ? undefined : freeAxes(symbol, parameters, inputs, { graph, shapes });
  if (options.freeBatch && typeof free === 'string') throw new OptionError(`freeBatch: ${free}: the model is one of the batch given`);
  const isFree = typeof free === 'object';
  const described = (entry: SymbolEntry, first: boolean): { name: string; shape: (number | string)[] } => ({
    name: values.get(entry.node)![entry.index],
    shape: shapes.internals.get(entry.node)![entry.index].map((d, i) => (isFree && first && i === 0 ? 'N' : d)),
  });
  const used = new Set([...graph.nodes.flatMap((node) => node.inputs), ...symbol.entries.map((e) => values.get(e.node)![e.index])]);
  return writeOnnxModel({
    name,
    nodes: graph.nodes,
    // A gamma that is taken as 1 has no part in it.
    initializers: graph.initializers.filter((tensor) => used.has(tensor.name)),
    inputs: symbol.nodes.filter((n) => n.op === 'null' && n.name in inputs && needed.has(n)).map((node) => described({ node, index: 0 }, true)),
    outputs: symbol.entries.map((entry, i) => described(entry, typeof free === 'object' && free.outputs[i])),
  }, preprocessing === undefined ? {} : metadataOf(preprocessing));
}

function metadataOf({ mean, deviation, size, meanImage }: Preprocessing): Record<string, string> {
  return {
    mean: formatAttribute(mean), deviation: formatAttribute(deviation), ...(size && { size: formatAttribute(size) }),
    ...(meanImage && { mean_image: base64(bytesOf(toFloat32(meanImage))), mean_image_shape: formatAttribute(meanImage.shape) }),
  };
}

/** By the function that browsers have too, in pieces that are no longer than arguments may be. */
function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

type Inputs = OnnxOptions['inputs'];

/** @throws OptionError naming what lacks a shape, or has none that is one */
function checkInputs(symbol: ModelSymbol, { arguments: given, auxiliary }: Checkpoint, inputs: Inputs | undefined): void {
  const needed = neededIn(symbol);
  const open = symbol.nodes.filter((n) => n.op === 'null' && needed.has(n) && !given.has(n.name) && !auxiliary.has(n.name)).map((n) => n.name);
  const example = `as in { ${open[0] ?? 'data'}: [1, 3, 224, 224] }`;
  if (typeof inputs !== 'object' || inputs === null) throw new OptionError(`inputs: expected the shapes of ${open.join(', ')}, ${example}`);
  const missing = open.filter((name) => !(name in inputs));
  if (missing.length > 5) throw new OptionError(`neither inputs nor parameters have ${missing.length} values: ${missing.slice(0, 5).join(', ')}, ...`);
  if (missing.length > 0) throw new OptionError(`neither inputs nor parameters have "${missing.join('", "')}": inputs has shapes, ${example}`);
  for (const [name, shape] of Object.entries(inputs)) {
    if (Array.isArray(shape) && shape.every((d) => Number.isInteger(d) && d > 0)) continue;
    throw new OptionError(`inputs.${name}: expected lengths of axes, as in [1, 3, 224, 224], got ${JSON.stringify(shape)}`);
  }
}

interface Translated {
  readonly graph: GraphBuilder;
  readonly values: ReadonlyMap<SymbolNode, readonly string[]>;
  readonly shapes: ReturnType<ModelSymbol['inferShape']>;
  readonly needed: ReadonlySet<SymbolNode>;
}

/**
 * Whether a graph holds for any batch: whether it comes out the same for one more. Then, of which outputs the first axis is the batch; else
 * why it does not.
 */
function freeAxes(
  symbol: ModelSymbol, parameters: Checkpoint, inputs: Inputs, { graph, shapes }: Pick<Translated, 'graph' | 'shapes'>,
): { readonly outputs: readonly boolean[] } | string {
  const batches = [...new Set(Object.values(inputs).map(([n]) => n))];
  if (batches.length !== 1) return `the inputs' first axes have other lengths, ${batches.join(', ')}`;
  let other: Translated;
  try {
    other = translate(symbol, parameters, Object.fromEntries(Object.entries(inputs).map(([name, [n, ...rest]]) => [name, [n + 1, ...rest]])));
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return error.message;
  }
  const constants = (one: GraphBuilder): string[] => one.initializers.filter((t) => t.name.startsWith('constant/'))
    .map(({ name, bytes }) => `${name} ${bytes.join()}`);
  const [mine, others] = [new Set(constants(graph)), new Set(constants(other.graph))];
  const differs = graph.nodes.find((node, i) => JSON.stringify(node) !== JSON.stringify(other.graph.nodes[i])
    || node.inputs.some((name) => [...mine].some((text) => text.startsWith(`${name} `) && !others.has(text))));
  if (differs !== undefined) return `layer "${differs.name}" has a batch of ${batches[0]} built in`;
  const outputs: boolean[] = [];
  for (const [i, { node, index }] of symbol.entries.entries()) {
    const [a, b] = [shapes, other.shapes].map((s) => s.internals.get(node)![index]);
    outputs.push(a[0] === batches[0] && b[0] === batches[0] + 1);
    if (a.some((d, axis) => d !== b[axis] && !(outputs[i] && axis === 0))) return `output "${symbol.listOutputs()[i]}" has its batch elsewhere`;
  }
  return { outputs };
}

function translate(symbol: ModelSymbol, parameters: Checkpoint, inputs: Inputs): Translated {
  const shapes = symbol.inferShape(inputs);
  const shapeOf = (entry: SymbolEntry): Shape => shapes.internals.get(entry.node)![entry.index];
  const graph = new GraphBuilder();
  const values = new Map<SymbolNode, readonly string[]>();
  const needed = neededIn(symbol);
  symbol.nodes.forEach((node, i) => {
    if (!needed.has(node)) return;
    if (node.op === 'null') {
      values.set(node, [node.name]);
      if (node.name in inputs) return;
      const array = parameters.arguments.get(node.name) ?? parameters.auxiliary.get(node.name);
      if (array === undefined) throw new OptionError(`neither inputs nor parameters have "${node.name}"`);
      const want = shapes.internals.get(node)![0];
      if (want.length !== array.shape.length || want.some((d, axis) => d !== array.shape[axis])) {
        throw new OptionError(`parameter "${node.name}": expected [${want.join(', ')}], got [${array.shape.join(', ')}]`);
      }
      graph.parameter(node.name, array);
      return;
    }
    const layer = node.name === '' ? `layer${i}` : node.name;
    graph.begin(layer);
    const translated = inLayer(node, () => translationOf(node.op)({
      name: layer,
      a: attributesOf(node),
      inputs: node.inputs.filter((e) => needed.has(e.node)).map((e) => values.get(e.node)![e.index]),
      shapes: node.inputs.map(shapeOf),
      outputShapes: shapes.internals.get(node)!,
      emit: (opType, from, attributes = {}) => graph.emit(opType, from, 1, attributes)[0],
      emitSeveral: (opType, from, count, attributes = {}) => graph.emit(opType, from, count, attributes),
      integers: (list) => graph.constant('int64', [list.length], BigInt64Array.from(list, BigInt)),
      float: (value, length) => graph.constant('float32', length === undefined ? [] : [length], new Float32Array(length ?? 1).fill(value)),
    } satisfies OnnxLayer));
    const made = typeof translated === 'string' ? [translated] : translated;
    values.set(node, made.map((value, index) => {
      const output = outputName({ node: { ...node, name: layer }, index });
      // Names of a layer that passes its input on are made where they are asked for.
      if (!symbol.entries.some((e) => e.node === node) && !value.startsWith(`${layer}/`)) return value;
      graph.rename(value, output);
      return output;
    }));
  });
  return { graph, values, shapes, needed };
}

/** What the outputs depend on in inference: labels have no part in it. */
function neededIn(symbol: ModelSymbol): Set<SymbolNode> {
  const needed = new Set<SymbolNode>(symbol.entries.map((e) => e.node));
  for (const node of [...symbol.nodes].reverse()) {
    if (!needed.has(node) || node.op === 'null') continue;
    const operator = operatorOf(node);
    const names = operator.inputs?.(attributesOf(node));
    node.inputs.forEach((entry, i) => {
      if (names === undefined || !operator.optionalInInference?.includes(names[i])) needed.add(entry.node);
    });
  }
  return needed;
}
