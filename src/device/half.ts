/** float16 on the host, IEEE 754 binary16: one sign bit, five of exponent, ten of mantissa. JavaScript got it late, so it is here. */

/** The largest finite float16. */
export const largestHalf = 65504;
/** The smallest normal one; below it they are multiples of 2^-24. */
export const smallestNormalHalf = 2 ** -14;

/** The distance between the float16 numbers around x. */
export function halfStep(x: number): number {
  const size = Math.abs(x);
  if (size < smallestNormalHalf) return 2 ** -24;
  let exponent = Math.floor(Math.log2(size));
  // the logarithm may be rounded up to the next power of two
  if (2 ** exponent > size) exponent--;
  return 2 ** (exponent - 10);
}

/** x rounded to the nearest float16, ties to even; what lies half a step beyond the largest or further becomes infinite. */
export function roundToHalf(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const step = halfStep(x);
  const steps = x / step;
  const below = Math.floor(steps);
  const rest = steps - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  const rounded = (up ? below + 1 : below) * step;
  if (Math.abs(rounded) > largestHalf) return x < 0 ? -Infinity : Infinity;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of numbers, each rounded to the nearest float16. */
export function toHalfBits(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = roundToHalf(values[i]);
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
export function fromHalfBits(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(bits, (b) => {
    const sign = b >>> 15 === 0 ? 1 : -1;
    const exponent = (b >>> 10) & 31;
    const mantissa = b & 0x3ff;
    if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
    return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
  });
}
