import type { DType, TensorType } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { GraphError } from '../errors.ts';
import type { Layout, Pinned } from './layout.ts';
import { Root, isContiguousLayout, partOf, rowsAndChannels, sameLayout, storedAlike } from './layout.ts';
import type { Leaf } from './leaves.ts';
import { isLeaf } from './leaves.ts';
import type { Node, Value } from './node.ts';
import type { Assignment, Schedule } from './order.ts';
import { updatedLeaf } from './order.ts';
import type { VariableCell } from './variable-cell.ts';

export type Step =
  | { readonly kind: 'op'; readonly node: Node; readonly inputs: readonly Layout[]; readonly outputs: readonly Layout[]; readonly scratch: readonly Root[] }
  | { readonly kind: 'copy'; readonly from: Layout; readonly to: Layout; readonly label: string };

export interface Plan {
  readonly steps: readonly Step[];
  readonly roots: readonly Root[];
  readonly outputs: readonly Layout[];
  readonly layouts: ReadonlyMap<Value, Layout>;
  /** What the temporaries would take if each had memory of its own. */
  readonly naiveBytes: number;
}

export interface PlanOptions {
  readonly arena: 'slab' | 'slots';
  scratch(node: Node): readonly number[];
  /** Ops without kernels are computed by their reference, which writes contiguous outputs. */
  runsOnHost(node: Node): boolean;
}

/** Decides for every value where it lies and for how long; which ops run in place, and what has to be copied. */
export function plan(
  schedule: Schedule, requested: readonly Value[], assignments: readonly Assignment[], options: PlanOptions,
): Plan {
  return new Planner(schedule, requested, assignments, options).run();
}

class Planner {
  readonly #schedule: Schedule;
  readonly #requested: readonly Value[];
  readonly #assignments: readonly Assignment[];
  readonly #options: PlanOptions;
  readonly #steps: Step[] = [];
  readonly #roots: Root[] = [];
  readonly #layouts = new Map<Value, Layout>();
  readonly #contiguous = new Map<Value, Layout>();
  /** Values that are written straight into a part of a concatenation. */
  readonly #members = new Map<Value, { concat: Value; position: number }>();
  /** Position in the schedule of the last node that reads the value; infinite for what outlives it. */
  readonly #lastUse = new Map<Value, number>();
  /** The variable to which alone a value is assigned. */
  readonly #targetOf = new Map<Value, VariableCell | undefined>();
  readonly #inRoot = new Map<Root, Value[]>();
  readonly #outputOf = new Map<Value, number[]>();

  constructor(schedule: Schedule, requested: readonly Value[], assignments: readonly Assignment[], options: PlanOptions) {
    this.#schedule = schedule;
    this.#requested = requested;
    this.#assignments = assignments;
    this.#options = options;
  }

  run(): Plan {
    const { order } = this.#schedule;
    order.forEach((node, i) => {
      for (const input of node.inputs) this.#lastUse.set(input, i);
    });
    for (const { cell, value } of this.#assignments) {
      this.#lastUse.set(value, Infinity);
      this.#targetOf.set(value, this.#targetOf.has(value) ? undefined : cell);
    }
    this.#requested.forEach((value, position) => {
      this.#outputOf.set(value, [...(this.#outputOf.get(value) ?? []), position]);
    });
    this.#chooseMembers();
    const outputs: Layout[] = [];
    order.forEach((node, i) => {
      if (isLeaf(node)) this.#placeLeaf(node);
      else this.#placeNode(node, i);
      for (const value of node.outputs) {
        for (const position of this.#outputOf.get(value) ?? []) outputs[position] = this.#placeOutput(value, position);
      }
    });
    this.#assign();
    this.#countLiveness();
    return { steps: this.#steps, roots: this.#roots, outputs, layouts: this.#layouts, naiveBytes: naiveBytes(this.#steps) };
  }

  /** Decides which inputs of concatenations are computed in place; outer concatenations first, so that nesting works. */
  #chooseMembers(): void {
    for (const node of [...this.#schedule.order].reverse()) {
      const kind = node.op.concatenates;
      if (kind === undefined) continue;
      const seen = new Set<Value>();
      node.inputs.forEach((value, position) => {
        const { op } = value.node;
        const { rows } = rowsAndChannels(value.shape);
        const strided = kind === 'axis' && rows > 1;
        const free = kind === 'flat' || node.attrs.axis === value.shape.length - 1 || rows <= 1;
        const innerAxis = op.concatenates === 'axis' && value.node.attrs.axis !== value.shape.length - 1;
        const refused = strided && (innerAxis || op.contiguousOutputs === 'all' || op.contiguousOutputs?.includes(value.index)
          || (op.concatenates === undefined && this.#options.runsOnHost(value.node)));
        if (isLeaf(value.node) || op.view || op.updates || refused || !free) return;
        if (seen.has(value) || this.#members.has(value) || this.#outputOf.has(value)) return;
        seen.add(value);
        this.#members.set(value, { concat: node.outputs[0], position });
      });
    }
  }

  #placeLeaf(leaf: Leaf): void {
    const pinned: Pinned = leaf.source.kind === 'variable' ? { kind: 'variable', cell: leaf.source.cell } : { kind: 'leaf', leaf };
    this.#put(leaf.value, this.#fresh(leaf.value, pinned));
  }

  #placeNode(node: Node, position: number): void {
    if (node.op.concatenates !== undefined) return this.#concatenate(node);
    const view = this.#viewOf(node);
    if (view !== undefined) return this.#put(node.outputs[0], view);

    const inputs = node.inputs.map((value, i) => {
      const needs = node.op.contiguousInputs;
      return needs === 'all' || needs?.includes(i) ? this.#makeContiguous(value) : this.#layout(value);
    });
    const updates = node.op.updates?.(node.attrs) ?? [];
    node.outputs.forEach((value, index) => {
      const update = updates.find(([, output]) => output === index);
      if (update !== undefined) {
        const place = this.#updatePlace(node, update[0], value, position, inputs[update[0]]);
        inputs[update[0]] = place;
        this.#put(value, { ...place, shape: value.shape, dtype: value.dtype });
        return;
      }
      this.#put(value, this.#memberPlace(value, inputs) ?? this.#outputPlace(value)
        ?? this.#inPlace(node, index, position, inputs) ?? this.#fresh(value));
    });
    const scratch = this.#options.scratch(node).map((bytes) => this.#newRoot(bytes));
    this.#steps.push({ kind: 'op', node, inputs, outputs: node.outputs.map((v) => this.#layout(v)), scratch });
  }

  #viewOf(node: Node): Layout | undefined {
    if (!node.op.view) return undefined;
    const input = this.#layout(node.inputs[0]);
    const contiguous = isContiguousLayout(input);
    const view = node.op.view({ shape: input.shape, contiguous }, node.attrs);
    if (view === undefined || (view.contiguous && !contiguous)) return undefined;
    const { shape, dtype } = node.outputs[0];
    const { rows, channels } = rowsAndChannels(shape);
    const offset = input.offset + view.row * input.stride + view.channel;
    return { root: input.root, offset, rows, channels, stride: view.contiguous ? channels : input.stride, shape, dtype };
  }

  /** In the variable itself or in a temporary nobody needs any more; else in a copy of the input. */
  #updatePlace(node: Node, input: number, output: Value, position: number, layout: Layout): Layout {
    const source = node.inputs[input];
    const { pinned } = layout.root;
    if (pinned?.kind === 'variable' && this.#schedule.inPlaceUpdates.has(node)) {
      const target = this.#assignments.find((a) => a.value === output);
      if (target && updatedLeaf(output, target.cell) === source.node) return layout;
    }
    if (pinned === undefined && this.#isDead(layout.root, position)) return layout;
    const place = this.#fresh(source);
    this.#copy(layout, place, `${node.label} keeps ${source.node.label}`);
    return place;
  }

  #memberPlace(value: Value, inputs: readonly Layout[]): Layout | undefined {
    const member = this.#members.get(value);
    if (member === undefined) return undefined;
    const place = this.#partOf(value, member.concat, member.position);
    const conflict = this.#options.arena === 'slots' && inputs.some((input) => input.root === place.root);
    return conflict ? undefined : place;
  }

  #outputPlace(value: Value): Layout | undefined {
    const positions = this.#outputOf.get(value);
    return positions && this.#fresh(value, { kind: 'output', position: positions[0] });
  }

  /**
   * In memory that an input needs no more. A variable's may be taken by what is assigned to it alone: moving statistics are averaged where
   * they lie.
   */
  #inPlace(node: Node, index: number, position: number, inputs: readonly Layout[]): Layout | undefined {
    const output = node.outputs[index];
    const target = this.#targetOf.get(output);
    const isFree = ({ root, offset }: Layout): boolean => root.pinned === undefined
      || (root.pinned.kind === 'variable' && offset === 0 && root.pinned.cell === target);
    const pairs = (node.op.inPlace?.(node.attrs) ?? []).filter(([, out]) => out === index);
    const isVariable = ([input]: readonly [number, number]): boolean => inputs[input].root.pinned !== undefined;
    for (const [input] of [...pairs.filter(isVariable), ...pairs.filter((pair) => !isVariable(pair))]) {
      const layout = inputs[input];
      const source = node.inputs[input];
      const same = sizeOf(source.shape) === sizeOf(output.shape) && layout.channels === rowsAndChannels(output.shape).channels
        && storedAlike(source.dtype, output.dtype);
      const taken = node.outputs.some((v) => v !== output && this.#layouts.get(v)?.root === layout.root);
      const shared = inputs.some((other, i) => i !== input && other.root === layout.root && !sameLayout(other, layout));
      if (!same || taken || shared || !isFree(layout) || !this.#isDead(layout.root, position)) continue;
      return { ...layout, shape: output.shape, dtype: output.dtype };
    }
    return undefined;
  }

  /** Nothing in the root is read after the step at `position`. */
  #isDead(root: Root, position: number): boolean {
    return (this.#inRoot.get(root) ?? []).every((v) => !this.#outputOf.has(v) && (this.#lastUse.get(v) ?? -1) <= position);
  }

  #concatenate(node: Node): void {
    const output = node.outputs[0];
    node.inputs.forEach((value, position) => {
      const place = this.#layouts.get(value)!;
      const part = this.#partOf(value, output, position);
      if (sameLayout(place, part)) return;
      // Along an inner axis a part is rows of several of the member's rows: the copy takes both as the same matrix.
      const from = part.channels === place.channels ? place : this.#makeContiguous(value);
      const matrix = part.channels === place.channels ? from : { ...from, rows: part.rows, channels: part.channels, stride: part.channels };
      this.#copy(matrix, part, node.label);
    });
    this.#layout(output);
  }

  /** The part of a concatenation that belongs to its input `position`. */
  #partOf(value: Value, concat: Value, position: number): Layout {
    return partOf(this.#concatLayout(concat), value, concat, position);
  }

  /** Places a concatenation when its first member is placed: in an outer one, in an output, or on its own. */
  #concatLayout(concat: Value): Layout {
    const known = this.#layouts.get(concat);
    if (known) return known;
    const member = this.#members.get(concat);
    const flat = concat.node.op.concatenates === 'flat' && concat.node.attrs.persistent === true;
    const layout = member ? this.#partOf(concat, member.concat, member.position)
      : this.#outputPlace(concat) ?? this.#fresh(concat, flat ? { kind: 'flat' } : undefined);
    this.#put(concat, layout);
    return layout;
  }

  /** An asked-for value has memory of its own, contiguous. */
  #placeOutput(value: Value, position: number): Layout {
    const layout = this.#layout(value);
    if (layout.root.pinned?.kind === 'output' && layout.root.pinned.position === position && isContiguousLayout(layout)) return layout;
    const place = this.#fresh(value, { kind: 'output', position });
    this.#copy(layout, place, `output ${position}`);
    return place;
  }

  /** Copies assigned values into their variables; those that are variables' old versions first aside, so that a swap works. */
  #assign(): void {
    const written = new Set(this.#assignments.map((a) => a.cell));
    const moves: [Layout, VariableCell][] = [];
    for (const { cell, value } of this.#assignments) {
      let layout = this.#layout(value);
      const { pinned } = layout.root;
      if (pinned?.kind === 'variable') {
        if (pinned.cell === cell && layout.offset === 0) continue;
        if (written.has(pinned.cell)) {
          const aside = this.#fresh(value);
          this.#copy(layout, aside, `assign ${cell.name}`);
          layout = aside;
        }
      }
      moves.push([layout, cell]);
    }
    for (const [layout, cell] of moves) {
      const place = this.#fresh(cell, { kind: 'variable', cell });
      this.#copy(layout, place, `assign ${cell.name}`);
    }
  }

  #makeContiguous(value: Value): Layout {
    const layout = this.#layout(value);
    if (isContiguousLayout(layout)) return layout;
    const known = this.#contiguous.get(value);
    if (known) return known;
    const place = this.#fresh(value);
    this.#copy(layout, place, `contiguous ${value.node.label}`);
    this.#contiguous.set(value, place);
    this.#inRoot.set(place.root, [value]);
    return place;
  }

  #copy(from: Layout, to: Layout, label: string): void {
    if (from.rows * from.channels === 0) return;
    if (from.root === to.root && this.#options.arena === 'slots') {
      const aside: Layout = { ...this.#fresh(from), rows: from.rows, channels: from.channels, stride: from.channels };
      this.#steps.push({ kind: 'copy', from, to: aside, label });
      this.#steps.push({ kind: 'copy', from: aside, to, label });
      return;
    }
    this.#steps.push({ kind: 'copy', from, to, label });
  }

  #layout(value: Value): Layout {
    const layout = this.#layouts.get(value);
    if (layout) return layout;
    if (value.node.op.concatenates !== undefined) return this.#concatLayout(value);
    throw new GraphError(`${value.node.label} is read before it is placed`);
  }

  #put(value: Value, layout: Layout): void {
    this.#layouts.set(value, layout);
    const list = this.#inRoot.get(layout.root);
    if (list) list.push(value);
    else this.#inRoot.set(layout.root, [value]);
  }

  #fresh(type: TensorType, pinned?: Pinned): Layout {
    const { shape, dtype } = type;
    const { rows, channels } = rowsAndChannels(shape);
    const root = this.#newRoot(sizeOf(shape) * bytesPerElement[dtype as DType], pinned);
    return { root, offset: 0, rows, channels, stride: channels, shape, dtype };
  }

  #newRoot(bytes: number, pinned?: Pinned): Root {
    const root = new Root(bytes, pinned);
    this.#roots.push(root);
    return root;
  }

  #countLiveness(): void {
    this.#steps.forEach((step, i) => {
      if (step.kind === 'copy') {
        step.from.root.touch(i);
        step.to.root.touch(i);
        return;
      }
      for (const layout of [...step.inputs, ...step.outputs]) layout.root.touch(i);
      for (const root of step.scratch) root.touch(i);
    });
  }
}

/** What the temporaries would take if every result had memory of its own. */
function naiveBytes(steps: readonly Step[]): number {
  let bytes = 0;
  const add = (layout: Layout): void => {
    if (layout.root.pinned === undefined) bytes += sizeOf(layout.shape) * bytesPerElement[layout.dtype];
  };
  for (const step of steps) {
    if (step.kind === 'copy') {
      add(step.to);
      continue;
    }
    step.outputs.forEach(add);
    for (const root of step.scratch) bytes += root.bytes;
  }
  return bytes;
}
