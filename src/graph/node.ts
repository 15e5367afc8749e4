import type { DType, Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { Op } from './op.ts';

/** Attributes of an op: plain data, so that a graph can be keyed by structure. */
export type Attrs = Readonly<Record<string, AttrValue>>;
export type AttrValue = string | number | boolean | null | undefined | readonly AttrValue[] | { readonly [key: string]: AttrValue };

let nextNodeId = 0;

/** Where a node comes from, for messages. */
export interface Origin {
  readonly site?: string | undefined;
  readonly layer?: string | undefined;
}

/** One application of an op. Nodes do not change once made, save for a leaf that takes over a value. */
export class Node {
  readonly id = nextNodeId++;
  readonly op: Op;
  readonly attrs: Attrs;
  readonly inputs: readonly Value[];
  outputs: readonly Value[];
  /** The caller's line, recorded while tracing; errors name it. */
  readonly site: string | undefined;
  /** The layer of a Symbol that it computes, or whose gradient it is part of. */
  readonly layer: string | undefined;

  constructor(op: Op, attrs: Attrs, inputs: readonly Value[], types: readonly TensorType[], from: Origin = {}) {
    this.op = op;
    this.attrs = attrs;
    this.inputs = inputs;
    this.site = from.site;
    this.layer = from.layer;
    this.outputs = types.map((t, i) => new Value(this, i, t.shape, t.dtype));
    for (const input of inputs) input.hold(this);
  }

  /** `conv2d#12`, for messages. */
  get label(): string {
    return `${this.op.name}#${this.id}`;
  }
}

/**
 * One output of a node. Evaluation replaces its node by a leaf that holds the result (`become`), which frees the history:
 * whoever holds the value then holds data, not the graph that made it.
 */
export class Value implements TensorType {
  #node: Node;
  #index: number;
  #holders: WeakRef<object>[] = [];
  #pruneAt = 16;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.#node = node;
    this.#index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  get node(): Node {
    return this.#node;
  }

  get index(): number {
    return this.#index;
  }

  /** Makes this value the one output of a leaf. */
  become(leaf: Node): void {
    this.#node = leaf;
    this.#index = 0;
    leaf.outputs = [this];
  }

  /** Records, weakly, that a node or a tensor handle may yet ask for this value. */
  hold(holder: object): void {
    if (this.#holders.length >= this.#pruneAt) {
      this.#holders = this.#holders.filter((h) => h.deref() !== undefined);
      this.#pruneAt = Math.max(16, 2 * this.#holders.length);
    }
    this.#holders.push(new WeakRef(holder));
  }

  /** True when something alive and not in `evaluated` may yet ask for this value. */
  isHeldOutside(evaluated: ReadonlySet<object>): boolean {
    return this.#holders.some((h) => {
      const holder = h.deref();
      return holder !== undefined && !evaluated.has(holder);
    });
  }

  get size(): number {
    return sizeOf(this.shape);
  }
}

/** The nodes that `roots` depend on, inputs before users; iterative, since graphs are deeper than the call stack. */
export function topologicalOrder(roots: readonly Node[]): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, number>();
  const stack: Node[] = [];
  for (const root of roots) {
    if (state.has(root)) continue;
    stack.push(root);
    state.set(root, 0);
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      const next = state.get(node)!;
      if (next === node.inputs.length) {
        order.push(node);
        stack.pop();
        continue;
      }
      state.set(node, next + 1);
      const input = node.inputs[next].node;
      if (!state.has(input)) {
        state.set(input, 0);
        stack.push(input);
      }
    }
  }
  return order;
}
