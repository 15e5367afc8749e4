/** broadcastTo: repeats a tensor along axes of length 1 and new leading axes. */
import type { Shape, TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { identityLowering } from './cpu/elementwise.ts';
import * as cuda from './cuda/elementwise.ts';
import * as gpu from './webgpu/elementwise.ts';
import { sumTo } from './reduce.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32, i32 } from './support/samples.ts';
import { broadcastIndex, checkDType, named, sameShape, shapeError, show } from './support/shapes.ts';

type BroadcastAttrs = { readonly shape: Shape };

export const broadcastToOp: DifferentiableOp<BroadcastAttrs> = defineOp<BroadcastAttrs>({
  name: 'broadcastTo',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { shape }) {
    checkDType('broadcastTo', 'x', x, 'float32', 'int32', 'bool');
    const lead = shape.length - x.shape.length;
    if (lead < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[lead + i])) {
      shapeError('broadcastTo', `${named('x', x)} does not broadcast to ${show(shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  gradient: ({ inputs: [x], grads: [dy] }) => [dy && sumTo(dy, x.shape)],
  reference: ([x]: readonly HostTensor[], { shape }) => [Float64Array.from(broadcastIndex(x.shape, shape), (at) => x.data[at])],
  kernels: { cpu: identityLowering, webgpu: gpu.identityLowering, cuda: cuda.identityLowering },
  precision: 'follow',
  float16: { inputs: 'all', outputs: 'all' },
  cost: elementwiseCost(0),
  samples(): Sample<BroadcastAttrs>[] {
    return [
      { inputs: [f32([])], attrs: { shape: [3, 5] } },
      { inputs: [f32([5])], attrs: { shape: [3, 5] } },
      { inputs: [f32([2, 1, 1, 8])], attrs: { shape: [2, 3, 4, 8] } },
      { inputs: [f32([3, 1])], attrs: { shape: [2, 3, 7] } },
      { inputs: [i32([1, 4], 9)], attrs: { shape: [3, 4] } },
    ];
  },
});

/** `x` repeated to `shape`, by numpy's rule. Throws ShapeError where it does not broadcast. */
export function broadcastTo(x: TensorLike, shape: Shape): Tensor {
  const t = toTensor(x);
  return sameShape(t.shape, shape) ? t : apply1(broadcastToOp, [t], { shape });
}
