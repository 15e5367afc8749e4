/** transpose: the axes in another order. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { elementwiseCost } from './support/cost.ts';
import { indexMap, take } from './support/permute.ts';
import { f32, i32 } from './support/samples.ts';
import { checkDType, named, shapeError } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

/** Axis i of the result is axis permutation[i] of the input. */
export type TransposeAttrs = { readonly permutation: readonly number[] };

/** The permutation that undoes another. */
function inverse(permutation: readonly number[]): number[] {
  return permutation.map((_, i) => permutation.indexOf(i));
}

export const transposeOp: DifferentiableOp<TransposeAttrs> = defineOp<TransposeAttrs>({
  name: 'transpose',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { permutation }) {
    checkDType('transpose', 'x', x, 'float32', 'int32', 'bool');
    const sorted = [...permutation].sort((a, b) => a - b);
    if (sorted.length !== x.shape.length || sorted.some((a, i) => a !== i)) {
      shapeError('transpose', `[${permutation.join(',')}] is no permutation of the axes of ${named('x', x)}`);
    }
    return [{ shape: permutation.map((a) => x.shape[a]), dtype: x.dtype }];
  },
  gradient: ({ attrs, grads: [dy] }) => [dy && transpose(dy, inverse(attrs.permutation))],
  reference([x]: readonly HostTensor[], { permutation }, [out]) {
    const back = inverse(permutation);
    return [take(x.data, indexMap(out.shape, x.shape, (index) => back.map((a) => index[a])))];
  },
  kernels: { cpu: cpu.transposeLowering, webgpu: gpuMovement.transposeLowering, cuda: cuda.transposeLowering },
  precision: 'follow',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<TransposeAttrs>[] {
    return [
      { inputs: [f32([3, 5])], attrs: { permutation: [1, 0] } },
      { inputs: [f32([33, 40])], attrs: { permutation: [1, 0] } },
      { inputs: [f32([2, 3, 4, 5])], attrs: { permutation: [0, 2, 3, 1] } },
      { inputs: [f32([2, 3, 4, 5])], attrs: { permutation: [0, 3, 1, 2] } },
      { inputs: [f32([2, 3, 1, 8])], attrs: { permutation: [2, 1, 0, 3] } },
      { inputs: [f32([7])], attrs: { permutation: [0] } },
      { inputs: [i32([4, 8, 3], 99)], attrs: { permutation: [2, 0, 1] } },
    ];
  },
});

/** `x` with axis i taken from axis `permutation[i]`; all axes reversed by default. Throws ShapeError where it is no permutation. */
export function transpose(x: TensorLike, permutation?: readonly number[]): Tensor {
  const t = toTensor(x);
  return apply1(transposeOp, [t], { permutation: permutation ?? t.shape.map((_, i) => t.shape.length - 1 - i) });
}
