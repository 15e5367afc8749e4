/** A network joined to its parameters, with the head that training puts in place of the Symbol's own. */
import type { Dataset } from '../data/dataset.ts';
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { shapeInMXNet } from '../nn/operator.ts';
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

/** What a network reads: images, or features in their place. */
export type NetworkInput = Pick<Dataset, 'shape' | 'features'>;

export interface Network {
  /** As it is saved, with its head. */
  readonly symbol: ModelSymbol;
  readonly logits: ModelSymbol;
  readonly variables: NetworkVariables;
  /** Of one image: height, width, channels. Of features [1, 1, bytes]. */
  readonly imageShape: readonly [number, number, number];
  /** Shape of a sample's features, where the network reads these in place of images. */
  readonly features?: Shape;
  readonly classes: number;
  dispose(): void;
}

/** The shape of an input's batch of one in MXNet's axes. */
function inputShape({ shape: [height, width, channels], features }: NetworkInput): Shape {
  return features ? shapeInMXNet([1, ...features]) : [1, channels, height, width];
}

/**
 * A network with parameters: first values drawn by `seed`, or a checkpoint's (`from`).
 *
 * @param values all parameters as they lie in memory, in place of first values
 * @throws OptionError where the network does not give one row of logits a sample; ShapeError with the layer's name
 */
export function createNetwork(symbol: ModelSymbol, input: NetworkInput, options: InitializeOptions, values?: ParameterArrays): Network {
  const logits = logitsOf(symbol);
  const data = inputShape(input);
  const output = [...logits.inferShape({ data }).outputs.values()][0];
  if (output.length !== 2) {
    throw new OptionError(`the network gives [${output.join(', ')}] for one image; [1, classes] was expected`);
  }
  const variables = createVariables(logits, values ?? initialize(logits, { data }, options));
  return {
    symbol, logits, variables, imageShape: input.shape, features: input.features, classes: output[1],
    dispose() {
      for (const variable of variables.all.values()) variable.dispose();
    },
  };
}
