import { fromHalfBits, toHalfBits } from '../device/half.ts';
import type { DType, HostData, Shape, TensorType } from '../device/types.ts';
import { isHalfType } from '../device/types.ts';
import { Node, Value } from './node.ts';
import type { Op } from './op.ts';
import type { VariableCell } from './variable-cell.ts';
import type { ProgramOutput } from './program.ts';

/** Where the bytes of a leaf come from. */
export type LeafSource =
  /**
   * Data on the host. `cut` is set when an evaluation left it in place of a computed value, `version` (the id of a cell) when it
   * is an earlier version of a variable.
   */
  | { readonly kind: 'host'; readonly data: HostData; readonly cut?: Cut; readonly version?: number }
  /** A number in the caller's code: a constant of a compiled function, a scalar input of an uncompiled one. */
  | { readonly kind: 'number'; readonly value: number }
  /** An argument of a function being traced. */
  | { readonly kind: 'argument'; readonly position: number }
  /** A version of a variable. */
  | { readonly kind: 'variable'; readonly cell: VariableCell; readonly version: number }
  /** What a compiled function returned, still on the device. */
  | { readonly kind: 'output'; readonly output: ProgramOutput };

/** What a value was before it was evaluated; `grad` uses it to say why it cannot look behind. */
export interface Cut {
  readonly label: string;
  /** Ids of the variables that the value depended on. */
  readonly variables: ReadonlySet<number>;
}

const leafOp: Op = {
  name: 'leaf',
  inputs: [],
  infer: () => {
    throw new Error('leaves are not inferred');
  },
};

/** A node without inputs: host data, a number, an argument, a variable's version. */
export class Leaf extends Node {
  readonly source: LeafSource;

  constructor(source: LeafSource, type: TensorType) {
    super(leafOp, {}, [], [type]);
    this.source = source;
  }

  get value(): Value {
    return this.outputs[0];
  }

  override get label(): string {
    if (this.source.kind === 'variable') return this.source.cell.name;
    return `${this.source.kind}#${this.id}`;
  }
}

export function isLeaf(node: Node): node is Leaf {
  return node instanceof Leaf;
}

export function hostLeaf(data: HostData, shape: Shape, dtype: DType, past: { cut?: Cut; version?: number } = {}): Leaf {
  return new Leaf({ kind: 'host', data, ...past }, { shape, dtype });
}

export function numberLeaf(value: number, dtype: DType = 'float32'): Leaf {
  return new Leaf({ kind: 'number', value }, { shape: [], dtype });
}

/** A typed array of the class that `data()` gives for the dtype. */
export function hostArray<D extends DType>(dtype: D, length: number): HostData<D> {
  return (dtype === 'float32' || isHalfType(dtype) ? new Float32Array(length)
    : dtype === 'int32' ? new Int32Array(length)
    : new Uint8Array(length)) as HostData<D>;
}

/** Host data as the device stores it: booleans become float32, and halves get their own bits. */
export function toDeviceData(data: HostData, dtype: DType): ArrayBufferView {
  if (isHalfType(dtype)) return toHalfBits(data, dtype);
  return dtype === 'bool' ? Float32Array.from(data, (x) => (x === 0 ? 0 : 1)) : data;
}

/** Bytes as the device stores them, as `data()` hands them out. */
export function fromDeviceData(bytes: Uint8Array<ArrayBuffer>, dtype: DType): HostData {
  if (dtype === 'uint8') return bytes;
  if (dtype === 'int32') return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (isHalfType(dtype)) return fromHalfBits(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2), dtype);
  const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return dtype === 'bool' ? Uint8Array.from(floats) : floats;
}
