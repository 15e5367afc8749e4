/** Values for problems: without order, equal in every run, and made fast. */
import { roundToHalf } from '../device/half.ts';
import type { HostData } from '../device/types.ts';
import { isHalfType, sizeOf } from '../device/types.ts';
import { getOp } from '../fovea.ts';
import { hostArray } from '../graph/leaves.ts';
import type { HostTensor } from '../graph/op.ts';
import type { KernelProblem } from './types.ts';

/** Numbers in [0, 1) of a linear congruential generator (Numerical Recipes' constants). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Values of all inputs of a problem. */
export function inputValues(problem: KernelProblem): HostData[] {
  const made: HostData[] = [];
  problem.inputs.forEach((input, position) => {
    if (input.values !== undefined) {
      made.push(input.values);
      return;
    }
    if (input.from !== undefined) {
      const x = problem.inputs[position - 1];
      made.push(Float32Array.from(getOp(input.from).reference!([hostTensor(x, made[position - 1])], problem.attrs, [input])[0]));
      return;
    }
    const random = generator(position + 1);
    const { low = -1, high = 1, dtype } = input;
    const out = hostArray(dtype, sizeOf(input.shape));
    const whole = dtype !== 'float32' && !isHalfType(dtype);
    for (let i = 0; i < out.length; i++) {
      const above = random() * (high - low);
      const value = low + (whole ? Math.floor(above) : above);
      out[i] = isHalfType(dtype) ? roundToHalf(value, dtype) : value;
    }
    made.push(out);
  });
  return made;
}

/** As the float64 references take them. */
export function hostTensor({ shape, dtype }: Pick<HostTensor, 'shape' | 'dtype'>, data: ArrayLike<number>): HostTensor {
  return { shape, dtype, data: Float64Array.from(data) };
}
