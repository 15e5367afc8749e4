/** A network as blocks one after another, for learning rates by depth. */
import { ModelSymbol, trainingAttributes } from './symbol.ts';
import { attributesOf, operatorOf } from './symbol-graph.ts';
import type { SymbolEntry, SymbolNode } from './symbol-graph.ts';

/**
 * The layers of a network in blocks, from the input on. A block ends where all that was computed so far passes through one layer: the
 * concatenation that ends an Inception block, or a single convolution of the stem. What has no weights of its own (a batch norm, a
 * pooling) belongs to the block before it.
 */
export function blocksOf(symbol: ModelSymbol): SymbolNode[][] {
  const layers = symbol.nodes.filter((node) => node.op !== 'null');
  const place = new Map(layers.map((node, i) => [node, i]));
  // The last layer that reads what a layer gives: where no such span crosses a layer, all passes through it.
  const lastReader = new Map<SymbolNode, number>();
  for (const [i, node] of layers.entries()) {
    for (const { node: input } of node.inputs) if (place.has(input)) lastReader.set(input, i);
  }
  const blocks: SymbolNode[][] = [];
  let segment: SymbolNode[] = [];
  let reach = layers.findLastIndex((node) => node.inputs.some((e) => e.node.name === 'data'));
  for (const [i, node] of layers.entries()) {
    segment.push(node);
    const isWaist = reach <= i;
    reach = Math.max(reach, lastReader.get(node) ?? i);
    if (!isWaist && i < layers.length - 1) continue;
    const weighs = segment.some((layer) => operatorOf(layer).kind === 'convolution' || operatorOf(layer).kind === 'dense');
    if (weighs || blocks.length === 0) blocks.push(segment);
    else blocks[blocks.length - 1].push(...segment);
    segment = [];
  }
  return blocks;
}

/** A network in two: what never changes, and what is computed from it. */
export interface FrozenPart {
  /** Computes, of an image, what the rest reads: its only output. */
  readonly trunk: ModelSymbol;
  /** The rest; its input `data` is the trunk's output. */
  readonly rest: ModelSymbol;
}

/**
 * The part of a network that gives the same for an image however long is trained: layers without anything to learn, batch norms on
 * frozen statistics, nothing that is random. It ends at the last layer through which all the rest sees the image.
 *
 * @returns undefined where there is no such layer
 */
export function frozenPart(symbol: ModelSymbol): FrozenPart | undefined {
  const states = new Set(symbol.listAuxiliaryStates());
  const constant = new Set<SymbolNode>();
  const ofImage = new Set<SymbolNode>();
  for (const node of symbol.nodes) {
    if (node.op === 'null') {
      // The image, frozen parameters, and the statistics of batch norms, which are judged with their layers.
      const isInput = node.name === 'data';
      if (isInput) ofImage.add(node);
      if (isInput || states.has(node.name) || trainingAttributes(symbol, node.name).frozen) constant.add(node);
      continue;
    }
    const { kind } = operatorOf(node);
    const moves = kind === 'random' || (node.op === 'BatchNorm' && !attributesOf(node).use_global_stats);
    if (!moves && node.inputs.every((e) => constant.has(e.node))) constant.add(node);
    if (node.inputs.some((e) => ofImage.has(e.node))) ofImage.add(node);
  }
  const candidates = symbol.nodes.filter((node) => node.op !== 'null' && constant.has(node) && ofImage.has(node));
  for (const node of candidates.reverse()) {
    const entry = { node, index: 0 };
    const trunk = new ModelSymbol([entry]);
    const within = new Set(trunk.nodes);
    const leaks = (e: SymbolEntry): boolean => within.has(e.node) && ofImage.has(e.node) && (e.node !== node || e.index !== 0);
    const readElsewhere = symbol.nodes.some((user) => !within.has(user) && user.inputs.some(leaks)) || symbol.entries.some(leaks);
    if (!readElsewhere) return { trunk, rest: replaceEntry(symbol, entry) };
  }
  return undefined;
}

/** The same outputs computed from an input `data` that stands in place of one output within. */
function replaceEntry(symbol: ModelSymbol, entry: SymbolEntry): ModelSymbol {
  const input: SymbolNode = { op: 'null', name: 'data', attributes: {}, inputs: [] };
  const made = new Map<SymbolNode, SymbolNode>();
  const moved = (e: SymbolEntry): SymbolEntry =>
    (e.node === entry.node && e.index === entry.index ? { node: input, index: 0 } : { node: made.get(e.node)!, index: e.index });
  for (const node of symbol.nodes) made.set(node, node.op === 'null' ? node : { ...node, inputs: node.inputs.map(moved) });
  return new ModelSymbol(symbol.entries.map(moved));
}
