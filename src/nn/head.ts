/** Another end for a network: it is cut at a layer, and a head is put on. */
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { activation, batchNorm, dropout, flatten, fullyConnected, pooling, softmaxOutput } from './layers.ts';
import type { ModelSymbol } from './symbol.ts';
import { internals } from './symbol.ts';

const activations = ['relu', 'sigmoid', 'tanh', 'softrelu'] as const;

/** One layer of a head. */
export type HeadLayer =
  | { readonly kind: 'dense'; readonly size: number }
  | { readonly kind: 'activation'; readonly type: (typeof activations)[number] }
  | { readonly kind: 'dropout'; readonly share: number }
  | { readonly kind: 'pool'; readonly type: 'avg' | 'max' }
  | { readonly kind: 'norm' }
  | { readonly kind: 'flatten' };

const words = [...activations, 'dropout', 'avg', 'max', 'flatten', 'norm'];

/**
 * A head from text: `128,relu,2` is a fully connected layer of 128, a ReLU, and one of 2. Numbers are layers; words are relu, sigmoid,
 * tanh, softrelu; dropout:0.3 (or dropout, for a half); norm (batch normalization); avg, max (over all places) and flatten.
 *
 * @throws OptionError for a word that is none of these, a number that is no size, or a head that does not end in a layer
 */
export function parseHead(text: string): HeadLayer[] {
  const layers = text.split(',').map((part): HeadLayer => {
    const word = part.trim();
    const type = activations.find((name) => name === word);
    if (type !== undefined) return { kind: 'activation', type };
    if (word === 'avg' || word === 'max') return { kind: 'pool', type: word };
    if (word === 'flatten' || word === 'norm') return { kind: word };
    const drop = /^dropout(?::(.+))?$/.exec(word);
    if (drop !== null) {
      const share = Number(drop[1] ?? 0.5);
      if (!(share >= 0 && share < 1)) throw new OptionError(`head "${text}": "${word}": expected a share from 0 to 1, as in dropout:0.3`);
      return { kind: 'dropout', share };
    }
    const size = Number(word);
    if (word === '' || !Number.isInteger(size) || size < 1) {
      throw new OptionError(`head "${text}": "${word}" is neither the size of a layer nor one of ${words.join(', ')}${didYouMean(word, words, '"')}`);
    }
    return { kind: 'dense', size };
  });
  if (layers.at(-1)?.kind !== 'dense') throw new OptionError(`head "${text}": it ends in the number of classes`);
  return layers;
}

/**
 * The network up to a layer.
 *
 * @param layer `global_pool`, or its output by name, `global_pool_output`
 * @throws OptionError for a layer that is not there, with the nearest
 */
export function cutAt(symbol: ModelSymbol, layer: string): ModelSymbol {
  const layers = symbol.nodes.filter((node) => node.op !== 'null').map((node) => node.name);
  if (layers.includes(layer)) return internals(symbol)[`${layer}_output`];
  if (layers.some((name) => `${name}_output` === layer)) return internals(symbol)[layer];
  throw new OptionError(`no layer "${layer}" to cut at${didYouMean(layer, layers, '"')}`);
}

/**
 * Puts a head on a network, which ends in a softmax. Layers are named `head_fc1`, `head_relu1`, ...; the softmax `softmax`.
 * Where the network gives an image of more than one place, the mean over all places comes first, unless the head begins otherwise.
 *
 * @param inputs shapes of the network's inputs, MXNet's axes
 * @throws OptionError for a network that gives no row or image for each sample, or has layers of these names already
 */
export function addHead(network: ModelSymbol, head: readonly HeadLayer[], inputs: Readonly<Record<string, Shape>>): ModelSymbol {
  const shape = [...network.inferShape(inputs).outputs.values()][0];
  if (network.outputCount !== 1 || (shape.length !== 2 && shape.length !== 4)) {
    throw new OptionError(`a head is put on one output of two or four axes; the network gives [${shape.join(', ')}]`);
  }
  const count = new Map<string, number>();
  const name = (stem: string): string => {
    count.set(stem, (count.get(stem) ?? 0) + 1);
    const full = `head_${stem}${count.get(stem)}`;
    if (network.nodes.some((node) => node.name.startsWith(`${full}_`) || node.name === full)) {
      throw new OptionError(`the network has a layer "${full}" already: cut before it`);
    }
    return full;
  };
  const pool = (x: ModelSymbol, poolType: 'avg' | 'max'): ModelSymbol =>
    flatten(pooling(x, { globalPool: true, kernel: [1, 1], poolType, name: name('pool') }), { name: name('flatten') });
  let x = network;
  let rank = shape.length;
  for (const layer of head) {
    if (rank === 4 && layer.kind !== 'pool' && layer.kind !== 'norm' && layer.kind !== 'dropout') {
      const wide = shape[2] * shape[3] > 1 && layer.kind !== 'flatten';
      x = wide ? pool(x, 'avg') : flatten(x, { name: name('flatten') });
      rank = 2;
    }
    switch (layer.kind) {
      case 'dense': x = fullyConnected(x, { numHidden: layer.size, name: name('fc') }); break;
      case 'activation': x = activation(x, { actType: layer.type, name: name(layer.type) }); break;
      case 'dropout': x = dropout(x, { p: layer.share, name: name('dropout') }); break;
      case 'norm': x = batchNorm(x, { fixGamma: false, name: name('norm') }); break;
      case 'pool':
        if (rank !== 4) throw new OptionError(`head: ${layer.type} is over the places of an image, and comes before flatten and layers`);
        x = pool(x, layer.type);
        rank = 2;
        break;
      case 'flatten': break;
    }
  }
  return softmaxOutput(x, { name: 'softmax' });
}
