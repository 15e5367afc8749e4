import type { DType, HostData, Shape } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { DTypeError, GraphError, ShapeError } from '../errors.ts';
import { evaluate } from '../graph/evaluate.ts';
import { hostArray, hostLeaf, numberLeaf } from '../graph/leaves.ts';
import type { Attrs } from '../graph/node.ts';
import { Node, Value } from '../graph/node.ts';
import type { Op } from '../graph/op.ts';
import { getOp } from '../graph/op.ts';
import { callSite, currentLayer } from './site.ts';
import { activeTrace, refuseInTrace } from './trace.ts';

/** What ops take: a tensor, a variable (its current version is read), or a number. */
export type TensorLike = Tensor | Readable | number;

/** A variable, seen from here: something whose current value can be read. */
export interface Readable {
  readonly shape: Shape;
  readonly dtype: DType;
  currentValue(): Value;
}

export interface ReduceOptions {
  /** Keeps the reduced axes with length 1. Default false. */
  readonly keepDims?: boolean;
}

/**
 * A lazy array. An op on it checks shapes and dtypes at once and records a node; nothing is computed until `data()` asks, or a
 * compiled function runs. A tensor owns no device memory.
 */
export class Tensor<D extends DType = DType> {
  readonly value: Value;

  constructor(value: Value) {
    this.value = value;
    value.hold(this);
  }

  get shape(): Shape {
    return this.value.shape;
  }

  get dtype(): D {
    return this.value.dtype as D;
  }

  get rank(): number {
    return this.value.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return this.value.size;
  }

  currentValue(): Value {
    return this.value;
  }

  /**
   * Evaluates the tensor and copies it to the host, row-major. Afterwards the tensor holds its data alone: its history is cut, so
   * that a gradient has to be taken before.
   *
   * @throws GraphError inside a function that is being traced
   */
  data(): Promise<HostData<D>> {
    return data(this).then(([result]) => result as HostData<D>);
  }

  /** The one element of a tensor of size 1, as a number. */
  item(): Promise<number> {
    if (this.size !== 1) throw new ShapeError(`item: the tensor has shape [${this.shape}]; one element was expected`);
    return this.data().then(([x]) => x);
  }

  /** The same values, through which no gradient flows. */
  detach(): Tensor<D> {
    return one('detach', [this]) as Tensor<D>;
  }

  add(x: TensorLike): Tensor<D> { return one('add', [this, x]) as Tensor<D>; }
  sub(x: TensorLike): Tensor<D> { return one('subtract', [this, x]) as Tensor<D>; }
  mul(x: TensorLike): Tensor<D> { return one('multiply', [this, x]) as Tensor<D>; }
  div(x: TensorLike): Tensor<D> { return one('divide', [this, x]) as Tensor<D>; }
  pow(x: TensorLike): Tensor<D> { return one('pow', [this, x]) as Tensor<D>; }
  maximum(x: TensorLike): Tensor<D> { return one('maximum', [this, x]) as Tensor<D>; }
  minimum(x: TensorLike): Tensor<D> { return one('minimum', [this, x]) as Tensor<D>; }
  equal(x: TensorLike): Tensor<'bool'> { return one('equal', [this, x]) as Tensor<'bool'>; }
  notEqual(x: TensorLike): Tensor<'bool'> { return one('notEqual', [this, x]) as Tensor<'bool'>; }
  less(x: TensorLike): Tensor<'bool'> { return one('less', [this, x]) as Tensor<'bool'>; }
  lessEqual(x: TensorLike): Tensor<'bool'> { return one('lessEqual', [this, x]) as Tensor<'bool'>; }
  greater(x: TensorLike): Tensor<'bool'> { return one('greater', [this, x]) as Tensor<'bool'>; }
  greaterEqual(x: TensorLike): Tensor<'bool'> { return one('greaterEqual', [this, x]) as Tensor<'bool'>; }
  neg(): Tensor<D> { return one('neg', [this]) as Tensor<D>; }
  abs(): Tensor<D> { return one('abs', [this]) as Tensor<D>; }
  exp(): Tensor<D> { return one('exp', [this]) as Tensor<D>; }
  log(): Tensor<D> { return one('log', [this]) as Tensor<D>; }
  sqrt(): Tensor<D> { return one('sqrt', [this]) as Tensor<D>; }
  square(): Tensor<D> { return one('square', [this]) as Tensor<D>; }
  relu(): Tensor<D> { return one('relu', [this]) as Tensor<D>; }
  sigmoid(): Tensor<D> { return one('sigmoid', [this]) as Tensor<D>; }
  tanh(): Tensor<D> { return one('tanh', [this]) as Tensor<D>; }
  softplus(): Tensor<D> { return one('softplus', [this]) as Tensor<D>; }
  softmax(): Tensor<D> { return one('softmax', [this]) as Tensor<D>; }
  logSoftmax(): Tensor<D> { return one('logSoftmax', [this]) as Tensor<D>; }
  matmul(x: TensorLike): Tensor { return one('matmul', [this, x], { transposeA: false, transposeB: false }); }
  sum(axes?: number | readonly number[], options?: ReduceOptions): Tensor<D> { return this.#reduce('sum', axes, options); }
  mean(axes?: number | readonly number[], options?: ReduceOptions): Tensor<D> { return this.#reduce('mean', axes, options); }
  max(axes?: number | readonly number[], options?: ReduceOptions): Tensor<D> { return this.#reduce('max', axes, options); }
  min(axes?: number | readonly number[], options?: ReduceOptions): Tensor<D> { return this.#reduce('min', axes, options); }

  /** Another shape of the same size; one length may be -1 and follows from the others. */
  reshape(shape: Shape): Tensor<D> {
    const known = sizeOf(shape.filter((d) => d !== -1));
    const rest = known === 0 ? 0 : this.size / known;
    if (shape.includes(-1) && (shape.indexOf(-1) !== shape.lastIndexOf(-1) || !Number.isInteger(rest))) {
      throw new ShapeError(`reshape: x [${this.shape}] of ${this.size} elements does not fill shape [${shape}] with one length for -1`);
    }
    return one('reshape', [this], { shape: shape.map((d) => (d === -1 ? rest : d)) }) as Tensor<D>;
  }

  /** Axes in another order; default reversed. */
  transpose(permutation: readonly number[] = this.shape.map((_, i) => this.rank - 1 - i)): Tensor<D> {
    return one('transpose', [this], { permutation }) as Tensor<D>;
  }

  /** `size[i]` elements from `begin[i]` on along each axis; -1 takes the rest. */
  slice(begin: readonly number[], size: readonly number[]): Tensor<D> {
    return one('slice', [this], { begin, size: size.map((n, i) => (n === -1 ? this.shape[i] - begin[i] : n)) }) as Tensor<D>;
  }

  cast<E extends DType>(dtype: E): Tensor<E> {
    return one('cast', [this], { dtype }) as Tensor<E>;
  }

  /** Refuses `if (tensor > 0)` and the like, which would compare objects. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    refuseInTrace('a tensor is used as a number or condition');
    throw new GraphError('a tensor is used as a number or condition; await tensor.item() first');
  }

  toString(): string {
    return `Tensor ${this.dtype}[${this.shape}]`;
  }

  #reduce(op: string, axes: number | readonly number[] | undefined, { keepDims = false }: ReduceOptions = {}): Tensor<D> {
    const list = axes === undefined ? this.shape.map((_, i) => i) : typeof axes === 'number' ? [axes] : axes;
    const resolved = [...new Set(list.map((a) => (a < 0 ? a + this.rank : a)))].sort((a, b) => a - b);
    return one(op, [this], { axes: resolved, keepDims }) as Tensor<D>;
  }
}

function one(op: string, inputs: readonly TensorLike[], attrs: Attrs = {}): Tensor {
  return apply(getOp(op), inputs, attrs)[0];
}

/**
 * Records an application of an op.
 *
 * @throws ShapeError, DTypeError with the op's name and the inputs' shapes
 */
export function apply(op: Op, inputs: readonly TensorLike[], attrs: Attrs = {}): Tensor[] {
  inputs.forEach((x, i) => {
    if (typeof x === 'number' || typeof x?.currentValue === 'function') return;
    throw new DTypeError(`${op.name}: ${inputName(op, i)} is ${describe(x)}; a tensor was expected`);
  });
  const integers = inputs.some((x) => typeof x !== 'number' && x.dtype === 'int32')
    && inputs.every((x) => (typeof x === 'number' ? Number.isInteger(x) : x.dtype === 'int32'));
  const values = inputs.map((x) =>
    (typeof x === 'number' ? numberLeaf(x, integers ? 'int32' : 'float32').value : x.currentValue()));
  const origin = { site: activeTrace() === undefined ? undefined : callSite(), layer: currentLayer() };
  return new Node(op, attrs, values, op.infer(values, attrs), origin).outputs.map((v) => new Tensor(v));
}

/** `apply` for ops of one output. */
export function apply1(op: Op, inputs: readonly TensorLike[], attrs: Attrs = {}): Tensor {
  return apply(op, inputs, attrs)[0];
}

/** The tensor itself, the current version of a variable, or a constant scalar. */
export function toTensor(x: TensorLike): Tensor {
  if (x instanceof Tensor) return x;
  return new Tensor(typeof x === 'number' ? numberLeaf(x).value : x.currentValue());
}

function inputName(op: Op, i: number): string {
  return op.inputs[Math.min(i, op.inputs.length - 1)] ?? `input ${i}`;
}

function describe(x: unknown): string {
  return x === null ? 'null' : Array.isArray(x) ? 'an array (make it a tensor first)' : typeof x;
}

/**
 * Evaluates several tensors together, once, and copies them to the host. Their history is cut.
 *
 * @throws GraphError inside a function that is being traced
 */
export function data(...tensors: Tensor[]): Promise<HostData[]> {
  // Not an async function, so that inside a trace it throws at once and the trace ends there.
  refuseInTrace('data() is called');
  return evaluate(tensors.map((t) => t.value)).then((results) => results.map((r) => r.slice()));
}

type Nested = number | readonly Nested[];

/**
 * A tensor of host data: a number, nested arrays, or a flat (typed) array with a shape. The data are copied.
 *
 * @throws ShapeError when the length does not fit the shape, or nested arrays are ragged
 */
export function tensor<D extends DType = 'float32'>(values: Nested | ArrayLike<number>, shape?: Shape, dtype?: D): Tensor<D> {
  const type = dtype ?? (inferDType(values) as D);
  const flat = ArrayBuffer.isView(values) ? (values as unknown as ArrayLike<number>) : flatten(values as Nested);
  const full = shape ?? (ArrayBuffer.isView(values) ? [flat.length] : shapeOf(values as Nested));
  if (flat.length !== sizeOf(full)) {
    throw new ShapeError(`tensor: ${flat.length} values do not fill shape [${full}] (${sizeOf(full)} elements)`);
  }
  const copy = hostArray(type, flat.length);
  for (let i = 0; i < flat.length; i++) copy[i] = type === 'bool' ? (flat[i] ? 1 : 0) : flat[i];
  return new Tensor<D>(hostLeaf(copy, full, type).value);
}

/** A tensor over a typed array that is not copied: whoever passes it must not change it while the tensor is in use. */
export function wrap<D extends DType>(values: HostData<D>, shape: Shape, dtype: D): Tensor<D> {
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(`wrap: ${values.length} values do not fill shape [${shape}] (${sizeOf(shape)} elements)`);
  }
  return new Tensor<D>(hostLeaf(values, shape, dtype).value);
}

/** All elements 0. */
export function zeros(shape: Shape): Tensor<'float32'> {
  return full(shape, 0);
}

/** All elements 1. */
export function ones(shape: Shape): Tensor<'float32'> {
  return full(shape, 1);
}

/** All elements `value`. */
export function full(shape: Shape, value: number): Tensor<'float32'> {
  return wrap(new Float32Array(sizeOf(shape)).fill(value), shape, 'float32');
}

function inferDType(values: Nested | ArrayLike<number>): DType {
  return values instanceof Int32Array ? 'int32' : values instanceof Uint8Array || values instanceof Uint8ClampedArray ? 'uint8' : 'float32';
}

function flatten(values: Nested): number[] {
  if (typeof values === 'number') return [values];
  if (!Array.isArray(values)) throw new DTypeError(`tensor: ${describe(values)} stands where a number was expected`);
  return (values as readonly Nested[]).flatMap((v) => flatten(v));
}

function shapeOf(values: Nested): number[] {
  if (typeof values === 'number') return [];
  if (values.length === 0) return [0];
  const inner = values.map(shapeOf);
  if (inner.some((s) => s.join() !== inner[0].join())) throw new ShapeError(`tensor: nested arrays of shapes [${inner[0]}] and others are mixed`);
  return [values.length, ...inner[0]];
}
