/** The lowering of a Symbol to tensors. */
import type { TensorType } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { Attrs } from '../graph/node.ts';
import { getOp } from '../fovea.ts';
import { withLayer } from '../tensor/site.ts';
import { Tensor, apply, toTensor } from '../tensor/tensor.ts';
import type { TensorLike } from '../tensor/tensor.ts';
import { Variable } from '../tensor/variable.ts';
import { inLayer } from './infer.ts';
import { didYouMean } from '../nearest.ts';
import type { Emitter } from './operator.ts';
import { attributesOf, operatorOf, variablesByName } from './symbol-graph.ts';
import type { SymbolGraph, SymbolNode } from './symbol-graph.ts';

/** Variables or tensors by name, as they lie in memory: convolution weights KRSC. */
export type SymbolParameters = Readonly<Record<string, TensorLike>> | ReadonlyMap<string, TensorLike>;

/** Tensors by argument name, images NHWC; one tensor alone is `data`. */
export type SymbolInputs = Tensor | Variable | Readonly<Record<string, TensorLike>>;

export interface ApplyOptions {
  /** Batch statistics, which also move the moving ones, and dropout. Default false. */
  readonly training?: boolean;
  /** What random layers draw by: int32 scalars `seed` and `step`, and the samples' ids, int32 [N]. */
  readonly random?: { readonly seed: TensorLike; readonly step: TensorLike; readonly ids: TensorLike };
}

class TensorEmitter implements Emitter<TensorLike> {
  readonly training: boolean;
  readonly #random: ApplyOptions['random'];

  constructor(options: ApplyOptions) {
    this.training = options.training ?? false;
    this.#random = options.random;
  }

  emit(name: string, inputs: readonly TensorLike[], attrs: Attrs): TensorLike[] {
    return apply(getOp(name), inputs, attrs);
  }

  typeOf(value: TensorLike): TensorType {
    return typeof value === 'number' ? { shape: [], dtype: 'float32' } : value;
  }

  scalar(value: number): TensorLike {
    return value;
  }

  detach(value: TensorLike): TensorLike {
    return typeof value === 'number' ? value : toTensor(value).detach();
  }

  update(statistic: TensorLike, value: TensorLike): void {
    if (statistic instanceof Variable) statistic.assign(value);
  }

  random(): { seed: TensorLike; step: TensorLike; ids: TensorLike } {
    if (this.#random === undefined) {
      throw new OptionError('a random layer in training needs apply\'s option `random`: {seed, step, ids}');
    }
    return this.#random;
  }
}

/** Tensors of the symbol's outputs; see `ModelSymbol.apply`. */
export function lowerToTensors(
  graph: SymbolGraph,
  parameters: SymbolParameters,
  inputs: SymbolInputs,
  options: ApplyOptions,
): Tensor[] {
  const given = inputs instanceof Tensor || inputs instanceof Variable ? { data: inputs } : inputs;
  const variables = variablesByName(graph);
  for (const name of Object.keys(given)) {
    if (variables.has(name)) continue;
    throw new OptionError(`the symbol has no input "${name}"${didYouMean(name, variables.keys(), '"')}`);
  }
  const parameter = (name: string): TensorLike | undefined =>
    parameters instanceof Map
      ? (parameters as ReadonlyMap<string, TensorLike>).get(name)
      : Object.hasOwn(parameters, name) ? (parameters as Record<string, TensorLike>)[name] : undefined;
  const emitter = new TensorEmitter(options);
  const values = new Map<SymbolNode, readonly (TensorLike | undefined)[]>();
  for (const node of graph.nodes) {
    if (node.op === 'null') {
      values.set(node, [Object.hasOwn(given, node.name) ? given[node.name] : parameter(node.name)]);
      continue;
    }
    const operator = operatorOf(node);
    const context = { name: node.name, attributes: attributesOf(node), inputCount: node.inputs.length };
    const names = operator.inputs?.(context.attributes);
    const operands: TensorLike[] = [];
    for (const [i, entry] of node.inputs.entries()) {
      const value = values.get(entry.node)![entry.index];
      if (value !== undefined) operands.push(value);
      else if (options.training || names === undefined || !operator.optionalInInference?.includes(names[i])) {
        throw new OptionError(`layer "${node.name}" (${node.op}): neither inputs nor parameters have "${entry.node.name}"`);
      }
    }
    values.set(node, inLayer(node, () => withLayer(node.name, () => operator.lower(emitter, operands, context))));
  }
  return graph.entries.map((e) => {
    const value = values.get(e.node)![e.index];
    if (value === undefined) throw new OptionError(`"${e.node.name}" is not given`);
    return toTensor(value);
  });
}
