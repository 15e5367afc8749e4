/**
 * Floats of 16 bits on the host, which JavaScript got late: float16, IEEE 754 binary16, with five bits of exponent and ten of mantissa; and
 * bfloat16, the upper half of a float32, with eight and seven.
 */
import type { HalfType } from './types.ts';

interface Format {
  /** Bits of the mantissa that are stored. */
  readonly mantissa: number;
  /** Of the largest and of the smallest normal number. */
  readonly exponents: readonly [number, number];
}

const formats: Readonly<Record<HalfType, Format>> = {
  float16: { mantissa: 10, exponents: [15, -14] },
  bfloat16: { mantissa: 7, exponents: [127, -126] },
};

/** The largest finite number. */
export function largestHalf(dtype: HalfType): number {
  const { mantissa, exponents: [most] } = formats[dtype];
  return (2 - 2 ** -mantissa) * 2 ** most;
}

/** The smallest normal number; below it they are multiples of one step. */
export const smallestNormalHalf = (dtype: HalfType): number => 2 ** formats[dtype].exponents[1];

/** The distance between the numbers of the format around x. */
export function halfStep(x: number, dtype: HalfType): number {
  const { mantissa, exponents: [, least] } = formats[dtype];
  const size = Math.abs(x);
  if (size < 2 ** least) return 2 ** (least - mantissa);
  let exponent = Math.floor(Math.log2(size));
  // the logarithm may be rounded up to the next power of two
  if (2 ** exponent > size) exponent--;
  return 2 ** (exponent - mantissa);
}

/** x rounded to the nearest number of the format, ties to even; what lies half a step beyond the largest or further becomes infinite. */
export function roundToHalf(x: number, dtype: HalfType): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const step = halfStep(x, dtype);
  const steps = x / step;
  const below = Math.floor(steps);
  const rest = steps - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  const rounded = (up ? below + 1 : below) * step;
  if (Math.abs(rounded) > largestHalf(dtype)) return x < 0 ? -Infinity : Infinity;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of numbers, each rounded to the nearest one of the format. */
export function toHalfBits(values: ArrayLike<number>, dtype: HalfType): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = roundToHalf(values[i], dtype);
    if (dtype === 'bfloat16') {
      out[i] = Number.isNaN(float[0]) ? 0x7fc0 : word[0] >>> 16;
      continue;
    }
    const sign = (word[0] >>> 16) & 0x8000;
    const exponent = ((word[0] >>> 23) & 0xff) - 127;
    const mantissa = word[0] & 0x7fffff;
    if (exponent === 128) out[i] = sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
    else if (exponent >= -14) out[i] = sign | ((exponent + 15) << 10) | (mantissa >>> 13);
    else out[i] = sign | (Math.abs(float[0]) * 2 ** 24);
  }
  return out;
}

/** The numbers of such bits. */
export function fromHalfBits(bits: Uint16Array, dtype: HalfType): Float32Array<ArrayBuffer> {
  if (dtype === 'bfloat16') return new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer);
  return Float32Array.from(bits, (b) => {
    const sign = b >>> 15 === 0 ? 1 : -1;
    const exponent = (b >>> 10) & 31;
    const mantissa = b & 0x3ff;
    if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
    return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
  });
}
