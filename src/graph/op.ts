import type { Lowerings, TensorType } from '../device/types.ts';
import { GraphError } from '../errors.ts';
import type { HalfUse } from './half.ts';
import type { Attrs, Node, Value } from './node.ts';

/** A tensor in the float64 reference: every dtype is held as doubles, row-major and contiguous. */
export interface HostTensor extends TensorType {
  readonly data: Float64Array;
}

/** Says that an output is no copy but a view of input 0, in the planned-value form (see `Placed`). */
export interface View {
  /** Where output 0 begins, counted in the input's rows and channels. */
  readonly row: number;
  readonly channel: number;
  /**
   * False or absent: the rows of the output are as far apart as those of the input (slices of rows or channels).
   * True: the input is contiguous and the output's own last axis sets the stride (reshape, a piece of a flat vector).
   */
  readonly contiguous?: boolean;
}

/** One set of inputs on which the suite tries an op; shapes are chosen to hurt: odd sizes, 1, stride 2, padding. */
export interface Sample<A extends Attrs = Attrs> {
  readonly inputs: readonly SampleInput[];
  readonly attrs: A;
  readonly note?: string;
}

export interface SampleInput extends TensorType {
  /** Range of the random values; default [-1, 1]. Integers below `high` for int32. */
  readonly low?: number;
  readonly high?: number;
  /** Values to use in place of random ones. */
  readonly values?: readonly number[];
  /** Distinct values, at least `gap` apart, where the op has kinks or ties (max pooling, ReLU). */
  readonly distinct?: boolean;
  /** False for an input that has no gradient. */
  readonly differentiable?: boolean;
}

/**
 * Everything the engine knows of an op; one file each under ops/.
 * The gradient is added by tensor/ (`DifferentiableOp`), because it is written with tensors.
 */
export interface Op<A extends Attrs = any> {
  readonly name: string;
  /** Names of the inputs, used in messages; the last may end in `...` when it repeats, in `?` when it may be left out. */
  readonly inputs: readonly string[];
  /** Shapes and dtypes of the outputs. Throws ShapeError or DTypeError that name the op and the inputs with their shapes. */
  infer(inputs: readonly TensorType[], attrs: A): TensorType[];
  /** The plainest float64 implementation: what every device is checked against. Absent on leaves only. */
  reference?(inputs: readonly HostTensor[], attrs: A, outputs: readonly TensorType[]): Float64Array[];
  readonly kernels?: Lowerings<A>;
  /** Pairs [input, output] where the output may overwrite the input: element i depends on no other element of that input. */
  inPlace?(attrs: A): readonly (readonly [number, number])[];
  /** Pairs [input, output] that must share memory: updates of variables. A copy is made where the input is still needed. */
  updates?(attrs: A): readonly (readonly [number, number])[];
  /** The view of input 0 that output 0 is, given how it lies; undefined when it must be copied. */
  view?(input: { readonly shape: TensorType['shape']; readonly contiguous: boolean }, attrs: A): View | undefined;
  /**
   * The plan computes output 0 by placing or copying the inputs, so the op needs no kernels: side by side along `attrs.axis`
   * (`axis`; free on the last axis), or raveled, each from element `attrs.starts[i]` of a vector (`flat`; free).
   */
  readonly concatenates?: 'axis' | 'flat';
  /**
   * Output 0 is input 0 summed over the ranks of the Program's group, by the host between two segments; the kernels are those of a
   * group of one.
   */
  readonly exchanges?: true;
  /** Inputs that kernels need contiguous; the plan copies those that are not. Default: none. */
  readonly contiguousInputs?: 'all' | readonly number[];
  /**
   * Output 0 takes one pass over memory, or little more, to compute again with equal bits: by the op itself (`true`), or by another
   * that uses what is known by then. Compiled with `recompute`, such values need not be kept.
   */
  readonly recompute?: true | ((node: Node) => { readonly op: string; readonly attrs: Attrs; readonly inputs: readonly Value[] });
  /** Outputs that must be contiguous (stride = channels); default: none. */
  readonly contiguousOutputs?: 'all' | readonly number[];
  /**
   * How `mixed` treats it (graph/mixed.ts): `matrix` is given halves, `normalize` may be given and may give it, `follow` takes its
   * inputs' type, `keep` is given float32 unless its input may be either. Default keep.
   */
  readonly precision?: 'matrix' | 'normalize' | 'follow' | 'keep';
  /** Which inputs and outputs may be float16 or bfloat16; absent: none. Cpu kernels need not know: that device has neither. */
  readonly half?: HalfUse;
  /** Terms summed for one output element, for the tolerance rule; default 1. */
  reductionLength?(inputs: readonly TensorType[], attrs: A): number;
  /**
   * Summed magnitudes of the terms of each output element, which rounding errors are measured against. Default: the reference of
   * the inputs' absolute values where `reductionLength` is given (ops linear in each input), else the size of the result.
   */
  magnitude?(inputs: readonly HostTensor[], attrs: A, outputs: readonly TensorType[]): Float64Array[];
  cost?(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A): { readonly flop: number; readonly bytes: number };
  /** Shapes for the one suite. */
  samples?(): Sample<A>[];
  /** Replaces a pattern that ends at an application of `anchor` by a fused kernel. */
  readonly rewrites?: readonly Rewrite[];
}

/** In their order. */
export const stages = ['fuse', 'epilogue', 'merge', 'gradient-prologue', 'prologue'] as const;
export type Stage = (typeof stages)[number];

/** A pattern of ops replaced by others. `match` looks at one node and its users and says what to put in place. */
export interface Rewrite {
  readonly name: string;
  readonly anchor: string;
  /**
   * `fuse` (the default) puts a fused kernel in the pattern's place; `merge` makes one op of several alike, once nothing fuses any more. Between
   * them comes `epilogue`, for kernels that work on a result as they store it, and last `gradient-prologue` and `prologue`, for those that work
   * on an operand as they read it: on devices alone that gain by them (graph/planned.ts).
   */
  readonly stage?: Stage;
  /** Keeps a small value for the backward pass in place of a large one; left out with `recompute`, which keeps neither. */
  readonly keeps?: true;
  match(node: Node, graph: RewriteGraph): readonly Replacement[] | undefined;
}

export interface RewriteGraph {
  /** Nodes that read output `index` of the node, within the program. */
  users(node: Node, index?: number): readonly Node[];
  /** Asked for by the caller (one output, or any of them), so it must exist as it is. */
  isRequested(node: Node, index?: number): boolean;
  /** Whether `node` can only be computed after one of `others`. */
  dependsOn(node: Node, others: readonly Node[]): boolean;
  /** The outputs of a new node, for replacements. */
  make(op: string, attrs: Attrs, inputs: readonly Value[]): readonly Value[];
}

/** The value, made by `RewriteGraph.make`, that stands in place of the node's output. */
export interface Replacement {
  readonly node: Node;
  readonly output: number;
  readonly by: Value;
}

const table = new Map<string, Op>();

/** Adds ops to the table; the same op twice is no error, another op under a taken name is. */
export function registerOps(ops: Iterable<Op>): void {
  for (const op of ops) {
    const old = table.get(op.name);
    if (old !== undefined && old !== op) throw new GraphError(`op "${op.name}" is registered already`);
    table.set(op.name, op);
  }
}

export function getOp(name: string): Op {
  const op = table.get(name);
  if (op === undefined) throw new GraphError(`no op named "${name}" is registered; import from 'fovea', or register it`);
  return op;
}

export function registeredOps(): readonly Op[] {
  return [...table.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
