/** flip: a tensor reversed along axes. */
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
import { checkAxes, checkDType, normalizeAxes } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

type FlipAttrs = { readonly axes: readonly number[] };

export const flipOp: DifferentiableOp<FlipAttrs> = defineOp<FlipAttrs>({
  name: 'flip',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { axes }) {
    checkDType('flip', 'x', x, 'float32', 'int32', 'bool');
    checkAxes('flip', 'x', x, axes);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  // its own inverse and adjoint
  gradient: ({ attrs, grads: [dy] }) => [dy && apply1(flipOp, [dy], attrs)],
  reference: ([x]: readonly HostTensor[], { axes }) => [
    take(x.data, indexMap(x.shape, x.shape, (index) => index.map((i, a) => (axes.includes(a) ? x.shape[a] - 1 - i : i)))),
  ],
  kernels: { cpu: cpu.flipLowering, webgpu: gpuMovement.flipLowering, cuda: cuda.flipLowering },
  precision: 'follow',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<FlipAttrs>[] {
    return [
      { inputs: [f32([5])], attrs: { axes: [0] } },
      { inputs: [f32([3, 4])], attrs: { axes: [0, 1] } },
      { inputs: [f32([2, 3, 5, 3])], attrs: { axes: [2] } },
      { inputs: [f32([2, 3, 4, 8])], attrs: { axes: [1] } },
      { inputs: [i32([2, 3], 9)], attrs: { axes: [1] } },
    ];
  },
});

/** `x` reversed along `axes`; negative ones count from the end. */
export function flip(x: TensorLike, axes: number | readonly number[]): Tensor {
  const t = toTensor(x);
  return apply1(flipOp, [t], { axes: normalizeAxes('flip', axes, t.shape.length) });
}
