/** Small helpers with which ops write their WebGPU launches. */
import type { DType, Placed, Scratch, WebgpuLaunch } from '../types.ts';
import { bytesPerElement, sizeOf } from '../types.ts';

/** Bindings start at multiples of this many bytes, whatever the adapter asks for, so that launches do not depend on it. */
export const BINDING_ALIGNMENT = 256;

/** Threads of a workgroup of the element-by-element kernels. */
export const WORKGROUP = 64;

/** Workgroups that a grid takes along each of its axes. */
export const MAX_GRID = 65535;

/** Where an axis is cut for that; a power of two keeps the division cheap. */
const MAX_GRID_X = 32768;

/** First byte and length of the range of its buffer that is bound for a value. */
export function boundRange(v: Placed | Scratch): { readonly start: number; readonly bytes: number } {
  if ('byteOffset' in v) return { start: v.byteOffset, bytes: v.bytes };
  const size = bytesPerElement[v.dtype];
  const start = Math.floor((v.offset * size) / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
  const elements = v.rows === 0 ? 0 : (v.rows - 1) * v.stride + v.channels;
  return { start, bytes: (v.offset + elements) * size - start };
}

/** Where a value's first element lies within what is bound of it, in elements: the offset that goes in the uniforms. */
export function boundOffset(v: Placed): number {
  return v.offset - boundRange(v).start / bytesPerElement[v.dtype];
}

/** A grid of workgroups for `threads` threads in workgroups of `size`, folded into two axes where one is not enough. */
export function linearGrid(threads: number, size = WORKGROUP): [number, number, number] {
  const groups = Math.max(1, Math.ceil(threads / size));
  if (groups <= MAX_GRID_X) return [groups, 1, 1];
  return [MAX_GRID_X, Math.ceil(groups / MAX_GRID_X), 1];
}

/**
 * The grid of a product of `x` by `y` tiles in each of `planes`. An axis that is too long for a grid is cut, and the cuts lie along z beyond
 * the planes, for shaders/unfold.wgsl; both would be too long only for results that no adapter binds.
 */
export function foldedGrid(x: number, y: number, planes: number): [number, number, number] {
  if (x > MAX_GRID) return [MAX_GRID_X, y, planes * Math.ceil(x / MAX_GRID_X)];
  if (y > MAX_GRID) return [x, MAX_GRID_X, planes * Math.ceil(y / MAX_GRID_X)];
  return [x, y, planes];
}

export function sameMemory(a: Placed, b: Placed): boolean {
  return a.buffer === b.buffer && a.offset === b.offset && a.stride === b.stride && a.channels === b.channels;
}

/** WGSL's type in which a float value is stored, as a scalar or four elements at a time. Kernels compute in f32 and vec4f. */
export function storageType({ dtype }: { readonly dtype: DType }, vector: boolean): string {
  if (dtype === 'float16') return vector ? 'vec4h' : 'f16';
  return vector ? 'vec4f' : 'f32';
}

/** The strides of a value's axes in elements, outermost first. */
export function axisStrides(v: Placed): number[] {
  const strides: number[] = new Array(v.shape.length).fill(0);
  let rows = v.stride;
  for (let d = v.shape.length - 2; d >= 0; d--) {
    strides[d] = rows;
    rows *= v.shape[d];
  }
  if (v.shape.length > 0) strides[v.shape.length - 1] = 1;
  return strides;
}

export const sizeOfPlaced = (v: Placed): number => sizeOf(v.shape);

/** Texels in a row of the textures that values are read through, as many as any adapter takes; shaders/texel.wgsl has it too. */
export const TEXTURE_WIDTH = 4096;

/** What a software adapter copies into a texture at a time, unless what is needed at once is more. */
export const TEXTURE_BYTES = 6 << 20;

/** How a software adapter reads operands: vectors of float32 through textures, which are such, anything else from its buffer. */
export function loadOf(vector: boolean, ...operands: readonly Placed[]): typeof read {
  return vector && operands.every(({ dtype }) => dtype === 'float32') ? texture : read;
}

/** Rows `first` to `first + count` of a value. */
export function rowsOf(v: Placed, first: number, count: number): Placed {
  return { ...v, shape: [count, v.channels], rows: count, offset: v.offset + first * v.stride };
}

/** Images `first` to `first + count` of a value. */
export function images(v: Placed, first: number, count: number): Placed {
  const rows = v.rows / v.shape[0];
  return { ...v, shape: [count, ...v.shape.slice(1)], rows: count * rows, offset: v.offset + first * rows * v.stride };
}

export const texture = (value: Placed | Scratch): WebgpuLaunch['bindings'][number] => ({ value, access: 'texture' });
export const read = (value: Placed | Scratch): WebgpuLaunch['bindings'][number] => ({ value, access: 'read' });
export const write = (value: Placed | Scratch): WebgpuLaunch['bindings'][number] => ({ value, access: 'write' });
export const readWrite = (value: Placed | Scratch): WebgpuLaunch['bindings'][number] => ({ value, access: 'read-write' });
export const f32 = (value: number): { readonly f32: number } => ({ f32: value });
