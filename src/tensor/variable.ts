import type { DType, Device, HostData, Shape } from '../device/types.ts';
import { isHalfType, sizeOf } from '../device/types.ts';
import { DTypeError, GraphError, ShapeError } from '../errors.ts';
import { evaluateNow, exclusively, settle, settleNow } from '../graph/evaluate.ts';
import { hostArray } from '../graph/leaves.ts';
import type { Value } from '../graph/node.ts';
import { getOp } from '../graph/op.ts';
import { VariableCell } from '../graph/variable-cell.ts';
import type { TensorLike } from './tensor.ts';
import { Tensor, apply1 } from './tensor.ts';
import { activeTrace, refuseInTrace } from './trace.ts';

export interface VariableOptions {
  /** For messages, checkpoints and random keys. Default `variable`. */
  readonly name?: string;
  /** Where it lives; default: the device that first evaluates it. */
  readonly device?: Device;
  /** False for state that optimizers leave alone. Default true. */
  readonly trainable?: boolean;
}

/** A variable's place in a flat one. */
interface Part {
  readonly flat: Variable;
  readonly start: number;
}

/**
 * State: parameters, moving statistics, moments, counters. Reading records the version current at that moment; `assign` makes the
 * next version, which the evaluation that first touches the variable computes and stores.
 */
export class Variable<D extends DType = DType> {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: D;
  readonly trainable: boolean;
  #cell: VariableCell | undefined;
  #part: Part | undefined;
  /** The view of the flat variable's value that was handed out last: equal versions read as the same value. */
  #view: { of: Value; value: Value } | undefined;

  constructor(values: HostData<D>, shape: Shape, dtype: D, { name = 'variable', device, trainable = true }: VariableOptions = {}) {
    if (values.length !== sizeOf(shape)) {
      throw new ShapeError(`variable "${name}": ${values.length} values do not fill shape [${shape}]`);
    }
    if (isHalfType(dtype)) throw new DTypeError(`variable "${name}" is ${dtype}; variables are float32 also where steps are mixed`);
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
    this.trainable = trainable;
    this.#cell = new VariableCell(name, shape, dtype, values, device);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get device(): Device | undefined {
    return this.cell.device;
  }

  /** The state itself, or that of the flat variable of which this is a part. */
  get cell(): VariableCell {
    return this.#cell ?? this.#part!.flat.cell;
  }

  currentValue(): Value {
    return this.#valueOf((cell) => activeTrace()?.read(cell) ?? cell.current);
  }

  /** The value with respect to which `grad` differentiates: inside a trace, the version with which it began. */
  gradientTarget(): Value {
    return this.#valueOf((cell) => activeTrace()?.start(cell) ?? cell.current);
  }

  /** The version that is current now; later assignments do not change what was read. */
  read(): Tensor<D> {
    return new Tensor<D>(this.currentValue());
  }

  /**
   * Records the next version. Nothing runs yet: the first evaluation that touches the variable computes and stores it.
   *
   * @throws ShapeError, DTypeError when the value does not fit
   */
  assign(x: TensorLike): void {
    this.cell.assertAlive();
    let next = typeof x === 'number' ? apply1(getOp('broadcastTo'), [x], { shape: this.shape }).value : x.currentValue();
    if (next.shape.join() !== this.shape.join()) {
      throw new ShapeError(`assign: variable "${this.name}" has shape [${this.shape}], the value [${next.shape}]`);
    }
    if (next.dtype !== this.dtype) {
      throw new DTypeError(`assign: variable "${this.name}" is ${this.dtype}, the value ${next.dtype}`);
    }
    if (this.#part) {
      const { flat, start } = this.#part;
      next = apply1(getOp('assignFlat'), [flat, new Tensor(next)], { start }).value;
    }
    const { cell } = this;
    const trace = activeTrace();
    if (trace) trace.assign(cell, next);
    else cell.assign(next);
  }

  /** Runs what is pending and copies the value to the host. What is assigned after the call is not seen. */
  data(): Promise<HostData<D>> {
    refuseInTrace(`data() of variable "${this.name}" is called`);
    const { cell } = this;
    const { assignments } = cell;
    const asked = this.read();
    return exclusively(async () => {
      if (cell.assignments === assignments) await settleNow([cell]);
      const same = cell.assignments === assignments;
      const values = same ? await cell.read(this.#part?.start ?? 0, this.size) : (await evaluateNow([asked.value]))[0].slice();
      return values as HostData<D>;
    });
  }

  /** Replaces the value from the host, after what is pending has run. */
  set(values: HostData<D>): Promise<void> {
    refuseInTrace(`set() of variable "${this.name}" is called`);
    if (values.length !== this.size) {
      throw new ShapeError(`set: variable "${this.name}" has ${this.size} elements, the values ${values.length}`);
    }
    return exclusively(async () => {
      const { cell } = this;
      await settleNow([cell]);
      while (cell.hasReaders) cell.preserve(await cell.read());
      cell.write(values, this.#part?.start ?? 0);
    });
  }

  /** Makes this variable a part of a flat one, which holds its value from now on. */
  moveInto(flat: Variable, start: number): void {
    if (this.#cell === undefined) throw new GraphError(`variable "${this.name}" is packed already`);
    this.#cell.moveInto(flat.cell, start);
    this.#cell = undefined;
    this.#part = { flat, start };
  }

  /** Frees the device memory. A part of a flat variable is freed with it. */
  dispose(): void {
    this.#cell?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Variable ${this.name} ${this.dtype}[${this.shape}]`;
  }

  #valueOf(read: (cell: VariableCell) => Value): Value {
    this.cell.assertAlive();
    const value = read(this.cell);
    if (this.#part === undefined) return value;
    if (this.#view?.of !== value) {
      const view = apply1(getOp('sliceFlat'), [new Tensor(value)], { start: this.#part.start, shape: this.shape });
      this.#view = { of: value, value: view.value };
    }
    return this.#view.value;
  }
}

/** A variable that starts with the given values: a flat array with a shape, or a number that fills it. */
export function variable<D extends DType = 'float32'>(
  values: ArrayLike<number> | number, shape: Shape, options: VariableOptions & { readonly dtype?: D } = {},
): Variable<D> {
  const dtype = options.dtype ?? ('float32' as D);
  const start = hostArray(dtype, sizeOf(shape));
  if (typeof values === 'number') start.fill(values);
  else if (values.length === start.length) start.set(values);
  else throw new ShapeError(`variable "${options.name ?? 'variable'}": ${values.length} values do not fill shape [${shape}]`);
  return new Variable<D>(start, shape, dtype, options);
}

/** A variable that holds the value of a tensor: the way to keep a computed value on the device. */
export function keep(t: Tensor, options: VariableOptions = {}): Variable {
  const made = new Variable(hostArray(t.dtype, t.size), t.shape, t.dtype, options);
  made.assign(t);
  return made;
}

/** Elements between the starts of parts are multiples of this, so that kernels may bind them as ranges (256 bytes). */
const partAlignment = 64;

/** Several float32 variables in one flat one, so that an update or a checkpoint is one pass over memory. */
export interface PackedVariables {
  readonly flat: Variable<'float32'>;
  readonly parts: readonly { readonly variable: Variable; readonly start: number; readonly size: number }[];
}

/**
 * Moves variables into one flat variable, of which they become parts; their names, shapes and values stay.
 *
 * @throws GraphError for a variable that is packed already or has an assignment pending; DTypeError when one is not float32
 */
export function packVariables(variables: readonly Variable[], { name = 'packed', device }: VariableOptions = {}): PackedVariables {
  let total = 0;
  const parts = variables.map((variable) => {
    if (variable.dtype !== 'float32') throw new DTypeError(`packVariables: "${variable.name}" is ${variable.dtype}; float32 was expected`);
    const start = total;
    total += Math.ceil(variable.size / partAlignment) * partAlignment;
    return { variable, start, size: variable.size };
  });
  const home = device ?? variables.find((v) => v.device)?.device;
  const flat = variable(0, [total], { name, device: home });
  for (const { variable: v, start } of parts) v.moveInto(flat, start);
  return { flat, parts };
}

/**
 * Undoes what the function being compiled has assigned to variables by now, where `condition` (bool scalar) does not hold when it runs.
 *
 * @throws GraphError outside of a compiled function
 */
export function undoUnless(condition: Tensor): void {
  const trace = activeTrace();
  if (trace === undefined) throw new GraphError('what was assigned can be undone inside a compiled function alone');
  for (const { cell, value } of trace.assignments) {
    const old = new Tensor(trace.start(cell));
    trace.assign(cell, apply1(getOp('where'), [condition, new Tensor(value), old]).value);
  }
}

/** Runs the assignments pending on the variables. */
export async function settleVariables(variables: readonly Variable[]): Promise<void> {
  await settle([...new Set(variables.map((v) => v.cell))]);
}
