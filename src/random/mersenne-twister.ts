/**
 * MT19937 after M. Matsumoto and T. Nishimura, "Mersenne Twister: A 623-Dimensionally Equidistributed Uniform Pseudo-Random Number
 * Generator" (1998), seeded and used for shuffling as CPython's `random` does: lists that MXNet's tools shuffle come out in the same
 * order. Nothing else draws from it; see philox.ts.
 */
const N = 624;
const M = 397;

export class MersenneTwister {
  readonly #state = new Uint32Array(N);
  #index = N;

  /** @param seed 0 to 2^32 - 1 */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = 19650218;
    for (let i = 1; i < N; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ state[i - 1] >>> 30) + i;
    // init_by_array of the reference implementation, for a key of one word.
    let i = 1;
    const step = (): void => {
      if (++i < N) return;
      state[0] = state[N - 1];
      i = 1;
    };
    for (let k = 0; k < N; k++, step()) state[i] = (state[i] ^ Math.imul(state[i - 1] ^ state[i - 1] >>> 30, 1664525)) + seed;
    for (let k = 1; k < N; k++, step()) state[i] = (state[i] ^ Math.imul(state[i - 1] ^ state[i - 1] >>> 30, 1566083941)) - i;
    state[0] = 0x80000000;
  }

  /** The next 32 bits. */
  next(): number {
    if (this.#index === N) this.#refill();
    let y = this.#state[this.#index++];
    y ^= y >>> 11;
    y ^= y << 7 & 0x9d2c5680;
    y ^= y << 15 & 0xefc60000;
    return (y ^ y >>> 18) >>> 0;
  }

  /** An integer from 0 to n - 1, n below 2^32: as many bits as n has, drawn again while they are too large. */
  below(n: number): number {
    const bits = 32 - Math.clz32(n);
    let drawn = n;
    while (drawn >= n) drawn = this.next() >>> 32 - bits;
    return drawn;
  }

  /** Shuffles in place, from the end on. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }

  #refill(): void {
    const state = this.#state;
    for (let k = 0; k < N; k++) {
      const y = state[k] & 0x80000000 | state[(k + 1) % N] & 0x7fffffff;
      state[k] = state[(k + M) % N] ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#index = 0;
  }
}
