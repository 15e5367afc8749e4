/** oneHot: indices as rows of zeros with a one. */
import type { TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { elementwiseCost } from './support/cost.ts';
import { i32 } from './support/samples.ts';
import { checkDType, checkPositiveIntegers } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

type OneHotAttrs = { readonly depth: number };

export const oneHotOp: DifferentiableOp<OneHotAttrs> = defineOp<OneHotAttrs>({
  name: 'oneHot',
  inputs: ['indices'],
  infer([indices]: readonly TensorType[], { depth }) {
    checkDType('oneHot', 'indices', indices, 'int32');
    checkPositiveIntegers('oneHot', 'depth', [depth]);
    return [{ shape: [...indices.shape, depth], dtype: 'float32' }];
  },
  reference([indices]: readonly HostTensor[], { depth }, [out]) {
    const y = new Float64Array(sizeOf(out.shape));
    indices.data.forEach((index, row) => {
      if (index >= 0 && index < depth) y[row * depth + index] = 1;
    });
    return [y];
  },
  kernels: { cpu: cpu.oneHotLowering, webgpu: gpuMovement.oneHotLowering, cuda: cuda.oneHotLowering },
  cost: elementwiseCost(1),
  samples(): Sample<OneHotAttrs>[] {
    return [
      { inputs: [i32([], 3)], attrs: { depth: 3 } },
      { inputs: [i32([7], 5)], attrs: { depth: 5 } },
      { inputs: [i32([2, 3], 8)], attrs: { depth: 8 } },
      { inputs: [i32([9], 8, { low: -3 })], attrs: { depth: 4 }, note: 'out of range' },
    ];
  },
});

/** float32 [..., depth] with a 1 where the last index equals `indices`; zeros for an index outside of 0 to depth-1. */
export function oneHot(indices: TensorLike, depth: number): Tensor {
  return apply1(oneHotOp, [indices], { depth });
}
