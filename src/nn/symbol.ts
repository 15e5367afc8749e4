/**
 * A model as data: a graph of named layers after MXNet's Symbol. It is built by layer functions, cut at any layer, written
 * and read as MXNet's symbol JSON, and joined to tensor code by `apply`. Axes are MXNet's (NCHW).
 */
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isUserAttribute } from './attributes.ts';
import { inferTypes } from './infer.ts';
import type { InferredShapes } from './infer.ts';
import { lowerToTensors } from './lower.ts';
import type { ApplyOptions, SymbolInputs, SymbolParameters } from './lower.ts';
import { didYouMean } from '../nearest.ts';
import { findOperator } from './operators.ts';
import {
  attributesOf, isLabel, operatorOf, outputName, outputNames, topological,
} from './symbol-graph.ts';
import type { SymbolEntry, SymbolNode } from './symbol-graph.ts';

/** MXNet 1.9's symbol JSON. */
export interface SymbolJson {
  readonly nodes: readonly SymbolJsonNode[];
  readonly arg_nodes: readonly number[];
  readonly node_row_ptr: readonly number[];
  readonly heads: readonly (readonly [number, number, number])[];
  readonly attrs: Readonly<Record<string, readonly [string, number]>>;
}

export interface SymbolJsonNode {
  readonly op: string;
  readonly name: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly inputs: readonly (readonly [number, number, number])[];
}

/** The version that written files name: 1.9.1. */
const MXNET_VERSION = 10901;

/** Every output of a network by name (`internals(net).global_pool_output`) or by index, in topological order. */
export interface Internals {
  readonly [name: string]: ModelSymbol;
  readonly [index: number]: ModelSymbol;
}

export class ModelSymbol {
  readonly entries: readonly SymbolEntry[];
  #order: readonly SymbolNode[] | undefined;

  constructor(entries: readonly SymbolEntry[]) {
    if (entries.length === 0) throw new OptionError('a symbol needs at least one output');
    this.entries = entries;
  }

  /** Layers and variables, inputs before users, in MXNet's order: depth first from the outputs, inputs left to right. */
  get nodes(): readonly SymbolNode[] {
    return (this.#order ??= topological(this.entries.map((e) => e.node)));
  }

  /** The name of the only layer. */
  get name(): string {
    return this.#single('name').node.name;
  }

  get outputCount(): number {
    return this.entries.length;
  }

  /** One of several outputs as a symbol of its own. */
  output(index: number): ModelSymbol {
    const entry = this.entries[index];
    if (entry === undefined) throw new OptionError(`output ${index} of a symbol that has ${this.entries.length}`);
    return new ModelSymbol([entry]);
  }

  /** Names of the inputs and learned parameters, in topological order. */
  listArguments(): string[] {
    const states = this.#states();
    return this.nodes.filter((n) => n.op === 'null' && !states.has(n)).map((n) => n.name);
  }

  /** Names of the states that are kept beside the parameters: moving statistics. */
  listAuxiliaryStates(): string[] {
    const states = this.#states();
    return this.nodes.filter((n) => states.has(n)).map((n) => n.name);
  }

  listOutputs(): string[] {
    return this.entries.map(outputName);
  }

  /** Arguments that are neither inputs nor labels: what has values in a checkpoint, given the names of the inputs. */
  listParameters(inputs: Iterable<string>): string[] {
    const given = new Set(inputs);
    return this.listArguments().filter((name) => !given.has(name) && !isLabel(name));
  }

  #states(): Set<SymbolNode> {
    const states = new Set<SymbolNode>();
    for (const node of this.nodes) {
      if (node.op === 'null') continue;
      const operator = operatorOf(node);
      if (operator.auxiliary === undefined) continue;
      const names = operator.inputs!(attributesOf(node));
      node.inputs.forEach((entry, i) => {
        if (operator.auxiliary!.includes(names[i]) && entry.node.op === 'null') states.add(entry.node);
      });
    }
    return states;
  }

  /** Attributes of a layer or variable; of the only output's where no name is given. */
  attributes(name?: string): Readonly<Record<string, string>> {
    return (name === undefined ? this.#single('attributes').node : this.node(name)).attributes;
  }

  /**
   * The layer or variable of that name.
   *
   * @throws OptionError where there is none
   */
  node(name: string): SymbolNode {
    const found = this.nodes.find((n) => n.name === name);
    if (found === undefined) {
      throw new OptionError(`no layer "${name}"${didYouMean(name, this.nodes.map((n) => n.name), '"')}`);
    }
    return found;
  }

  /**
   * Shapes of everything from shapes of the inputs, in MXNet's axes.
   *
   * @param inputs by argument name; what follows (parameters, labels) need not be given
   * @throws ShapeError with the layer's name, where shapes do not fit or cannot be inferred
   */
  inferShape(inputs: Readonly<Record<string, Shape>>): InferredShapes {
    return inferTypes(this, inputs);
  }

  /**
   * The network as tensors: its only output, NHWC where it has four axes. Called in a training step it also assigns the
   * moving statistics.
   *
   * @param parameters Variables (or tensors) of the parameters and states by name, convolution weights KRSC
   * @param inputs tensors by argument name, images NHWC; a bare tensor is `data`
   * @throws OptionError where something is missing; ShapeError with the layer's name
   */
  apply(parameters: SymbolParameters, inputs: SymbolInputs, options: ApplyOptions = {}): Tensor {
    this.#single('apply');
    return lowerToTensors(this, parameters, inputs, options)[0];
  }

  /** Like `apply`, for a symbol of several outputs. */
  applyAll(parameters: SymbolParameters, inputs: SymbolInputs, options: ApplyOptions = {}): Tensor[] {
    return lowerToTensors(this, parameters, inputs, options);
  }

  /** MXNet 1.9's symbol JSON; `formats/` turns it into MXNet's own bytes. */
  toJSON(): SymbolJson {
    const index = new Map(this.nodes.map((node, i) => [node, i]));
    const versions = new Map<SymbolNode, number>();
    const rows = [0];
    const nodes = this.nodes.map((node): SymbolJsonNode => {
      const operator = node.op === 'null' ? undefined : operatorOf(node);
      const names = operator?.inputs?.(attributesOf(node));
      const inputs = node.inputs.map((entry, i): [number, number, number] => {
        // A state is a new version of its variable after each layer that updates it.
        let version = 0;
        if (names !== undefined && operator!.auxiliary?.includes(names[i])) {
          version = (versions.get(entry.node) ?? 0) + 1;
          versions.set(entry.node, version);
        }
        return [index.get(entry.node)!, entry.index, version];
      });
      const outputs = operator === undefined ? 1 : (operator.outputCount?.(attributesOf(node)) ?? outputNames(node).length);
      rows.push(rows[rows.length - 1] + outputs);
      const keys = Object.keys(node.attributes).sort();
      const attrs = Object.fromEntries(keys.map((k) => [k, node.attributes[k]]));
      return { op: node.op, name: node.name, ...(keys.length > 0 ? { attrs } : {}), inputs };
    });
    return {
      nodes,
      arg_nodes: this.nodes.flatMap((node, i) => (node.op === 'null' ? [i] : [])),
      node_row_ptr: rows,
      heads: this.entries.map((e) => [index.get(e.node)!, e.index, 0]),
      attrs: { mxnet_version: ['int', MXNET_VERSION] },
    };
  }

  /**
   * The symbol that `toJSON` described. Files go through `formats/`, which reads older spellings and says what is wrong.
   *
   * @throws OptionError for an operator that is unknown, or an input that is none of the nodes before
   */
  static fromJSON(json: Pick<SymbolJson, 'nodes'> & { readonly heads: readonly (readonly number[])[] }): ModelSymbol {
    const made: SymbolNode[] = [];
    const entry = (at: readonly number[], user: string): SymbolEntry => {
      const node = made[at[0]];
      const index = at[1] ?? 0;
      if (node === undefined) throw new OptionError(`${user}: input ${at[0]} is no node before it`);
      if (!(index >= 0 && index < outputNames(node).length)) {
        throw new OptionError(`${user}: "${node.name}" has no output ${index}`);
      }
      return { node, index };
    };
    for (const n of json.nodes) {
      const inputs = n.inputs.map((at) => entry(at, `layer "${n.name}"`));
      const op = n.op === 'null' ? 'null' : findOperator(n.op, n.name).name;
      const node = { op, name: n.name, attributes: { ...n.attrs }, inputs };
      if (node.op !== 'null') attributesOf(node);
      made.push(node);
    }
    return new ModelSymbol(json.heads.map((at) => entry(at, 'heads')));
  }

  #single(what: string): SymbolEntry {
    if (this.entries.length !== 1) {
      throw new OptionError(`${what}: the symbol has ${this.entries.length} outputs (${this.listOutputs().join(', ')})`);
    }
    return this.entries[0];
  }
}

/** Several symbols as one of several outputs. */
export function group(...symbols: readonly ModelSymbol[]): ModelSymbol {
  return new ModelSymbol(symbols.flatMap((s) => s.entries));
}

/**
 * Every output of every layer, by name or index: `internals(net).global_pool_output` is the network up to there.
 * Asking for a name that does not exist throws OptionError with the nearest that does.
 */
export function internals(symbol: ModelSymbol): Internals {
  const all: ModelSymbol[] = [];
  const byName = new Map<string, ModelSymbol>();
  for (const node of symbol.nodes) {
    for (let index = 0; index < outputNames(node).length; index++) {
      const one = new ModelSymbol([{ node, index }]);
      all.push(one);
      byName.set(outputName({ node, index }), one);
    }
  }
  const target = Object.create(null) as Record<string, ModelSymbol>;
  all.forEach((one, i) => (target[i] = one));
  for (const [name, one] of byName) target[name] = one;
  return new Proxy(Object.freeze(target), {
    get(held, key) {
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON') return undefined;
      const found = held[key];
      if (found !== undefined) return found;
      if (/^\d+$/.test(key)) throw new OptionError(`no output ${key}: the symbol has ${all.length}`);
      throw new OptionError(`no output "${key}"${didYouMean(key, byName.keys(), '"')}`);
    },
  });
}

/**
 * Whether two networks compute the same: the same layers by name, with the same settings, on the same inputs. Attributes of the
 * user's own, and which layer was made first, do not matter.
 */
export function sameNetwork(a: ModelSymbol, b: ModelSymbol): boolean {
  const describe = (symbol: ModelSymbol): string => JSON.stringify([symbol.listOutputs(), symbol.nodes.map((node) => [
    node.op, node.name, node.op === 'null' ? {} : attributesOf(node), node.inputs.map((e) => [e.node.name, e.index]),
  ])]);
  return describe(a) === describe(b);
}

/** How a parameter is trained, from its variable's attributes `__lr_mult__`, `__wd_mult__` and `__grad__`. */
export interface TrainingAttributes {
  readonly lrMult: number;
  /** Undefined where it is not stated: then MXNet's rule for names holds. */
  readonly wdMult: number | undefined;
  readonly frozen: boolean;
}

/** The training attributes of a variable of the symbol. */
export function trainingAttributes(symbol: ModelSymbol, name: string): TrainingAttributes {
  const { attributes } = symbol.node(name);
  const number = (key: string): number | undefined => {
    const text = attributes[key];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) {
      throw new OptionError(`variable "${name}": ${key}: expected a number, got "${text}"`);
    }
    return value;
  };
  return { lrMult: number('__lr_mult__') ?? 1, wdMult: number('__wd_mult__'), frozen: attributes.__grad__ === 'freeze' };
}

/** The same network with other attributes where `change` gives some. */
export function changeAttributes(
  symbol: ModelSymbol, change: (node: SymbolNode) => Readonly<Record<string, string>> | undefined,
): ModelSymbol {
  const made = new Map<SymbolNode, SymbolNode>();
  for (const node of symbol.nodes) {
    made.set(node, {
      ...node,
      attributes: change(node) ?? node.attributes,
      inputs: node.inputs.map((e) => ({ node: made.get(e.node)!, index: e.index })),
    });
  }
  return new ModelSymbol(symbol.entries.map((e) => ({ node: made.get(e.node)!, index: e.index })));
}

/**
 * The same network with attributes added to the layers and variables for which `choose` gives some; keys without their
 * double underscores (`lr_mult`, `wd_mult`, `grad`).
 */
export function withAttributes(
  symbol: ModelSymbol,
  choose: (node: SymbolNode) => Readonly<Record<string, string | number>> | undefined,
): ModelSymbol {
  return changeAttributes(symbol, (node) => {
    const added = Object.entries(choose(node) ?? {})
      .map(([key, value]) => [isUserAttribute(key) ? key : `__${key}__`, String(value)]);
    return { ...node.attributes, ...Object.fromEntries(added) };
  });
}
