/**
 * Where a software adapter's work is cut: it blocks JavaScript while it computes, so a run is submitted in segments between which timers
 * and signals have their turn. Where the cuts are changes no result.
 */

/** Segments are kept about this long, and cut again where they are far from it. */
const SEGMENT_MS = 50;

/** First guess of an adapter's speed, by which the first run is cut; later runs are cut by what earlier ones took. */
const FIRST_GUESS_FLOP_PER_MS = 5e6;
const FIRST_GUESS_LAUNCH_MS = 0.2;

export class Segments {
  /** Estimated milliseconds of each launch. */
  readonly #cost: number[];
  #ends: readonly number[];

  /** @param flop of each launch */
  constructor(flop: readonly number[]) {
    this.#cost = flop.map((f) => FIRST_GUESS_LAUNCH_MS + f / FIRST_GUESS_FLOP_PER_MS);
    this.#ends = cut(this.#cost);
  }

  /** The launch after the last of each segment. */
  get ends(): readonly number[] {
    return this.#ends;
  }

  /** Cuts again where segments took far longer than they should, or, on the average, far less: each costs a turn and a submit. */
  took(ms: readonly number[]): void {
    const long = ms.some((one, s) => one > 2 * SEGMENT_MS && this.#ends[s] - (this.#ends[s - 1] ?? 0) > 1);
    const short = ms.length > 1 && ms.reduce((a, b) => a + b, 0) / ms.length < SEGMENT_MS / 4;
    if (!long && !short) return;
    let start = 0;
    this.#ends.forEach((end, s) => {
      let estimated = 0;
      for (let i = start; i < end; i++) estimated += this.#cost[i];
      // What takes no time at all still has a share, so that the next estimate is not divided by zero.
      for (let i = start; i < end; i++) this.#cost[i] *= Math.max(ms[s], 1e-3) / estimated;
      start = end;
    });
    this.#ends = cut(this.#cost);
  }
}

/** Ends of segments of at most SEGMENT_MS, or one launch. */
function cut(cost: readonly number[]): number[] {
  const ends: number[] = [];
  let sum = 0;
  cost.forEach((ms, i) => {
    if (sum > 0 && sum + ms > SEGMENT_MS) {
      ends.push(i);
      sum = 0;
    }
    sum += ms;
  });
  ends.push(cost.length);
  return ends;
}
