/**
 * Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011, doi 10.1145/2063384.2063405). A block of four words is a pure function of (counter, key), so a
 * draw depends neither on what was drawn before it nor on which thread asks:
 *
 *     ten rounds of  (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0))
 *     with (k0, k1) raised by the Weyl constants (W0, W1) between two rounds.
 */
import { OptionError } from '../errors.ts';

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;
const ROUNDS = 10;

/** Four words of a counter, each read modulo 2^32. */
export type PhiloxCounter = readonly [number, number, number, number];
/** Two words of a key, each read modulo 2^32. */
export type PhiloxKey = readonly [number, number];

/** The upper 32 bits of the 64-bit product of two unsigned words; doubles hold every partial product exactly. */
function mulHi(a: number, b: number): number {
  const aHi = a >>> 16;
  const aLo = a & 0xffff;
  const bHi = b >>> 16;
  const bLo = b & 0xffff;
  const low = aLo * bLo;
  const mid = aHi * bLo + (low >>> 16);
  const cross = aLo * bHi + (mid & 0xffff);
  return (aHi * bHi + Math.floor(mid / 65536) + Math.floor(cross / 65536)) | 0;
}

/**
 * One block of Philox4x32-10 written to `out[0..3]` as unsigned words. Allocates nothing.
 *
 * @param out at least four elements
 */
export function philox4x32Into(
  out: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < ROUNDS; round++) {
    const hi0 = mulHi(M0, c0);
    const lo0 = Math.imul(M0, c0);
    const hi1 = mulHi(M1, c2);
    const lo1 = Math.imul(M1, c2);
    c0 = hi1 ^ c1 ^ k0;
    c1 = lo1;
    c2 = hi0 ^ c3 ^ k1;
    c3 = lo0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** One block of Philox4x32-10: four unsigned 32-bit words, a pure function of counter and key. */
export function philox4x32(counter: PhiloxCounter, key: PhiloxKey): [number, number, number, number] {
  const out = new Uint32Array(4);
  philox4x32Into(out, counter[0] | 0, counter[1] | 0, counter[2] | 0, counter[3] | 0, key[0] | 0, key[1] | 0);
  return [out[0], out[1], out[2], out[3]];
}

/** A 32-bit FNV-1a hash of a name's UTF-16 code units, finished by Murmur3's mixer: the name's word in a counter. */
export function hashName(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    h = Math.imul(h ^ (unit & 0xff), 0x01000193);
    h = Math.imul(h ^ (unit >>> 8), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The key of a seed: its low and high 32 bits.
 *
 * @throws OptionError where the seed is no integer from 0 to 2^53 - 1
 */
export function keyOfSeed(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new OptionError(`seed: expected an integer from 0 to 2^53 - 1, got ${seed}`);
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/**
 * A stream of draws keyed by seed, name, index and step. Two streams that differ in any of the four are independent,
 * and equal ones repeat each other. Block i of the stream is
 * `philox4x32([i, index, hashName(name), step], keyOfSeed(seed))`.
 */
export class PhiloxStream {
  readonly #key: PhiloxKey;
  readonly #index: number;
  readonly #name: number;
  readonly #step: number;
  readonly #words = new Uint32Array(4);
  #block = 0;
  #used = 4;
  #spare = Number.NaN;

  /**
   * @param seed integer from 0 to 2^53 - 1
   * @param name what the draws are for
   * @param index which sample, modulo 2^32
   * @param step which step, modulo 2^32
   */
  constructor(seed: number, name = '', index = 0, step = 0) {
    this.#key = keyOfSeed(seed);
    this.#name = hashName(name) | 0;
    this.#index = index | 0;
    this.#step = step | 0;
  }

  /** The next word, 0 to 2^32 - 1. */
  uint32(): number {
    if (this.#used === 4) {
      philox4x32Into(this.#words, this.#block, this.#index, this.#name, this.#step, this.#key[0], this.#key[1]);
      this.#block = (this.#block + 1) | 0;
      this.#used = 0;
    }
    return this.#words[this.#used++];
  }

  /** Uniform on [low, high), of 32 random bits. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / 2 ** 32);
  }

  /** Normal by Box and Muller's transform; draws come in pairs, of which the second is kept for the next call. */
  normal(mean = 0, deviation = 1): number {
    if (!Number.isNaN(this.#spare)) {
      const spare = this.#spare;
      this.#spare = Number.NaN;
      return mean + deviation * spare;
    }
    // (0, 1]: the logarithm of zero must not be drawn.
    const radius = Math.sqrt(-2 * Math.log((this.uint32() + 1) / 2 ** 32));
    const angle = (2 * Math.PI * this.uint32()) / 2 ** 32;
    this.#spare = radius * Math.sin(angle);
    return mean + deviation * radius * Math.cos(angle);
  }

  /**
   * An integer from 0 to n - 1, each equally likely (rejection of the incomplete last interval).
   *
   * @throws OptionError where n is no integer from 1 to 2^32
   */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new OptionError(`n: expected an integer from 1 to 2^32, got ${n}`);
    }
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.uint32();
    while (word >= limit) word = this.uint32();
    return word % n;
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** A Poisson draw by Knuth's product of uniforms, exact; for means up to some tens. */
  poisson(mean: number): number {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.uniform(); product > limit; product *= this.uniform()) count++;
    return count;
  }

  /** Fisher and Yates' shuffle, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const held = items[i];
      items[i] = items[j];
      items[j] = held;
    }
    return items;
  }
}
