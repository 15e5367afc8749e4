/** allReduce: the sum of a value over the ranks of a group (graph/group.ts); of a group of one, which is all without a group, the value. */
import type { CpuLaunch, CudaLaunch, Lowering, TensorType, WebgpuLaunch } from '../device/types.ts';
import { copyLaunch as cpuCopy } from '../device/cpu/copy.ts';
import { copyLaunch as cudaCopy } from '../device/cuda/copy.ts';
import { copyLaunch as webgpuCopy } from '../device/webgpu/copy.ts';
import { sameMemory } from '../device/webgpu/launch.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat } from './support/shapes.ts';

/** Kernels for a group of one: a copy, or nothing where the result lies over the value. */
const cpu: Lowering<{}, CpuLaunch> = { launches: ({ inputs: [x], outputs: [y] }) => (sameMemory(x, y) ? [] : [cpuCopy(x, y)]) };
const webgpu: Lowering<{}, WebgpuLaunch> = { launches: ({ inputs: [x], outputs: [y] }) => (sameMemory(x, y) ? [] : [webgpuCopy(x, y)]) };
const cuda: Lowering<{}, CudaLaunch> = { launches: ({ inputs: [x], outputs: [y] }) => (sameMemory(x, y) ? [] : [cudaCopy(x, y)]) };

export const allReduceOp: DifferentiableOp<{}> = defineOp<{}>({
  name: 'allReduce',
  inputs: ['x'],
  infer([x]: readonly TensorType[]) {
    checkFloat('allReduce', ['x'], [x]);
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  // y = sum of x over the ranks, each of which has a loss of its own: dx = sum of dy over the ranks
  gradient: ({ grads: [dy] }) => [dy && apply1(allReduceOp, [dy], {})],
  reference: ([x]: readonly HostTensor[]) => [x.data.slice()],
  exchanges: true,
  kernels: { cpu, webgpu, cuda },
  inPlace: () => [[0, 0]],
  contiguousInputs: 'all',
  contiguousOutputs: 'all',
  precision: 'keep',
  cost: elementwiseCost(1),
  samples: (): Sample<{}>[] => [{ inputs: [f32([64])], attrs: {} }, { inputs: [f32([3, 5])], attrs: {} }, { inputs: [f32([])], attrs: {} }],
});

/**
 * `x` summed over the ranks of the group that the step is compiled with, in their order, so that all ranks get the same bits; `x`
 * without a group. All ranks have to come by.
 */
export const allReduce = (x: TensorLike): Tensor => apply1(allReduceOp, [x], {});
