/**
 * Fovea: lazy tensors with autograd, compiled to hand-written kernels. The parts `fovea/nn`, `/models`, `/optim`, `/data`,
 * `/train` and `/formats` stand on it.
 */
export * from './errors.ts';
export {
  apply, apply1, compile, data, full, grad, keep, localGroup, ones, packVariables, registeredOps, registerOps, tensor, together, variable,
  wrap, zeros,
} from './fovea.ts';
export * from './generated/ops-api.ts';
export { defineOp, type DifferentiableOp, type GradientContext } from './tensor/define-op.ts';
export type { Rank } from './graph/group.ts';
export type { HostTensor, Op, Sample } from './graph/op.ts';
export { Tensor, type TensorLike } from './tensor/tensor.ts';
export { Variable, type PackedVariables, type VariableOptions } from './tensor/variable.ts';
export type { CompileOptions, CompiledFunction } from './tensor/compile.ts';
export type { ProgramMemory } from './graph/planned.ts';
export { defaultDevice, describeDevices, device, setDefaultDevice, type DeviceOptions, type DeviceReport } from './device/index.ts';
export type { DType, Device, DeviceCounters, HostData, Shape } from './device/types.ts';
export { philox4x32 } from './random/philox.ts';
