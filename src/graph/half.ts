/**
 * How float16 and bfloat16, the halves, take part in ops. They are ways to store values: kernels and references compute wider, and what they
 * give is rounded when it is stored. So an op's own `infer` and `reference` know float32 alone; what its `half` declares is added here.
 */
import { roundToHalf } from '../device/half.ts';
import type { DType, Device, HalfType, TensorType } from '../device/types.ts';
import { isHalfType } from '../device/types.ts';
import { DTypeError, DeviceError } from '../errors.ts';
import type { Attrs } from './node.ts';
import type { HostTensor, Op, Sample } from './op.ts';

/** Which inputs and outputs of an op may be halves. */
export interface HalfUse {
  /** Each on its own, all of one dtype; those of `matrix` ops all or none. */
  readonly inputs: 'all' | readonly number[];
  /**
   * They are where all of those inputs are (scalars may be float32), unless the attribute `store`, a float's name, says otherwise.
   * Default none.
   */
  readonly outputs?: 'all' | readonly number[];
  /** All inputs have one dtype, and the outputs have that too: views and concatenations, which compute nothing. */
  readonly same?: boolean;
  /** For the suite, beside the op's own samples with halves in place of float32. */
  samples?(dtype: HalfType): Sample[];
}

const has = (list: 'all' | readonly number[] | undefined, i: number): boolean => list === 'all' || (list?.includes(i) ?? false);

export const takesHalf = (op: Op, input: number): boolean => has(op.half?.inputs, input);
export const givesHalf = (op: Op, output: number): boolean => has(op.half?.outputs, output);

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || isHalfType(dtype);
}

const having: Readonly<Record<HalfType, string>> = { float16: 'a WebGPU adapter with shader-f16 or a CUDA device', bfloat16: 'a CUDA device' };

/** @throws DeviceError where the device has no such dtype, for `what` needs it; `advice` says what else can be done */
export function requireHalf(device: Device, dtype: HalfType, what: string, advice = ''): void {
  if (device.supports(dtype)) return;
  throw new DeviceError(`${what} needs ${having[dtype]}, which ${device.name} is not${advice}`);
}

/** What mixed precision stores values in on the device. @throws DeviceError where that has no halves, for `what` needs them */
export function halfOf(device: Device, what: string, advice = ''): HalfType {
  if (device.half !== undefined) return device.half;
  requireHalf(device, 'float16', what, advice);
  return 'float16';
}

/** The dtype in which outputs that may be halves are stored. */
export function storedAs(op: Op, inputs: readonly TensorType[], attrs: Attrs): 'float32' | HalfType {
  const { store } = attrs;
  if (store === 'float16' || store === 'bfloat16' || store === 'float32') return store;
  const floats = inputs.filter((t, i) => takesHalf(op, i) && isFloat(t.dtype));
  const half = halfAmong(floats);
  return half !== undefined && floats.every((t) => t.dtype === half || t.shape.length === 0) ? half : 'float32';
}

/** The half that some of the values are. */
const halfAmong = (types: readonly TensorType[]): HalfType | undefined => types.map((t) => t.dtype).find(isHalfType);

/** The op with halves as it declares, and with a message for them where it does not. */
export function withHalf<T extends Op>(op: T): T {
  const { infer, reference } = op;
  const inferStored = (inputs: readonly TensorType[], attrs: Attrs): TensorType[] => {
    const half = halfAmong(inputs);
    if (half === undefined && attrs.store === undefined) return infer(inputs, attrs);
    refuse(op, inputs);
    const types = infer(inputs.map((t) => (isHalfType(t.dtype) ? { shape: t.shape, dtype: 'float32' } : t)), attrs);
    if (op.half?.same) return half === undefined ? types : types.map(({ shape }) => ({ shape, dtype: half }));
    const dtype = storedAs(op, inputs, attrs);
    return types.map((t, i) => (t.dtype === 'float32' && givesHalf(op, i) ? { shape: t.shape, dtype } : t));
  };
  const round = (inputs: readonly HostTensor[], attrs: Attrs, outputs: readonly TensorType[]): Float64Array[] =>
    reference!(inputs, attrs, outputs).map((data, i) => roundTo(outputs[i].dtype, data));
  return { ...op, infer: inferStored, ...(reference && { reference: round }) };
}

/** The values as the dtype stores them. */
function roundTo(dtype: DType, data: Float64Array): Float64Array {
  return isHalfType(dtype) ? data.map((v) => roundToHalf(v, dtype)) : data;
}

function refuse(op: Op, inputs: readonly TensorType[]): void {
  const half = halfAmong(inputs.filter((_, i) => takesHalf(op, i)));
  inputs.forEach((t, i) => {
    const together = (op.half?.same || op.precision === 'matrix') && takesHalf(op, i);
    const expected = together && isFloat(t.dtype) ? inputs[0].dtype : !takesHalf(op, i) ? 'float32' : isHalfType(t.dtype) ? half! : t.dtype;
    if (t.dtype === expected || (!isHalfType(t.dtype) && !together)) return;
    const name = op.inputs[Math.min(i, op.inputs.length - 1)]?.replace(/\.\.\.$|\?$/, '') ?? `input ${i}`;
    throw new DTypeError(`${op.name}: ${name} [${t.shape}] is ${t.dtype}, expected ${expected}`);
  });
}
