import type { Leaf } from './leaves.ts';
import { isLeaf } from './leaves.ts';
import type { Node, Value } from './node.ts';
import { topologicalOrder } from './node.ts';
import { positionOf } from './rewrite.ts';
import type { VariableCell } from './variable-cell.ts';

export interface Assignment {
  readonly cell: VariableCell;
  readonly value: Value;
}

/** The order in which a program executes. */
export interface Schedule {
  readonly order: readonly Node[];
  /** Nodes that may write a variable in place: every reader of the old version stands before them. */
  readonly inPlaceUpdates: ReadonlySet<Node>;
}

/**
 * Orders the nodes as the caller recorded them, except that an in-place update of a variable follows every reader of the old
 * version. Where a reader depends on the update itself, the update is not in place.
 */
export function schedule(roots: readonly Value[], assignments: readonly Assignment[]): Schedule {
  const nodes = topologicalOrder([...roots.map((v) => v.node), ...assignments.map((a) => a.value.node)]);
  const users = new Map<Node, Node[]>();
  for (const node of nodes) {
    for (const input of node.inputs) {
      const list = users.get(input.node);
      if (list) list.push(node);
      else users.set(input.node, [node]);
    }
  }
  const updates = new Map<Node, Node[]>();
  for (const { cell, value } of assignments) {
    const leaf = updatedLeaf(value, cell);
    if (leaf === undefined) continue;
    const readers = readersOf(leaf, users).filter((n) => n !== value.node);
    const after = reachable(value.node, users);
    if (readers.some((n) => after.has(n))) continue;
    updates.set(value.node, [...(updates.get(value.node) ?? []), ...readers]);
  }
  const order = kahn(nodes, updates);
  if (order !== undefined) return { order, inPlaceUpdates: new Set(updates.keys()) };
  return { order: kahn(nodes, new Map())!, inPlaceUpdates: new Set() };
}

/** The leaf that the value's op overwrites, if the value is an update of the cell. */
export function updatedLeaf(value: Value, cell: VariableCell): Leaf | undefined {
  const { node, index } = value;
  const pair = node.op.updates?.(node.attrs).find(([, output]) => output === index);
  const input = pair && node.inputs[pair[0]];
  if (input && isLeaf(input.node) && input.node.source.kind === 'variable' && input.node.source.cell === cell) return input.node;
  return undefined;
}

/** Users of a leaf, and users of views of it. */
function readersOf(leaf: Node, users: ReadonlyMap<Node, readonly Node[]>): Node[] {
  const found = new Set<Node>();
  const pending = [leaf];
  while (pending.length > 0) {
    for (const user of users.get(pending.pop()!) ?? []) {
      if (found.has(user)) continue;
      found.add(user);
      if (user.op.view) pending.push(user);
    }
  }
  return [...found];
}

function reachable(node: Node, users: ReadonlyMap<Node, readonly Node[]>): Set<Node> {
  const found = new Set<Node>();
  const pending = [node];
  while (pending.length > 0) {
    for (const user of users.get(pending.pop()!) ?? []) {
      if (!found.has(user)) {
        found.add(user);
        pending.push(user);
      }
    }
  }
  return found;
}

/** Kahn's algorithm, the earliest recorded of the ready nodes first; undefined on a cycle. */
function kahn(nodes: readonly Node[], extra: ReadonlyMap<Node, readonly Node[]>): Node[] | undefined {
  const waiting = new Map<Node, number>();
  const next = new Map<Node, Node[]>();
  const edge = (from: Node, to: Node): void => {
    waiting.set(to, (waiting.get(to) ?? 0) + 1);
    const list = next.get(from);
    if (list) list.push(to);
    else next.set(from, [to]);
  };
  for (const node of nodes) {
    for (const input of new Set(node.inputs.map((v) => v.node))) edge(input, node);
    for (const before of new Set(extra.get(node) ?? [])) edge(before, node);
  }
  const ready = new Heap(nodes.filter((n) => !waiting.get(n)));
  const order: Node[] = [];
  for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
    order.push(node);
    for (const user of next.get(node) ?? []) {
      const left = waiting.get(user)! - 1;
      waiting.set(user, left);
      if (left === 0) ready.push(user);
    }
  }
  return order.length === nodes.length ? order : undefined;
}

/** A binary heap of nodes, smallest position first. */
class Heap {
  readonly #items: Node[] = [];

  constructor(nodes: readonly Node[]) {
    for (const node of nodes) this.push(node);
  }

  push(node: Node): void {
    const items = this.#items;
    let i = items.push(node) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (positionOf(items[parent]) <= positionOf(items[i])) break;
      [items[parent], items[i]] = [items[i], items[parent]];
      i = parent;
    }
  }

  pop(): Node | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    items[0] = last;
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < items.length && positionOf(items[child]) < positionOf(items[least])) least = child;
      }
      if (least === i) return top;
      [items[least], items[i]] = [items[i], items[least]];
      i = least;
    }
  }
}
