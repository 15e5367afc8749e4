/** Small helpers with which ops write their CUDA launches. */
import type { CudaArg, DType, Placed, Scratch } from '../types.ts';
import { isVectorizable } from '../types.ts';

/** Threads of a block of the element-by-element kernels. */
export const BLOCK = 256;

/** A grid of blocks for `threads` threads in blocks of `size`; CUDA's x axis takes 2^31 - 1 of them. */
export function linearGrid(threads: number, size = BLOCK): [number, number, number] {
  return [Math.max(1, Math.ceil(threads / size)), 1, 1];
}

/** The type of kernels/cuda/lib/fovea.cuh in which elements of a dtype are stored; a bool is a float 0 or 1. */
const storage: Readonly<Record<DType, string>> = { float32: 'float', float16: 'Half', bfloat16: 'Bfloat16', int32: 'i32', uint8: 'u8', bool: 'float' };

export const storageType = ({ dtype }: { readonly dtype: DType }): string => storage[dtype];

/** Whether all values may be addressed `width` elements at a time. */
export const vectorizable = (values: readonly Placed[], width = 4): boolean => values.every((v) => isVectorizable(v, width));

export const at = (address: Placed | Scratch): CudaArg => ({ address });
export const f32 = (value: number): CudaArg => ({ f32: value });
