import type { Shape } from '../device/types.ts';
import { fromHalfBits } from '../device/half.ts';
import { sizeOf } from '../device/types.ts';
import { ShapeError } from '../errors.ts';

/** Element types that files know. float16 and bfloat16 are kept as their 16-bit patterns. */
export type HostDType =
  | 'float32' | 'float64' | 'float16' | 'bfloat16' | 'bool'
  | 'uint8' | 'int8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64';

export type HostElements =
  | Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>;

/** An array on the host, row-major, as files hold it. An array of no shape and no elements is MXNet's `none`. */
export interface HostArray {
  readonly shape: Shape;
  readonly dtype: HostDType;
  readonly data: HostElements;
}

/** Bytes of an element in files. */
export const hostBytes: Readonly<Record<HostDType, number>> = {
  float32: 4, float64: 8, float16: 2, bfloat16: 2, bool: 1, uint8: 1, int8: 1,
  int16: 2, uint16: 2, int32: 4, uint32: 4, int64: 8, uint64: 8,
};

/** The typed array over a buffer of its own whose first byte is the first element's. */
export function elementsOf(dtype: HostDType, buffer: ArrayBuffer): HostElements {
  switch (dtype) {
    case 'float32': return new Float32Array(buffer);
    case 'float64': return new Float64Array(buffer);
    case 'float16': case 'bfloat16': case 'uint16': return new Uint16Array(buffer);
    case 'bool': case 'uint8': return new Uint8Array(buffer);
    case 'int8': return new Int8Array(buffer);
    case 'int16': return new Int16Array(buffer);
    case 'int32': return new Int32Array(buffer);
    case 'uint32': return new Uint32Array(buffer);
    case 'int64': return new BigInt64Array(buffer);
    case 'uint64': return new BigUint64Array(buffer);
  }
}

/** The bytes of an array's elements, without a copy. */
export function bytesOf(array: HostArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.data.buffer, array.data.byteOffset, array.data.byteLength);
}

/** The values as float32, whatever they are kept as; a float32 array is given back as it is. */
export function toFloat32(array: HostArray): HostArray {
  const { shape, dtype, data } = array;
  if (dtype === 'float32') return array;
  if (dtype === 'float16' || dtype === 'bfloat16') return { shape, dtype: 'float32', data: fromHalfBits(data as Uint16Array, dtype) };
  const values = data instanceof BigInt64Array || data instanceof BigUint64Array ? Float32Array.from(data, Number) : Float32Array.from(data);
  return { shape, dtype: 'float32', data: values };
}

/** A float32 array from values, checked against the shape. */
export function float32Array(values: ArrayLike<number>, shape: Shape): HostArray {
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(`${values.length} values do not fill shape [${shape.join(', ')}] of ${sizeOf(shape)} elements`);
  }
  return { shape: [...shape], dtype: 'float32', data: Float32Array.from(values) };
}

/**
 * The axes of a host array permuted: axis i of the result is axis `permutation[i]` of the source.
 *
 * @throws ShapeError where `permutation` does not name each axis once
 */
export function permuteAxes(array: HostArray, permutation: readonly number[]): HostArray {
  const rank = array.shape.length;
  if (permutation.length !== rank || new Set(permutation).size !== rank || permutation.some((p) => !(p >= 0 && p < rank))) {
    throw new ShapeError(`[${permutation.join(', ')}] is no permutation of the axes of [${array.shape.join(', ')}]`);
  }
  const shape = permutation.map((p) => array.shape[p]);
  const strides = new Array<number>(rank).fill(1);
  for (let i = rank - 2; i >= 0; i--) strides[i] = strides[i + 1] * array.shape[i + 1];
  const steps = permutation.map((p) => strides[p]);
  const source = array.data;
  const data = elementsOf(array.dtype, new ArrayBuffer(source.byteLength));
  const index = new Array<number>(rank).fill(0);
  let from = 0;
  for (let to = 0; to < source.length; to++) {
    data[to] = source[from];
    for (let axis = rank - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < shape[axis]) break;
      from -= steps[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return { shape, dtype: array.dtype, data };
}
