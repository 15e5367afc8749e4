/** Short ways to write the inputs of samples. */
import type { Shape } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import type { HostTensor, SampleInput } from '../../graph/op.ts';

type Extra = Omit<SampleInput, 'shape' | 'dtype'>;

export function f32(shape: Shape, extra: Extra = {}): SampleInput {
  return { shape, dtype: 'float32', ...extra };
}

/** An input without a gradient: statistics, masks, weights. */
export function fixed(shape: Shape, extra: Extra = {}): SampleInput {
  return { shape, dtype: 'float32', differentiable: false, ...extra };
}

/** Integers from 0 to high - 1. */
export function i32(shape: Shape, high: number, extra: Extra = {}): SampleInput {
  return { shape, dtype: 'int32', low: 0, high, differentiable: false, ...extra };
}

export function bool(shape: Shape): SampleInput {
  return { shape, dtype: 'bool', low: 0, high: 2, differentiable: false };
}

/** Fixed values in [-1, 1), exact in float32 and without order, for samples whose inputs depend on each other. */
export function scrambled(shape: Shape, seed = 1, levels = 1024): HostTensor {
  const data = new Float64Array(sizeOf(shape));
  let state = seed >>> 0;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = ((state >>> 16) % levels) / (levels / 2) - 1;
  }
  return { shape, dtype: 'float32', data };
}

/** A sample input that holds given values. */
export function given(t: HostTensor, differentiable = false): SampleInput {
  return { shape: t.shape, dtype: t.dtype, values: [...t.data], differentiable };
}
