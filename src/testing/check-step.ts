/**
 * A compiled function held to the float64 reference, step by step. Every op is fed what the device itself computed, read back before
 * it ran, so that the rule of tolerance.ts (`elementBounds`) holds for each alone and the first that departs is the one at fault, not one that
 * inherited an error. What is checked is the graph as it runs, rewritten and placed: copies have to be exact, and values have to
 * be, when they are read, what they were when they were computed, which a plan that lets something overwrite them would break.
 */
import type { Device, TensorType } from '../device/types.ts';
import { isFloat } from '../graph/half.ts';
import { isLeaf } from '../graph/leaves.ts';
import type { Attrs, Node, Value } from '../graph/node.ts';
import { topologicalOrder } from '../graph/node.ts';
import type { HostTensor, Op } from '../graph/op.ts';
import type { ObservedStep, ObservedValue, Program } from '../graph/program.ts';
import { costOf } from '../graph/planned.ts';
import type { CompiledFunction } from '../tensor/compile.ts';
import type { Tree } from '../tensor/tree.ts';
import type { Place } from './run-op.ts';
import { placeOf, runOp } from './run-op.ts';
import { compare, elementBounds, magnitudes } from './tolerance.ts';

export interface CheckStepOptions {
  /** What is compared with. Default: the float64 reference. A second device is quicker, and allowed to err as much as the first. */
  readonly against?: Device;
  /** Before each step: how much is done, by estimated operations, and what comes next. */
  readonly onStep?: (share: number, label: string) => unknown;
  /** Stops between two steps, by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** What was seen of all applications of an op. */
export interface OpFindings {
  readonly op: string;
  readonly checked: number;
  readonly departed: number;
  /** Largest error over the error allowed. */
  readonly worst: number;
  /** Where that was: `conv2d#12`. */
  readonly worstAt: string;
}

/** A value that is not what it should be. */
export interface Departure {
  /** `result`: an op computed it wrongly. `input`: it changed between being computed and being read. `copy`: it was copied wrongly. */
  readonly kind: 'result' | 'input' | 'copy';
  /** `conv2d#12`, or what the copy is for. */
  readonly label: string;
  readonly op: string;
  /** The layer that it belongs to, or whose gradient it is part of. */
  readonly layer: string | undefined;
  /** The caller's line. */
  readonly site: string | undefined;
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  /** Which of the outputs, or for `input` which of the inputs. */
  readonly which: number;
  /** The worst element, its place in row-major order, and its values. */
  readonly at: number;
  readonly got: number;
  readonly expected: number;
  /** The largest error that the rule allows. */
  readonly allowed: number;
}

/** An op with all that is needed to run it again. */
export interface Evidence {
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: readonly (HostTensor & { readonly place: Place })[];
  readonly outputs: readonly (TensorType & { readonly place: Place; readonly over?: number })[];
  readonly got: readonly Float64Array[];
  readonly expected: readonly Float64Array[];
}

export interface StepCheck {
  readonly device: string;
  readonly against: string;
  /** Steps of the Program, copies among them. */
  readonly steps: number;
  /** Elements that were compared. */
  readonly elements: number;
  /** By op, in the order in which each was first met. */
  readonly ops: readonly OpFindings[];
  /** Ops without a reference: run, not checked. */
  readonly unchecked: readonly string[];
  /** In schedule order: the first is the one to look at. The first hundred, and the first of kind `result`, if any, however late. */
  readonly departures: readonly Departure[];
  /** Of the first result that departs. */
  readonly evidence?: Evidence;
}

/**
 * Calls a compiled function once and checks every step. Variables change as in any call.
 *
 * @throws what the function itself would throw; the signal's reason
 */
export async function checkStep<A extends readonly Tree[], R extends Tree>(
  fn: Pick<CompiledFunction<A, R>, 'observe'>, args: A, options: CheckStepOptions = {},
): Promise<StepCheck> {
  let checker: Checker | undefined;
  await fn.observe((step, program) => {
    checker ??= new Checker(program, options);
    return checker.step(step);
  }, ...args);
  return checker?.result ?? new Checker(undefined, options).result;
}

/** Departures that are kept at most, and beside them the first result that departs: evidence is of that one. */
const MOST_DEPARTURES = 100;

class Checker {
  readonly #options: CheckStepOptions;
  readonly #device: string;
  readonly #values: Values;
  readonly #cost: number;
  readonly #ops = new Map<string, { checked: number; departed: number; worst: number; worstAt: string }>();
  readonly #unchecked = new Set<string>();
  readonly #departures: Departure[] = [];
  #evidence: Evidence | undefined;
  #done = 0;
  #steps = 0;
  #elements = 0;

  constructor(program: Program | undefined, options: CheckStepOptions) {
    const nodes = program?.nodes ?? [];
    this.#options = options;
    this.#device = program?.device.name ?? 'no device';
    this.#values = new Values(nodes);
    this.#cost = nodes.reduce((sum, node) => sum + work(node), 0);
  }

  get result(): StepCheck {
    return {
      device: this.#device, against: this.#options.against?.name ?? 'the float64 reference', steps: this.#steps, elements: this.#elements,
      ops: [...this.#ops].map(([op, found]) => ({ op, ...found })), unchecked: [...this.#unchecked], departures: this.#departures,
      evidence: this.#evidence,
    };
  }

  async step(step: ObservedStep): Promise<void> {
    const { onStep, signal } = this.#options;
    signal?.throwIfAborted();
    await onStep?.(this.#cost > 0 ? this.#done / this.#cost : 1, step.label);
    this.#steps++;
    const { node } = step;
    if (node === undefined) return this.#copy(step);
    node.inputs.forEach((value, i) => this.#input(step, node, value, i));
    if (node.op.reference === undefined) this.#unchecked.add(node.op.name);
    else await this.#op(step, node);
    this.#values.computed(node, step.outputs.map((o) => o.data));
    this.#done += work(node);
  }

  #copy({ label, inputs: [from], outputs: [to] }: ObservedStep): void {
    const ratio = this.#compare('copy', label, to, from.data, 0);
    if (ratio <= 1) return;
    const where = { kind: 'copy', label, op: 'copy', layer: undefined, site: undefined, inputs: [from], outputs: [to], which: 0 } as const;
    this.#depart(where, to, from.data, 0);
  }

  /** What an op reads has to be what was computed. */
  #input(step: ObservedStep, node: Node, value: Value, which: number): void {
    const { data, dtype } = step.inputs[which];
    for (const { part, from } of piecesOf(value)) {
      const here = data.subarray(from, from + part.size);
      const expected = this.#values.of(part);
      if (expected === undefined) this.#values.seen(part, here);
      else if (compare(here, expected, 0).ratio > 0) this.#depart({ ...about(step, node), kind: 'input', which }, { data: here, dtype }, expected, 0, from);
    }
  }

  async #op(step: ObservedStep, node: Node): Promise<void> {
    const { references, allowed } = await this.#expected(node, step.inputs, step.outputs);
    let departed = false;
    step.outputs.forEach((output, which) => {
      const ratio = this.#compare(node.op.name, node.label, output, references[which], allowed[which]);
      if (ratio <= 1 || departed) return;
      departed = true;
      this.#depart({ ...about(step, node), kind: 'result', which }, output, references[which], allowed[which]);
      this.#evidence ??= evidenceOf(step, node, references);
    });
    const found = this.#ops.get(node.op.name)!;
    found.checked++;
    if (departed) found.departed++;
  }

  async #expected({ op, attrs }: Node, inputs: readonly ObservedValue[], outputs: readonly TensorType[]) {
    const { against } = this.#options;
    if (against === undefined) {
      const references = op.reference!(inputs, attrs, outputs);
      return { references, allowed: elementBounds(op, inputs, attrs, outputs, magnitudes(op, inputs, attrs, outputs, references)) };
    }
    const plain = (list: readonly HostTensor[]): HostTensor[] => list.map(({ shape, dtype, data }) => ({ shape, dtype, data }));
    const updates = op.updates?.(attrs) ?? [];
    const types = outputs.map(({ shape, dtype }, i) => ({ shape, dtype, over: updates.find(([, output]) => output === i)?.[0] }));
    const references = await runOp(against, { op, attrs, inputs: plain(inputs), outputs: types });
    const m = op.magnitude || !op.reductionLength ? magnitudes(op, inputs, attrs, outputs, references)
      : await runOp(against, { op, attrs, inputs: plain(absolute(inputs)), outputs: types });
    return { references, allowed: elementBounds(op, inputs, attrs, outputs, m).map((each) => each.map((bound) => 2 * bound)) };
  }

  /** The error over what is allowed. */
  #compare(op: string, label: string, { data, dtype }: Result, expected: Float64Array, allowed: number | Float64Array): number {
    this.#elements += expected.length;
    const { ratio } = compare(data, expected, allowed, dtype);
    const found = this.#ops.get(op) ?? { checked: 0, departed: 0, worst: 0, worstAt: label };
    if (ratio > found.worst) Object.assign(found, { worst: ratio, worstAt: label });
    if (op === 'copy') {
      found.checked++;
      if (ratio > 1) found.departed++;
    }
    this.#ops.set(op, found);
    return ratio;
  }

  #depart(
    where: Omit<Departure, 'at' | 'got' | 'expected' | 'allowed'>, { data, dtype }: Result, reference: Float64Array, bound: number | Float64Array, from = 0,
  ): void {
    const firstResult = where.kind === 'result' && this.#evidence === undefined;
    if (this.#departures.length >= MOST_DEPARTURES && !firstResult) return;
    const { at, got, expected } = compare(data, reference, bound, dtype);
    const allowed = typeof bound === 'number' ? bound : bound[at];
    const types = (list: readonly TensorType[]): TensorType[] => list.map(({ shape, dtype }) => ({ shape, dtype }));
    this.#departures.push({ ...where, inputs: types(where.inputs), outputs: types(where.outputs), at: from + at, got, expected, allowed });
  }
}

/** What a step gave, and how it was stored. */
type Result = Pick<HostTensor, 'data' | 'dtype'>;

function about({ label, inputs, outputs }: ObservedStep, { op, layer, site }: Node) {
  return { label, op: op.name, layer, site, inputs, outputs };
}

/** The value itself; for one that lays others into a flat vector those, since what lies between them is nobody's. */
function piecesOf(value: Value): { part: Value; from: number }[] {
  const { node } = value;
  if (node.op.concatenates !== 'flat') return [{ part: value, from: 0 }];
  const starts = node.attrs.starts as readonly number[];
  return node.inputs.flatMap((input, i) => piecesOf(input).map(({ part, from }) => ({ part, from: starts[i] + from })));
}

function absolute(inputs: readonly HostTensor[]): HostTensor[] {
  return inputs.map((t) => (isFloat(t.dtype) ? { ...t, data: t.data.map(Math.abs) } : t));
}

/** Time that a node's reference takes, in something like its operations: moving an element takes as long as some of them. */
function work(node: Node): number {
  return costOf(node) + 20 * node.outputs.reduce((sum, v) => sum + v.size, 0);
}

function evidenceOf({ inputs, outputs }: ObservedStep, { op, attrs }: Node, expected: readonly Float64Array[]): Evidence {
  const place = ({ shape, dtype, placed }: ObservedValue) => ({ shape, dtype, place: placeOf(placed) });
  return {
    op: op.name, attrs, expected, got: outputs.map((o) => o.data),
    inputs: inputs.map((input) => ({ ...place(input), data: input.data })),
    outputs: outputs.map((output) => {
      const over = inputs.findIndex(({ placed: p }) => p.buffer === output.placed.buffer && p.offset === output.placed.offset);
      return { ...place(output), ...(over >= 0 && { over }) };
    }),
  };
}

/** What values are known to be, from when they are computed until the last op that reads them. */
class Values {
  readonly #known = new Map<Value, Float64Array>();
  readonly #readers = new Map<Value, number>();
  /** Nodes that a step computes; the others are views and concatenations, which cost nothing. */
  readonly #steps: ReadonlySet<Node>;

  constructor(nodes: readonly Node[]) {
    this.#steps = new Set(nodes);
    for (const node of topologicalOrder(nodes)) {
      for (const input of node.inputs) this.#readers.set(own(input), (this.#readers.get(own(input)) ?? 0) + 1);
    }
  }

  /** Undefined for variables and arguments that were not read before. */
  of(value: Value): Float64Array | undefined {
    const key = own(value);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { node } = value;
    if (isLeaf(node)) {
      if (node.source.kind === 'host') return Float64Array.from(node.source.data);
      if (node.source.kind === 'number') return Float64Array.of(isFloat(value.dtype) ? Math.fround(node.source.value) : node.source.value);
      return undefined;
    }
    if (this.#steps.has(node)) return undefined;
    const inputs = node.inputs.map((v): HostTensor | undefined => {
      const data = this.of(v);
      return data && { shape: v.shape, dtype: v.dtype, data };
    });
    if (!inputs.every((t) => t !== undefined)) return undefined;
    this.computed(node, (node.op as Op).reference!(inputs, node.attrs, node.outputs));
    return this.#known.get(key);
  }

  seen(value: Value, data: Float64Array): void {
    this.#known.set(own(value), data);
  }

  computed(node: Node, results: readonly Float64Array[]): void {
    node.outputs.forEach((value, i) => {
      if (this.#readers.has(own(value))) this.seen(value, results[i]);
    });
    for (const input of node.inputs) {
      const key = own(input);
      const left = this.#readers.get(key)! - 1;
      this.#readers.set(key, left);
      if (left === 0) this.#known.delete(key);
    }
  }
}

function own({ node, index }: Value): Value {
  return node.outputs[index];
}
