/**
 * What of a network learns, and how fast. It stands in the attributes of variables and layers, as MXNet has it: `__grad__` = `freeze`
 * (MXNet.jl's), `__lr_mult__` and `__wd_mult__`, and a batch norm's `use_global_stats`; so it travels with the symbol's file.
 */
import { OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { ModelSymbol, changeAttributes, trainingAttributes, withAttributes } from './symbol.ts';
import { attributesOf, operatorOf } from './symbol-graph.ts';
import type { SymbolNode } from './symbol-graph.ts';

/** Layers or variables: names, the beginning of names (`conv_3*`), several of these, or a test. */
export type LayerChoice = string | readonly string[] | ((node: SymbolNode) => boolean);

/**
 * The layers and variables that are meant.
 *
 * @throws OptionError for a name or a beginning that fits nothing
 */
export function chooseLayers(symbol: ModelSymbol, choice: LayerChoice): ReadonlySet<SymbolNode> {
  if (typeof choice === 'function') return new Set(symbol.nodes.filter(choice));
  const chosen = new Set<SymbolNode>();
  for (const text of typeof choice === 'string' ? [choice] : choice) {
    const prefix = text.endsWith('*') ? text.slice(0, -1) : undefined;
    const found = symbol.nodes.filter(({ name }) => (prefix === undefined ? name === text : name.startsWith(prefix)));
    if (found.length === 0) {
      throw new OptionError(prefix === undefined
        ? `no layer "${text}"${didYouMean(text, symbol.nodes.map((n) => n.name), '"')}`
        : `no layer begins with "${prefix}"`);
    }
    for (const node of found) chosen.add(node);
  }
  return chosen;
}

/** A choice: the layer of that name, and all on which it depends. @throws OptionError where there is none */
export function upTo(symbol: ModelSymbol, layer: string): LayerChoice {
  const names = new Set(new ModelSymbol([{ node: symbol.node(layer), index: 0 }]).nodes.map((n) => n.name));
  return ({ name }) => names.has(name);
}

/** Operands that a layer computes on; the others are its parameters and states. */
const dataOperands = new Set(['data', 'label', 'lhs', 'rhs']);

/** The variables that are a layer's own parameters and states. */
export function ownVariables(layer: SymbolNode): SymbolNode[] {
  if (layer.op === 'null') return [];
  const names = operatorOf(layer).inputs?.(attributesOf(layer)) ?? [];
  return layer.inputs.flatMap(({ node }, i) => (node.op === 'null' && names[i] !== undefined && !dataOperands.has(names[i]) ? [node] : []));
}

export interface FreezeOptions {
  /**
   * What batch norms among the layers go by in training. `frozen`: their moving statistics, which stay as they are (MXNet's
   * `use_global_stats`); `batch`: the batch's, which move them.
   */
  readonly statistics?: 'frozen' | 'batch';
}

/**
 * The same network, in which the chosen layers do not learn: their parameters stay, and batch norms among them keep to their moving
 * statistics (unless `statistics` is `batch`).
 *
 * @throws OptionError for a name that fits nothing
 */
export function freeze(symbol: ModelSymbol, choice: LayerChoice, { statistics = 'frozen' }: FreezeOptions = {}): ModelSymbol {
  return setLearning(symbol, choice, true, statistics);
}

/**
 * The same network, in which the chosen layers learn (again). Batch norms among them go by what `statistics` says, or as before.
 *
 * @throws OptionError for a name that fits nothing
 */
export function unfreeze(symbol: ModelSymbol, choice: LayerChoice, { statistics }: FreezeOptions = {}): ModelSymbol {
  return setLearning(symbol, choice, false, statistics);
}

function setLearning(
  symbol: ModelSymbol, choice: LayerChoice, frozen: boolean, statistics: FreezeOptions['statistics'],
): ModelSymbol {
  const chosen = chooseLayers(symbol, choice);
  const states = new Set(symbol.listAuxiliaryStates());
  const variables = new Set([...chosen].flatMap((node) => (node.op === 'null' ? [node] : ownVariables(node))));
  return changeAttributes(symbol, (node) => {
    if (variables.has(node) && !states.has(node.name)) {
      const { __grad__: _, ...others } = node.attributes;
      return frozen ? { ...others, __grad__: 'freeze' } : others;
    }
    if (node.op !== 'BatchNorm' || !chosen.has(node) || statistics === undefined) return undefined;
    return { ...node.attributes, use_global_stats: statistics === 'frozen' ? 'True' : 'False' };
  });
}

/** The same network with the learning rate of each variable multiplied by what `factor` gives for its name. */
export function scaleLearningRates(symbol: ModelSymbol, factor: (name: string) => number): ModelSymbol {
  return withAttributes(symbol, ({ op, name }) => {
    const by = op === 'null' ? factor(name) : 1;
    return by === 1 ? undefined : { lr_mult: trainingAttributes(symbol, name).lrMult * by };
  });
}

/** Names of the parameters that are learnt, and of the moving statistics that training moves. */
export function learningNames(symbol: ModelSymbol): string[] {
  const states = new Set(symbol.listAuxiliaryStates());
  const moving = symbol.nodes.flatMap((node) =>
    (node.op === 'BatchNorm' && !attributesOf(node).use_global_stats ? ownVariables(node).filter(({ name }) => states.has(name)) : []));
  const learnt = symbol.listParameters(['data']).filter((name) => !trainingAttributes(symbol, name).frozen);
  return [...learnt, ...moving.map(({ name }) => name)];
}
