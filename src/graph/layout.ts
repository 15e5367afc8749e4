/** Where values lie: stretches of memory, and rows within them. */
import type { DType, Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { Leaf } from './leaves.ts';
import type { Value } from './node.ts';
import type { VariableCell } from './variable-cell.ts';

/** A stretch of memory that one or several values share. */
export class Root {
  readonly bytes: number;
  readonly pinned: Pinned | undefined;
  /** Steps between which the memory is in use. */
  first = Infinity;
  last = -1;
  /** Set by allocation, for roots that are not pinned. */
  slot = 0;
  byteOffset = 0;

  constructor(bytes: number, pinned?: Pinned) {
    this.bytes = bytes;
    this.pinned = pinned;
  }

  touch(step: number): void {
    this.first = Math.min(this.first, step);
    this.last = Math.max(this.last, step);
  }
}

/** Memory outside the arena: state, inputs and asked-for outputs. */
export type Pinned =
  | { readonly kind: 'variable'; readonly cell: VariableCell }
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'output'; readonly position: number }
  /** A flat gradient arena: lasts as long as the program, zero where nothing is written. */
  | { readonly kind: 'flat' };

/** Where a value lies within its root; counts are in elements. */
export interface Layout extends TensorType {
  readonly root: Root;
  readonly offset: number;
  readonly rows: number;
  readonly channels: number;
  readonly stride: number;
}

export function rowsAndChannels(shape: Shape): { rows: number; channels: number } {
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  return { rows: channels === 0 ? 0 : sizeOf(shape) / channels, channels };
}

export function isContiguousLayout(layout: Layout): boolean {
  return layout.stride === layout.channels || layout.rows <= 1;
}

/** A kernel that works in place sees the memory as one type. */
export function storedAlike(a: DType, b: DType): boolean {
  const stored = (dtype: DType): DType => (dtype === 'bool' ? 'float32' : dtype);
  return stored(a) === stored(b);
}

export function sameLayout(a: Layout, b: Layout): boolean {
  return a.root === b.root && a.offset === b.offset && a.stride === b.stride && a.channels === b.channels;
}

/** The part of a concatenation, which lies as `parent` says, that belongs to its input `position`, a value of this type. */
export function partOf(parent: Layout, { shape, dtype }: TensorType, concat: Value, position: number): Layout {
  const { attrs, inputs } = concat.node;
  if (concat.node.op.concatenates === 'flat') {
    const offset = parent.offset + (attrs.starts as number[])[position];
    const { rows, channels } = rowsAndChannels(shape);
    return { root: parent.root, offset, rows, channels, stride: channels, shape, dtype };
  }
  const axis = attrs.axis as number;
  const inner = (s: Shape): number => sizeOf(s.slice(axis));
  let before = 0;
  for (let i = 0; i < position; i++) before += inner(inputs[i].shape);
  const last = axis === shape.length - 1;
  const stride = last ? parent.stride : inner(concat.shape);
  const rows = sizeOf(shape.slice(0, axis));
  return { root: parent.root, offset: parent.offset + before, rows, channels: inner(shape), stride, shape, dtype };
}
