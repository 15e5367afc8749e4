import type { Shape, TensorType } from '../device/types.ts';
import type { Attrs } from '../graph/node.ts';
import { OptionError } from '../errors.ts';
import type { Parsed, Schema } from './attributes.ts';

/**
 * Where a layer's lowering puts ops: tensors, when a Symbol joins tensor code; types alone, when shapes are asked for.
 * A value of rank 4 lies NHWC (and a convolution weight KRSC) though the Symbol says NCHW (OIHW); other ranks lie as
 * they are. Both permutations are (0, 2, 3, 1).
 */
export interface Emitter<V> {
  /** True in a training step: batch statistics, dropout. */
  readonly training: boolean;
  /** An application of an op of the op table; its `infer` checks and gives the types. */
  emit(op: string, inputs: readonly V[], attrs: Attrs): V[];
  typeOf(value: V): TensorType;
  scalar(value: number): V;
  /** The same value, through which no gradient flows. */
  detach(value: V): V;
  /** Keeps a new moving statistic in the variable that `statistic` was read from. */
  update(statistic: V, value: V): void;
  /** Seed, step and sample ids of the random layers. */
  random(samples: number): { readonly seed: V; readonly step: V; readonly ids: V };
}

export interface LayerContext<S extends Schema> {
  /** The layer's name. */
  readonly name: string;
  readonly attributes: Parsed<S>;
  /** How many inputs the layer has, where their number is free. */
  readonly inputCount: number;
}

/** What a layer does for colours, summaries and freezing. */
export type OperatorKind =
  'convolution' | 'dense' | 'normalization' | 'activation' | 'pooling' | 'join' | 'shape' | 'arithmetic' | 'loss' | 'random';

/** One of MXNet's operators: what it takes, and which ops of the table it becomes. */
export interface Operator<S extends Schema = Schema> {
  /** MXNet's name, as written to files. */
  readonly name: string;
  /** Other names that files have for it. */
  readonly aliases?: readonly string[];
  readonly kind: OperatorKind;
  readonly schema: S;
  /** Inputs in order, for missing ones to be created as `LAYER_INPUT`. Free in number where absent. */
  inputs?(attributes: Parsed<S>): readonly string[];
  /** Those of them that are no learned arguments but states. */
  readonly auxiliary?: readonly string[];
  /** Names of the outputs one can use; default `output`. */
  outputs?(attributes: Parsed<S>): readonly string[];
  /** How many outputs MXNet counts, the hidden ones among them (`node_row_ptr` of its files). */
  outputCount?(attributes: Parsed<S>): number;
  /** Shapes (MXNet's axes) of inputs that follow from others; undefined where nothing follows. */
  completeShapes?(shapes: readonly (Shape | undefined)[], context: LayerContext<S>): readonly (Shape | undefined)[];
  /** Labels may be absent in inference: then the input is undefined. */
  readonly optionalInInference?: readonly string[];
  lower<V>(e: Emitter<V>, inputs: readonly V[], context: LayerContext<S>): V[];
}

/** Types an operator by its schema. */
export function defineOperator<S extends Schema>(operator: Operator<S>): Operator {
  return operator as unknown as Operator;
}

/** The permutation from MXNet's axes to those in memory, and back, by rank. */
export function toMemory(rank: number): readonly number[] {
  return rank === 4 ? [0, 2, 3, 1] : identity(rank);
}

export function toMXNetAxes(rank: number): readonly number[] {
  return rank === 4 ? [0, 3, 1, 2] : identity(rank);
}

/** Where an axis of MXNet's lies in memory. */
export function axisInMemory(axis: number, rank: number): number {
  return toMXNetAxes(rank)[axis];
}

export function shapeInMemory(shape: Shape): Shape {
  return toMemory(shape.length).map((axis) => shape[axis]);
}

export function shapeInMXNet(shape: Shape): Shape {
  return toMXNetAxes(shape.length).map((axis) => shape[axis]);
}

/**
 * An axis counted from the end where negative.
 *
 * @throws OptionError where there is no such axis
 */
export function resolveAxis(axis: number, rank: number, layer: string): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!(resolved >= 0 && resolved < rank)) {
    throw new OptionError(`layer "${layer}": axis ${axis} does not exist in a tensor of rank ${rank}`);
  }
  return resolved;
}

function identity(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => i);
}

/** Axes of length 1 may pass each other freely: false where a reshape says the same without moving a byte. */
function moves(shape: Shape, permutation: readonly number[]): boolean {
  const moving = permutation.filter((axis) => shape[axis] !== 1);
  return moving.some((axis, i) => i > 0 && axis < moving[i - 1]);
}

/** `transpose`, left out where it would move nothing. */
export function permuted<V>(e: Emitter<V>, value: V, permutation: readonly number[]): V {
  const { shape } = e.typeOf(value);
  if (!moves(shape, permutation)) return reshaped(e, value, permutation.map((axis) => shape[axis]));
  return e.emit('transpose', [value], { permutation: [...permutation] })[0];
}

/** The value with its axes in MXNet's order, for what depends on it (Flatten, Reshape). */
export function inMXNetOrder<V>(e: Emitter<V>, value: V): V {
  return permuted(e, value, toMXNetAxes(e.typeOf(value).shape.length));
}

/** The elements in MXNet's order, in another shape. */
export function reshapedInMXNetOrder<V>(e: Emitter<V>, value: V, shape: Shape): V {
  const old = e.typeOf(value).shape;
  return reshaped(e, moves(old, toMXNetAxes(old.length)) ? inMXNetOrder(e, value) : value, shape);
}

/** The opposite of `inMXNetOrder`. */
export function inMemoryOrder<V>(e: Emitter<V>, value: V): V {
  return permuted(e, value, toMemory(e.typeOf(value).shape.length));
}

export function reshaped<V>(e: Emitter<V>, value: V, shape: Shape): V {
  const old = e.typeOf(value).shape;
  if (old.length === shape.length && old.every((d, i) => d === shape[i])) return value;
  return e.emit('reshape', [value], { shape: [...shape] })[0];
}
