/** cast: the same values in another dtype. */
import type { DType, TensorType } from '../device/types.ts';
import { DTypeError } from '../errors.ts';
import { isFloat } from '../graph/float16.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/movement.ts';
import * as cuda from './cuda/elementwise.ts';
import { elementwiseCost } from './support/cost.ts';
import { bool, f32, i32 } from './support/samples.ts';
import { named } from './support/shapes.ts';
import * as gpu from './webgpu/elementwise.ts';

type CastAttrs = { readonly dtype: DType };

/** What becomes of a value, by the dtype asked for. */
const convert: Readonly<Record<Exclude<DType, 'uint8'>, (v: number) => number>> = {
  float32: (v) => v,
  float16: (v) => v,
  int32: Math.trunc,
  bool: (v) => (v !== 0 ? 1 : 0),
};

export const castOp: DifferentiableOp<CastAttrs> = defineOp<CastAttrs>({
  name: 'cast',
  inputs: ['x'],
  infer([x]: readonly TensorType[], { dtype }) {
    if (!(dtype in convert)) {
      throw new DTypeError(`cast: ${named('x', x)} cannot become ${dtype}, expected float32, float16, int32 or bool`);
    }
    return [{ shape: x.shape, dtype }];
  },
  gradient: ({ inputs: [x], grads: [dy], attrs }) => [dy && isFloat(x.dtype) && isFloat(attrs.dtype) ? cast(dy, x.dtype) : undefined],
  reference: ([x]: readonly HostTensor[], { dtype }) => [x.data.map(convert[dtype as 'float32'])],
  kernels: { cpu: cpu.castLowering, webgpu: gpu.castLowering, cuda: cuda.castLowering },
  recompute: true,
  float16: {
    inputs: 'all',
    samples: () => [f32([3, 5], { low: -9, high: 9 }), f32([2, 3, 8], { low: -1e-6, high: 1e-6 }), f32([40], { low: -1e5, high: 1e5 }),
      i32([2, 3, 4], 50), bool([9]), { shape: [2, 8], dtype: 'uint8', low: 0, high: 256 } as const]
      .map((input) => ({ inputs: [input], attrs: { dtype: 'float16' } })),
  },
  cost: elementwiseCost(1),
  samples(): Sample<CastAttrs>[] {
    const from: SampleInput[] = [
      f32([3, 5], { low: -9, high: 9, differentiable: false }),
      i32([2, 3, 4], 50, { low: -50 }),
      { shape: [2, 5, 3], dtype: 'uint8', low: 0, high: 256, differentiable: false },
      bool([9]),
      { shape: [2, 8], dtype: 'uint8', low: 0, high: 256, differentiable: false },
    ];
    const to: DType[] = ['float32', 'int32', 'bool'];
    return from.flatMap((input) => to.map((dtype) => ({ inputs: [input], attrs: { dtype } })));
  },
});

/**
 * `x` as float32, float16 (the nearest; some devices alone have it), int32 (rounded toward zero) or bool (not zero). Gradients pass
 * between the floats alone.
 */
export function cast(x: TensorLike, dtype: DType): Tensor {
  return apply1(castOp, [x], { dtype });
}
