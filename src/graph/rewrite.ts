import { Node, Value, topologicalOrder } from './node.ts';
import type { Replacement, Rewrite, RewriteGraph } from './op.ts';
import { getOp, registeredOps } from './op.ts';

/**
 * Replaces patterns of ops by the hand-written fused ones, until none matches. The graph given is left as it is: what changes is
 * built anew.
 *
 * @param roots the values asked for and those assigned to variables
 * @returns the same values in the rewritten graph, and the names of the rewrites that were applied
 */
export function rewrite(roots: readonly Value[]): { roots: Value[]; applied: string[] } {
  const rules = new Map<string, Rewrite[]>();
  for (const op of registeredOps()) {
    for (const rule of op.rewrites ?? []) rules.set(rule.anchor, [...(rules.get(rule.anchor) ?? []), rule]);
  }
  const applied: string[] = [];
  let current = [...roots];
  for (;;) {
    const order = topologicalOrder(current.map((v) => v.node));
    const graph = new Users(order, current);
    const touched = new Set<Node>();
    const replacements: Replacement[] = [];
    for (const node of order) {
      for (const rule of rules.get(node.op.name) ?? []) {
        const found = rule.match(node, graph);
        if (found === undefined) continue;
        const nodes = [...found.replaces.map(([n]) => n), ...found.inputs.map((v) => v.node)];
        if (found.replaces.some(([n]) => touched.has(n)) || found.inputs.some((v) => graph.replaced.has(v.node))) continue;
        for (const n of nodes) touched.add(n);
        for (const [n] of found.replaces) graph.replaced.add(n);
        replacements.push(found);
        applied.push(rule.name);
        break;
      }
    }
    if (replacements.length === 0) return { roots: current, applied };
    current = rebuild(order, current, replacements);
  }
}

class Users implements RewriteGraph {
  readonly replaced = new Set<Node>();
  readonly #users = new Map<Node, [Node, number][]>();
  readonly #requested: readonly Value[];

  constructor(order: readonly Node[], roots: readonly Value[]) {
    this.#requested = roots;
    for (const node of order) {
      for (const input of node.inputs) {
        const list = this.#users.get(input.node);
        if (list) list.push([node, input.index]);
        else this.#users.set(input.node, [[node, input.index]]);
      }
    }
  }

  users(node: Node, index?: number): Node[] {
    const pairs = this.#users.get(node) ?? [];
    return pairs.filter(([, i]) => index === undefined || i === index).map(([n]) => n);
  }

  isRequested(node: Node, index?: number): boolean {
    return this.#requested.some((v) => v.node === node && (index === undefined || v.index === index));
  }
}

/** Where in the original program a node stands, so that execution keeps the order in which the caller recorded it. */
const positions = new WeakMap<Node, number>();

export function positionOf(node: Node): number {
  return positions.get(node) ?? node.id;
}

/** Says that a node which a rewriting made stands where another stood. */
export function placeAt(made: Node, other: Node): void {
  positions.set(made, positionOf(other));
}

function rebuild(order: readonly Node[], roots: readonly Value[], replacements: readonly Replacement[]): Value[] {
  const byNode = new Map<Node, { replacement: Replacement; index: number }[]>();
  const made = new Map<Replacement, Node>();
  for (const replacement of replacements) {
    for (const [node, output, index] of replacement.replaces) {
      const list = byNode.get(node) ?? [];
      list[output] = { replacement, index };
      byNode.set(node, list);
    }
  }
  const copies = new Map<Node, Node>();

  const mapValue = (value: Value): Value => {
    const swap = byNode.get(value.node)?.[value.index];
    if (swap) return make(swap.replacement).outputs[swap.index];
    return copy(value.node).outputs[value.index];
  };
  const make = (replacement: Replacement): Node => {
    const ready = made.get(replacement);
    if (ready) return ready;
    const op = getOp(replacement.op);
    const inputs = replacement.inputs.map(mapValue);
    const node = new Node(op, replacement.attrs, inputs, op.infer(inputs, replacement.attrs), replacement.replaces[0][0].site);
    positions.set(node, Math.min(...replacement.replaces.map(([n]) => positionOf(n))));
    made.set(replacement, node);
    return node;
  };
  const copy = (node: Node): Node => {
    if (node.inputs.length === 0) return node;
    const ready = copies.get(node);
    if (ready) return ready;
    const inputs = node.inputs.map(mapValue);
    let result = node;
    if (inputs.some((v, i) => v !== node.inputs[i])) {
      result = new Node(node.op, node.attrs, inputs, node.outputs, node.site);
      positions.set(result, positionOf(node));
    }
    copies.set(node, result);
    return result;
  };
  // In order, so that the recursion of mapValue stays shallow.
  for (const node of order) if (!byNode.has(node)) copy(node);
  return roots.map(mapValue);
}
