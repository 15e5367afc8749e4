/**
 * How float16 takes part in ops. It is a way to store values: kernels and references compute wider, and what they give is rounded
 * when it is stored. So an op's own `infer` and `reference` know float32 alone; what its `float16` declares is added here.
 */
import { roundToHalf } from '../device/half.ts';
import type { DType, Device, TensorType } from '../device/types.ts';
import { DTypeError, DeviceError } from '../errors.ts';
import type { Attrs } from './node.ts';
import type { HostTensor, Op, Sample } from './op.ts';

/** Which inputs and outputs of an op may be float16. */
export interface Float16 {
  /** Each on its own; those of `matrix` ops all or none. */
  readonly inputs: 'all' | readonly number[];
  /**
   * They are where all of those inputs are (scalars may be float32), unless the attribute `store`, `float32` or `float16`, says
   * otherwise. Default none.
   */
  readonly outputs?: 'all' | readonly number[];
  /** All inputs have one dtype, and the outputs have that too: views and concatenations, which compute nothing. */
  readonly same?: boolean;
  /** For the suite, beside the op's own samples with float16 in place of float32. */
  samples?(): Sample[];
}

const has = (list: 'all' | readonly number[] | undefined, i: number): boolean => list === 'all' || (list?.includes(i) ?? false);

export const takesHalf = (op: Op, input: number): boolean => has(op.half?.inputs, input);
export const givesHalf = (op: Op, output: number): boolean => has(op.half?.outputs, output);

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float16';
}

/** @throws DeviceError where the device has no float16, for `what` needs it; `advice` says what else can be done */
export function requireFloat16(device: Device, what: string, advice = ''): void {
  if (device.supports('float16')) return;
  throw new DeviceError(`${what} needs a WebGPU adapter with shader-f16, which ${device.name} is not${advice}`);
}

/** The dtype in which outputs that may be float16 are stored. */
export function storedAs(op: Op, inputs: readonly TensorType[], attrs: Attrs): 'float32' | 'float16' {
  if (attrs.store === 'float16' || attrs.store === 'float32') return attrs.store;
  const floats = inputs.filter((t, i) => takesHalf(op, i) && isFloat(t.dtype));
  const half = floats.some((t) => t.dtype === 'float16') && floats.every((t) => t.dtype === 'float16' || t.shape.length === 0);
  return half ? 'float16' : 'float32';
}

/** The op with float16 as it declares, and with a message for float16 where it does not. */
export function withHalf<T extends Op>(op: T): T {
  const { infer, reference } = op;
  const inferStored = (inputs: readonly TensorType[], attrs: Attrs): TensorType[] => {
    const half = inputs.some((t) => t.dtype === 'float16');
    if (!half && attrs.store === undefined) return infer(inputs, attrs);
    refuse(op, inputs);
    const types = infer(inputs.map((t) => (t.dtype === 'float16' ? { shape: t.shape, dtype: 'float32' } : t)), attrs);
    if (op.half?.same) return half ? types.map(({ shape }) => ({ shape, dtype: 'float16' })) : types;
    const dtype = storedAs(op, inputs, attrs);
    return types.map((t, i) => (t.dtype === 'float32' && givesHalf(op, i) ? { shape: t.shape, dtype } : t));
  };
  const round = (inputs: readonly HostTensor[], attrs: Attrs, outputs: readonly TensorType[]): Float64Array[] =>
    reference!(inputs, attrs, outputs).map((data, i) => (outputs[i].dtype === 'float16' ? data.map(roundToHalf) : data));
  return { ...op, infer: inferStored, ...(reference && { reference: round }) };
}

function refuse(op: Op, inputs: readonly TensorType[]): void {
  inputs.forEach((t, i) => {
    const together = (op.half?.same || op.precision === 'matrix') && takesHalf(op, i);
    const expected = together && isFloat(t.dtype) ? inputs[0].dtype : takesHalf(op, i) ? t.dtype : 'float32';
    if (t.dtype === expected || (t.dtype !== 'float16' && !together)) return;
    const name = op.inputs[Math.min(i, op.inputs.length - 1)]?.replace(/\.\.\.$|\?$/, '') ?? `input ${i}`;
    throw new DTypeError(`${op.name}: ${name} [${t.shape}] is ${t.dtype}, expected ${expected}`);
  });
}
