/** Maps by which Hopper's copy engine (TMA) finds its way through a value. */
import { DeviceError } from '../../errors.ts';
import { bytesPerElement } from '../types.ts';
import type { DType, TensorMap } from '../types.ts';
import type { Bindings } from './bindings.ts';

/** CUtensorMapDataType */
const types: Partial<Record<DType, number>> = { float16: 6, bfloat16: 9 };

/** No interleaving, the 128-byte swizzle, L2 promotion to 256 bytes, zeros for what lies outside. */
const MODES = [0, 3, 3, 0] as const;

/**
 * Has the driver write a map.
 *
 * @param base device address of the buffer's first byte
 * @param target address of the map's 128 bytes, a multiple of 64
 * @throws DeviceError for a value of another dtype; CudaError where the driver refuses the map
 */
export function encodeTensorMap(cuda: Bindings, map: TensorMap, base: bigint, target: bigint, about: string): void {
  const { value, lengths, strides, box, windows } = map;
  const type = types[value.dtype];
  if (type === undefined) throw new DeviceError(`${about}: the copy engine has no map of ${value.dtype} here`);
  if ((box === undefined) === (windows === undefined)) throw new DeviceError(`${about}: a map has either a box or windows`);
  const address = base + BigInt(value.offset * bytesPerElement[value.dtype]);
  const wide = (list: readonly number[]): BigUint64Array => BigUint64Array.from(list, BigInt);
  const head = [target, type, lengths.length, address, wide(lengths), wide(strides)];
  const elementStrides = new Uint32Array(lengths.length).fill(1);
  elementStrides.set(windows?.strides ?? [], 1);
  if (box !== undefined) {
    cuda.call('cuTensorMapEncodeTiled', [...head, Uint32Array.from(box), elementStrides, ...MODES], about);
  } else {
    const { lower, upper, channels, pixels } = windows!;
    const corners = [Int32Array.from(lower), Int32Array.from(upper)];
    cuda.call('cuTensorMapEncodeIm2col', [...head, ...corners, channels, pixels, elementStrides, ...MODES], about);
  }
}
