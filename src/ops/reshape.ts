/** reshape: the same elements, row-major, under another shape; a view wherever rows allow. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/movement.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { named, shapeError, show } from './support/shapes.ts';
import * as gpuMovement from './webgpu/movement.ts';

type ReshapeAttrs = { readonly shape: Shape };

export const reshapeOp: DifferentiableOp<ReshapeAttrs> = defineOp<ReshapeAttrs>({
  name: 'reshape',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { shape }) {
    if (sizeOf(shape) !== sizeOf(x.shape)) {
      shapeError('reshape', `${named('x', x)} has ${sizeOf(x.shape)} elements, shape ${show(shape)} has ${sizeOf(shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  gradient: ({ inputs: [x], grads: [dy] }) => [dy && reshape(dy, x.shape)],
  reference: ([x]: readonly HostTensor[]) => [x.data.slice()],
  kernels: { cpu: cpu.ravelLowering, webgpu: gpuMovement.copyLowering, cuda: cuda.copyLowering },
  // rows stay rows where the last axis stays, whatever their stride
  view(input, { shape }) {
    if (input.contiguous) return { row: 0, channel: 0, contiguous: true };
    return shape.at(-1) === input.shape.at(-1) ? { row: 0, channel: 0 } : undefined;
  },
  inPlace: () => [[0, 0]],
  precision: 'follow',
  float16: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples(): Sample<ReshapeAttrs>[] {
    return [
      { inputs: [f32([2, 6])], attrs: { shape: [3, 4] } },
      { inputs: [f32([2, 3, 4, 5])], attrs: { shape: [6, 20] } },
      { inputs: [f32([2, 3, 5])], attrs: { shape: [6, 5] } },
      { inputs: [f32([1, 1])], attrs: { shape: [] } },
      { inputs: [f32([24])], attrs: { shape: [2, 3, 4] } },
      { inputs: [f32([3, 8])], attrs: { shape: [24, 1] } },
    ];
  },
});

/** `x` under another shape of as many elements; one length may be -1 and is worked out. Throws ShapeError where none fits. */
export function reshape(x: TensorLike, shape: Shape): Tensor {
  const t = toTensor(x);
  let wanted = shape;
  const free = shape.indexOf(-1);
  if (free >= 0) {
    const rest = shape.reduce((n, d, i) => (i === free ? n : n * d), 1);
    if (rest <= 0 || sizeOf(t.shape) % rest !== 0 || shape.indexOf(-1, free + 1) >= 0) {
      shapeError('reshape', `${named('x', t)} does not fit shape ${show(shape)}`);
    }
    wanted = shape.map((d, i) => (i === free ? sizeOf(t.shape) / rest : d));
  }
  return apply1(reshapeOp, [t], { shape: wanted });
}
