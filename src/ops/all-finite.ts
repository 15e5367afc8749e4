/** allFinite: whether a tensor holds neither infinities nor NaN, which is how a step knows that its gradients overflowed. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/all-finite.ts';
import * as cuda from './cuda/all-finite.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat } from './support/shapes.ts';
import * as gpu from './webgpu/all-finite.ts';

type NoAttrs = Record<string, never>;

export const allFiniteOp: DifferentiableOp<NoAttrs> = defineOp<NoAttrs>({
  name: 'allFinite',
  inputs: ['x'],
  infer(inputs: readonly TensorType[]) {
    checkFloat('allFinite', ['x'], inputs);
    return [{ shape: [], dtype: 'bool' }];
  },
  reference: ([x]: readonly HostTensor[]) => [Float64Array.of(x.data.every(Number.isFinite) ? 1 : 0)],
  kernels: { cpu: cpu.allFiniteLowering, webgpu: gpu.allFiniteLowering, cuda: cuda.allFiniteLowering },
  contiguousInputs: 'all',
  precision: 'keep',
  cost: elementwiseCost(1),
  samples(): Sample<NoAttrs>[] {
    const long = 20003;
    const withOne = (n: number, at: number, value: number): number[] => Array.from({ length: n }, (_, i) => (i === at ? value : i - 5));
    return [
      { inputs: [f32([])], attrs: {} },
      { inputs: [f32([3, 5], { low: -3e38, high: 3e38 })], attrs: {} },
      { inputs: [f32([7], { values: withOne(7, 6, Infinity) })], attrs: {} },
      { inputs: [f32([2, 9], { values: withOne(18, 0, -Infinity) })], attrs: {} },
      { inputs: [f32([long])], attrs: {} },
      ...[0, 4095, 16384, long - 1].map((at) => ({ inputs: [f32([long], { values: withOne(long, at, NaN) })], attrs: {} })),
    ];
  },
});

/** bool scalar: true where every element of x (float32, any shape) is a finite number. */
export const allFinite = (x: TensorLike): Tensor => apply1(allFiniteOp, [x], {});
