/** detach: the same value, through which no gradient flows. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';

type NoAttrs = Record<string, never>;

export const detachOp: DifferentiableOp<NoAttrs> = defineOp<NoAttrs>({
  name: 'detach',
  inputs: ['x'],
  infer: ([x]: readonly TensorType[]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: () => [undefined],
  reference: ([x]: readonly HostTensor[]) => [x.data.slice()],
  view: () => ({ row: 0, channel: 0 }),
  precision: 'follow',
  half: { inputs: 'all', same: true },
  cost: elementwiseCost(0),
  samples: (): Sample<NoAttrs>[] => [{ inputs: [f32([3, 5])], attrs: {} }, { inputs: [f32([])], attrs: {} }],
});

/** `x` as a constant. */
export const detach = (x: TensorLike): Tensor => apply1(detachOp, [x], {});
