import type { Attrs, Value } from './node.ts';
import { Node, topologicalOrder } from './node.ts';
import type { Replacement, Rewrite, RewriteGraph, Stage } from './op.ts';
import { getOp, registeredOps, stages } from './op.ts';

/**
 * Replaces patterns of ops by the hand-written fused ones, until none matches, then merges what can be merged. The graph given is left
 * as it is: what changes is built anew.
 *
 * @param roots the values asked for and those assigned to variables
 * @param recompute leaves out the rewrites that keep one value so that another need not be kept, which can be computed again
 * @param taken stages to go through besides those that are every device's
 * @returns the same values in the rewritten graph, and the names of the rewrites that were applied
 */
export function rewrite(roots: readonly Value[], recompute = false, taken: readonly Stage[] = []): { roots: Value[]; applied: string[] } {
  const applied: string[] = [];
  let current = [...roots];
  for (const stage of stages) {
    if (stage === 'fuse' || stage === 'merge' || taken.includes(stage)) current = rewriteBy(rulesOf(stage, recompute), current, applied);
  }
  return { roots: current, applied };
}

/** Rules by anchor. */
type Rules = ReadonlyMap<string, readonly Rewrite[]>;

function rulesOf(stage: Stage, recompute: boolean): Rules {
  const rules = new Map<string, Rewrite[]>();
  for (const op of registeredOps()) {
    for (const rule of op.rewrites ?? []) {
      if ((rule.stage ?? 'fuse') === stage && !(recompute && rule.keeps)) rules.set(rule.anchor, [...(rules.get(rule.anchor) ?? []), rule]);
    }
  }
  return rules;
}

function rewriteBy(rules: Rules, roots: readonly Value[], applied: string[]): Value[] {
  let current = [...roots];
  for (;;) {
    const order = topologicalOrder(current.map((v) => v.node));
    const graph = new Matching(order, current);
    const touched = new Set<Node>();
    const replaced = new Set<Node>();
    const swaps = new Map<Node, Value[]>();
    for (const node of order) {
      for (const rule of rules.get(node.op.name) ?? []) {
        const found = graph.match(rule, node);
        if (found === undefined) continue;
        const { replacements, made, inputs } = found;
        if (replacements.some((r) => touched.has(r.node)) || inputs.some((v) => replaced.has(v.node))) continue;
        const position = Math.min(...replacements.map((r) => positionOf(r.node)));
        for (const n of made) positions.set(n, position);
        for (const { node: old, output, by } of replacements) {
          touched.add(old);
          replaced.add(old);
          const outputs = swaps.get(old) ?? [];
          outputs[output] = by;
          swaps.set(old, outputs);
        }
        for (const v of inputs) touched.add(v.node);
        graph.joined(replacements.map((r) => r.node));
        applied.push(rule.name);
        break;
      }
    }
    if (swaps.size === 0) return current;
    current = rebuild(order, current, swaps);
  }
}

interface Match {
  readonly replacements: readonly Replacement[];
  /** The new nodes, and what they read of the old graph. */
  readonly made: readonly Node[];
  readonly inputs: readonly Value[];
}

/** The graph as rules see it. */
class Matching implements RewriteGraph {
  readonly #users = new Map<Node, [Node, number][]>();
  readonly #positions = new Map<Node, number>();
  readonly #requested = new Map<Node, Set<number>>();
  /** Nodes that become one, by each of them: two merges, each fine alone, can need each other's results. */
  readonly #joined = new Map<Node, readonly Node[]>();
  #anchor: Node | undefined;
  #made: Node[] = [];

  constructor(order: readonly Node[], roots: readonly Value[]) {
    for (const { node, index } of roots) this.#requested.set(node, (this.#requested.get(node) ?? new Set()).add(index));
    order.forEach((node, i) => {
      this.#positions.set(node, i);
      for (const input of node.inputs) {
        const list = this.#users.get(input.node);
        if (list) list.push([node, input.index]);
        else this.#users.set(input.node, [[node, input.index]]);
      }
    });
  }

  match(rule: Rewrite, node: Node): Match | undefined {
    this.#anchor = node;
    this.#made = [];
    const replacements = rule.match(node, this);
    if (replacements === undefined) return undefined;
    const made = new Set(this.#made);
    const inputs = this.#made.flatMap((n) => n.inputs.filter((v) => !made.has(v.node)));
    return { replacements, made: this.#made, inputs };
  }

  users(node: Node, index?: number): Node[] {
    const pairs = this.#users.get(node) ?? [];
    return pairs.filter(([, i]) => index === undefined || i === index).map(([n]) => n);
  }

  isRequested(node: Node, index?: number): boolean {
    const asked = this.#requested.get(node);
    return asked !== undefined && (index === undefined || asked.has(index));
  }

  dependsOn(node: Node, others: readonly Node[]): boolean {
    const targets = new Set(others);
    // Inputs come first in the order: what lies before all targets need not be walked, save where nodes far apart become one.
    const first = this.#joined.size > 0 ? 0 : Math.min(...others.map((n) => this.#positions.get(n)!));
    const seen = new Set<Node>();
    const stack = [node];
    for (;;) {
      const next = stack.pop();
      if (next === undefined) return false;
      for (const { node: input } of next.inputs) {
        if (targets.has(input)) return true;
        if (seen.has(input) || this.#positions.get(input)! < first) continue;
        for (const one of this.#joined.get(input) ?? [input]) {
          seen.add(one);
          stack.push(one);
        }
      }
    }
  }

  /** Tells that these nodes will be computed together. */
  joined(nodes: readonly Node[]): void {
    const all = [...new Set(nodes)];
    for (const node of all) this.#joined.set(node, all);
  }

  make(name: string, attrs: Attrs, inputs: readonly Value[]): readonly Value[] {
    const op = getOp(name);
    const node = new Node(op, attrs, inputs, op.infer(inputs, attrs), this.#anchor);
    this.#made.push(node);
    return node.outputs;
  }
}

/** Where in the original program a node stands, so that execution keeps the order in which the caller recorded it. */
const positions = new WeakMap<Node, number>();

export function positionOf(node: Node): number {
  return positions.get(node) ?? node.id;
}

/** For a node that stands for another, or was put before one. */
export function setPosition(node: Node, position: number): void {
  positions.set(node, position);
}

/** Copies the nodes whose inputs change; `swaps` has the new value of a node's outputs. */
function rebuild(order: readonly Node[], roots: readonly Value[], swaps: ReadonlyMap<Node, readonly Value[]>): Value[] {
  const copies = new Map<Node, Node>();
  const mapValue = (value: Value): Value => {
    const { node, index } = swaps.get(value.node)?.[value.index] ?? value;
    return copy(node).outputs[index];
  };
  const copy = (node: Node): Node => {
    if (node.inputs.length === 0) return node;
    const ready = copies.get(node);
    if (ready) return ready;
    const inputs = node.inputs.map(mapValue);
    let result = node;
    if (inputs.some((v, i) => v !== node.inputs[i])) {
      result = new Node(node.op, node.attrs, inputs, node.outputs, node);
      positions.set(result, positionOf(node));
    }
    copies.set(node, result);
    return result;
  };
  // In order, so that the recursion of mapValue stays shallow.
  for (const node of order) if (!swaps.has(node)) copy(node);
  return roots.map(mapValue);
}
