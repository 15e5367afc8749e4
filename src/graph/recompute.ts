import { Node } from './node.ts';
import type { Value } from './node.ts';
import { getOp } from './op.ts';
import type { Schedule } from './order.ts';
import type { Root } from './layout.ts';
import type { Plan } from './plan.ts';
import { positionOf, setPosition } from './rewrite.ts';

/** A graph that is scheduled and planned. */
export interface Scheduled {
  readonly roots: readonly Value[];
  readonly schedule: Schedule;
  readonly plan: Plan;
}

/** Roots smaller than this part of the peak stay: a launch costs more than they are worth. */
const smallest = 1 / 1000;

/**
 * Computes values a second time that would otherwise be kept over the step at which the most memory is in use, where their ops say
 * that this takes one pass over memory (`Op.recompute`): the first application then dies with its last use before that step, and
 * the second is made just before the first use after it. Repeated while the peak falls. What turns out not to be needed for the
 * peak that was reached is kept after all, the most bytes moved first. The nodes given are left as they are.
 *
 * Source: the idea of Chen et al., Training Deep Nets with Sublinear Memory Cost (2016), for single values in place of segments.
 *
 * @param replan orders and plans another form of the graph
 * @returns the same values in the new graph
 */
export function recompute(roots: readonly Value[], replan: (roots: readonly Value[]) => Scheduled): Scheduled {
  const original = replan(roots);
  const graph = new Graph(original);
  const choices = new Map<Value, number>();
  let best = { form: graph.build(choices), made: original, choices: new Map(choices) };
  while (graph.choose(best.form, best.made.plan, choices)) {
    const form = graph.build(choices);
    const made = replan(form.roots);
    if (peakOf(made.plan).bytes >= peakOf(best.made.plan).bytes) break;
    best = { form, made, choices: new Map(choices) };
  }
  const needed = graph.needed(best.form, best.made.plan, best.choices);
  if (needed.size === best.choices.size) return best.made;
  const fewer = replan(graph.build(needed).roots);
  return peakOf(fewer.plan).bytes <= peakOf(best.made.plan).bytes ? fewer : best.made;
}

interface Peak {
  readonly step: number;
  readonly bytes: number;
  /** Bytes of temporaries in use at each step. */
  readonly live: Float64Array;
}

function peakOf(plan: Plan): Peak {
  const live = new Float64Array(plan.steps.length);
  for (const { pinned, bytes, first, last } of plan.roots) {
    if (pinned === undefined) for (let i = first; i <= last; i++) live[i] += bytes;
  }
  const bytes = live.reduce((a, b) => Math.max(a, b), 0);
  return { step: live.indexOf(bytes), bytes, live };
}

/** The graph with some values computed twice. */
interface Form {
  readonly roots: readonly Value[];
  /** What stands for each node of the original, and the other way round. */
  readonly copies: ReadonlyMap<Node, Node>;
  readonly originals: ReadonlyMap<Node, Node>;
  /** Second applications by the value of the original that they compute. */
  readonly again: ReadonlyMap<Value, Value>;
}

/** The graph as it was, of which forms are built. */
class Graph {
  readonly #roots: readonly Value[];
  readonly #order: readonly Node[];
  readonly #index = new Map<Node, number>();
  readonly #users = new Map<Value, Node[]>();
  readonly #asked: ReadonlySet<Value>;

  constructor({ roots, schedule }: Scheduled) {
    this.#roots = roots;
    this.#order = schedule.order;
    this.#asked = new Set(roots);
    schedule.order.forEach((node, i) => {
      this.#index.set(node, i);
      for (const input of new Set(node.inputs)) this.#users.set(input, [...(this.#users.get(input) ?? []), node]);
    });
  }

  /** The form in which users after node number `choices.get(v)` of the order read a second application of `v`. */
  build(choices: ReadonlyMap<Value, number>): Form {
    const copies = new Map<Node, Node>();
    const originals = new Map<Node, Node>();
    const again = new Map<Value, Value>();
    const read = (value: Value, at: number): Value => {
      const split = choices.get(value);
      return split !== undefined && at > split ? second(value, at) : copies.get(value.node)!.outputs[value.index];
    };
    const second = (value: Value, at: number): Value => {
      const ready = again.get(value);
      if (ready) return ready;
      const { op, attrs, inputs } = applicationOf(value)!;
      const node = new Node(op, attrs, inputs.map((v) => read(v, at)), [value], value.node);
      // Just before the first user, whose own position is a whole number.
      setPosition(node, positionOf(this.#order[at]) - 0.5);
      again.set(value, node.outputs[0]);
      return node.outputs[0];
    };
    this.#order.forEach((node, i) => {
      const inputs = node.inputs.map((v) => read(v, i));
      let copy = node;
      if (inputs.some((v, k) => v !== node.inputs[k])) {
        copy = new Node(node.op, node.attrs, inputs, node.outputs, node);
        setPosition(copy, positionOf(node));
      }
      copies.set(node, copy);
      originals.set(copy, node);
    });
    return { roots: this.#roots.map((v) => copies.get(v.node)!.outputs[v.index]), copies, originals, again };
  }

  /** Adds to the choices what can be freed at the peak of a form; false where there is nothing. */
  choose(form: Form, plan: Plan, choices: Map<Value, number>): boolean {
    const peak = peakOf(plan);
    const split = this.#nodeAt(form, plan, peak.step);
    const valuesIn = this.#valuesByRoot(form, plan);
    let found = false;
    for (const root of plan.roots) {
      if (root.pinned || root.first >= peak.step || root.last <= peak.step || root.bytes < smallest * peak.bytes) continue;
      const values = valuesIn.get(root);
      const late = values?.filter((v) => this.#usersAfter(v, split).length > 0);
      if (values === undefined || late === undefined || late.length === 0) continue;
      const added = new Map<Value, number>();
      if (!late.every((v) => this.#add(v, split, form, plan, choices, added))) continue;
      for (const [value, at] of added) choices.set(value, at);
      found = true;
    }
    return found;
  }

  /** Takes back choices that could be kept without passing the peak that was reached. */
  needed(form: Form, plan: Plan, choices: ReadonlyMap<Value, number>): Map<Value, number> {
    const { live, bytes: limit } = peakOf(plan);
    const rest = new Map(choices);
    const places = [...choices.keys()].filter((v) => this.#isFreed(v, choices)).flatMap((value) => {
      const from = rootOf(value, form, plan);
      const second = form.again.get(value);
      const to = second && plan.layouts.get(second)?.root;
      return from && to ? [{ value, from, to }] : [];
    });
    places.sort((a, b) => b.to.bytes - a.to.bytes || a.from.first - b.from.first);
    for (const { value, from, to } of places) {
      let fits = from.last < to.first;
      for (let i = from.last + 1; i < to.first && fits; i++) fits = live[i] + from.bytes <= limit;
      if (!fits) continue;
      for (let i = from.last + 1; i < to.first; i++) live[i] += from.bytes;
      this.#takeBack(value, rest);
    }
    return rest;
  }

  /** Not a part of a choice that is freed as a whole. */
  #isFreed(value: Value, choices: ReadonlyMap<Value, number>): boolean {
    return (this.#users.get(value) ?? []).every((n) => n.op.concatenates === undefined || !n.outputs.some((v) => choices.has(v)));
  }

  #takeBack(value: Value, rest: Map<Value, number>): void {
    rest.delete(value);
    if (value.node.op.concatenates !== undefined) for (const input of value.node.inputs) this.#takeBack(input, rest);
  }

  /** Adds the value, and what its second application needs that would be gone by then; false where that cannot be had again. */
  #add(
    value: Value, split: number, form: Form, plan: Plan, choices: ReadonlyMap<Value, number>, added: Map<Value, number>,
  ): boolean {
    if (choices.has(value) || added.has(value)) return true;
    const application = applicationOf(value);
    if (application === undefined || this.#asked.has(value)) return false;
    added.set(value, split);
    const whole = value.node.op.concatenates !== undefined || value.node.op.view !== undefined;
    return application.inputs.every((v) => {
      const kept = rootOf(v, form, plan)?.pinned !== undefined
        || (!whole && this.#usersAfter(v, split).length > 0);
      return kept || this.#add(v, split, form, plan, choices, added);
    });
  }

  #usersAfter(value: Value, split: number): Node[] {
    return (this.#users.get(value) ?? []).filter((n) => this.#index.get(n)! > split);
  }

  /** The number of the node of the original order that the step computes, or the one before it. */
  #nodeAt({ originals }: Form, plan: Plan, step: number): number {
    for (let i = step; i >= 0; i--) {
      const at = plan.steps[i];
      const original = at.kind === 'op' ? originals.get(at.node) : undefined;
      if (original !== undefined) return this.#index.get(original)!;
    }
    return -1;
  }

  /** Values of the original graph by where their first application lies. */
  #valuesByRoot(form: Form, plan: Plan): Map<Root, Value[]> {
    const values = new Map<Root, Value[]>();
    for (const value of this.#order.flatMap((node) => node.outputs)) {
      const root = rootOf(value, form, plan);
      if (root !== undefined) values.set(root, [...(values.get(root) ?? []), value]);
    }
    return values;
  }
}

/** Where the first application of a value lies; nowhere when all its users read the second. */
function rootOf(value: Value, form: Form, plan: Plan): Root | undefined {
  return plan.layouts.get(form.copies.get(value.node)!.outputs[value.index])?.root;
}

/** How a value is computed again. */
function applicationOf(value: Value): Pick<Node, 'op' | 'attrs' | 'inputs'> | undefined {
  const { node } = value;
  const { op } = node;
  if (op.concatenates === 'axis' || op.view !== undefined) return node;
  if (op.recompute === undefined || value.index !== 0) return undefined;
  if (op.recompute === true) return node;
  const made = op.recompute(node);
  return { ...made, op: getOp(made.op) };
}
