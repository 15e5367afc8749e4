/** A network joined to its parameters, with the head that training puts in place of the Symbol's own. */
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { InitializeOptions, NetworkVariables, ParameterArrays } from '../nn/parameters.ts';
import { createVariables, initialize } from '../nn/parameters.ts';
import { ModelSymbol } from '../nn/symbol.ts';

/** Layers whose first input is a row of logits and whose output is its softmax. */
const softmaxHeads = new Set(['SoftmaxOutput', 'softmax', 'SoftmaxActivation']);

/**
 * What the network computes before its softmax: [N, classes]. Fovea's own loss takes logits, and adds the class weights that
 * MXNet's head cannot have. A network that does not end in a softmax is taken to give logits.
 *
 * @throws OptionError for a symbol of several outputs
 */
export function logitsOf(symbol: ModelSymbol): ModelSymbol {
  if (symbol.outputCount !== 1) {
    throw new OptionError(`a network to train has one output; this has ${symbol.outputCount} (${symbol.listOutputs().join(', ')})`);
  }
  const { node } = symbol.entries[0];
  return softmaxHeads.has(node.op) ? new ModelSymbol([node.inputs[0]]) : symbol;
}

export interface Network {
  /** As it is saved, with its head. */
  readonly symbol: ModelSymbol;
  readonly logits: ModelSymbol;
  readonly variables: NetworkVariables;
  /** Of one image: height, width, channels. */
  readonly imageShape: readonly [number, number, number];
  readonly classes: number;
  dispose(): void;
}

/**
 * A network with parameters: first values drawn by `seed`, or a checkpoint's (`from`).
 *
 * @param imageShape height, width, channels
 * @param values all parameters as they lie in memory, in place of first values
 * @throws OptionError where the network does not give one row of logits an image; ShapeError with the layer's name
 */
export function createNetwork(
  symbol: ModelSymbol, imageShape: readonly [number, number, number], options: InitializeOptions, values?: ParameterArrays,
): Network {
  const logits = logitsOf(symbol);
  const [height, width, channels] = imageShape;
  const input: Shape = [1, channels, height, width];
  const output = [...logits.inferShape({ data: input }).outputs.values()][0];
  if (output.length !== 2) {
    throw new OptionError(`the network gives [${output.join(', ')}] for one image; [1, classes] was expected`);
  }
  const variables = createVariables(logits, values ?? initialize(logits, { data: input }, options));
  return {
    symbol, logits, variables, imageShape, classes: output[1],
    dispose() {
      for (const variable of variables.all.values()) variable.dispose();
    },
  };
}
