/** The clock: contestants check out first, then take turns, each within its limit. */
import type { HalfType } from '../device/types.ts';
import type { Gate } from './gate.ts';
import type { Clock, Contestant, Entry } from './types.ts';

/** Runs of one contestant before the next has its turn: threads of the one before have gone to sleep by the second. */
const TURN = 5;

/** With a gate: a turn takes no longer than this many milliseconds, so that what was free before and after it was free throughout. */
const GATED_MS = 20;
/** How many times its runs a contestant makes at most, to have enough of them with all cores; and how many are enough to count alone. */
const PATIENCE = 5;
const ENOUGH = 5;

export interface ContestOptions {
  /** Counted runs of each contestant. */
  readonly runs: number;
  /** Runs before the check of results. */
  readonly warmUps: number;
  /** How many are begun before one waits for the last of them, default 1: a GPU is asked for the next while it computes, as training does. */
  readonly queued?: number;
  /** By which runs are timed, default the host's. */
  readonly clock?: Clock | undefined;
  /** Seconds that one contestant may take in all; slow ones make fewer runs, and those that can be abandoned none past it. */
  readonly limit: number;
  /** Runs count where all cores were there before and after them. Absent: all do. */
  readonly gate?: Gate | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `rounded`: as a contestant has it. */
export type ResultCheck = (results: readonly ArrayLike<number>[], who: string, rounded?: HalfType) => void;

/** Results of a contestant that passed its own check. */
export interface Outcome {
  readonly who: string;
  readonly results: readonly ArrayLike<number>[];
  readonly rounded?: HalfType | undefined;
}

export interface Check {
  /** Throws where results are wrong by themselves. */
  readonly one: ResultCheck;
  /** Of results beside each other: whose are wrong, and why. */
  readonly among?: (outcomes: readonly Outcome[]) => ReadonlyMap<string, string>;
}

/** Bytes of results that are held for `among`; who comes after is checked by itself alone. */
const HELD = 1 << 30;

/** Milliseconds of a run, so many times: each of `queued` runs in a row, after which `finish` waits for the last. */
export async function timed(times: number, run: () => Promise<void> | void, queued = 1, finish?: () => Promise<void>): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    for (let n = 0; n < queued; n++) await run();
    await finish?.();
    milliseconds.push((performance.now() - start) / queued);
  }
  return milliseconds;
}

/** Thrown by `within`, after it has abandoned the work. */
export class TooSlow extends Error {}

/** What `work` gives, unless that takes more than so many seconds or the signal is aborted: then `abandon` ends it. */
export async function within<T>(seconds: number, work: () => Promise<T>, abandon: () => void, signal?: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new TooSlow()), Math.max(0, seconds * 1000));
    const abort = (): void => reject(signal!.reason as Error);
    signal?.addEventListener('abort', abort);
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
  });
  const working = work();
  try {
    return await Promise.race([working, stopped]);
  } catch (error) {
    // What became of work that was abandoned is nobody's concern.
    working.catch(() => undefined);
    if (error instanceof TooSlow || signal?.aborted) abandon();
    throw error;
  } finally {
    stop();
  }
}

/**
 * Compares the contestants' results, then times them in turns: other work on the machine meets all alike. One that throws, whose
 * results are wrong or that is too slow leaves an entry that says so, without times; the others go on.
 *
 * @param check says where a result is wrong: a kernel that computes nothing is fast
 */
export async function contest(contestants: readonly Contestant[], check: Check, options: ContestOptions): Promise<Entry[]> {
  const attempts = contestants.map((contestant) => new Attempt(contestant, options));
  const outcomes: Outcome[] = [];
  let room = HELD;
  for (const attempt of attempts) {
    const results = await attempt.warmUp(check.one);
    if (results === undefined || check.among === undefined) continue;
    room -= 4 * results.reduce((sum, r) => sum + r.length, 0);
    if (room >= 0) outcomes.push({ who: attempt.name, results, rounded: attempt.rounded });
  }
  const wrong = check.among?.(outcomes.splice(0));
  for (const attempt of attempts) attempt.fail(wrong?.get(attempt.name));
  for (let more = true; more;) {
    more = false;
    for (const attempt of attempts) if (await attempt.turn()) more = true;
  }
  const entries: Entry[] = [];
  for (const attempt of attempts) entries.push(await attempt.entry());
  return entries;
}

/** How many runs of `milliseconds` there is time for. */
export function runsWithin({ runs, limit }: Pick<ContestOptions, 'runs' | 'limit'>, milliseconds: number): number {
  return Math.max(1, Math.min(runs, Math.floor((limit * 1000) / milliseconds)));
}

/** What an entry says of one that is over its limit. */
export function tooSlow(seconds: number, limit: number, how = ''): string {
  return `too slow: ${seconds >= 10 ? seconds.toFixed(0) : seconds.toPrecision(2)} s a run${how}, limit ${limit} s a row`;
}

/** One contestant's way through a contest. */
class Attempt {
  readonly #contestant: Contestant;
  readonly #options: ContestOptions;
  readonly #milliseconds: number[] = [];
  /** Of runs in which some core was not there. */
  readonly #disturbed: number[] = [];
  /** Runs that it should make. */
  #runs = 0;
  /** Milliseconds that it took so far, and of its last run. */
  #spent = 0;
  #last: number | undefined;
  #end: Pick<Entry, 'absent' | 'failed'> | undefined;

  constructor(contestant: Contestant, options: ContestOptions) {
    this.#contestant = contestant;
    this.#options = options;
  }

  get name(): string {
    return this.#contestant.name;
  }

  get rounded(): HalfType | undefined {
    return this.#contestant.rounded;
  }

  fail(why: string | undefined): void {
    if (why !== undefined) this.#end = { failed: why };
  }

  /** Its results, where they are the problem's and right. */
  async warmUp(check: ResultCheck): Promise<Outcome['results'] | undefined> {
    const { warmUps, runs, limit, queued = 1 } = this.#options;
    // By the host: a GPU's clock takes runs ahead, and updates go on from the one before.
    for (let i = 0; i < warmUps && this.#end === undefined; i++) await this.#run(1, 1, 'host');
    const results = await this.#held(() => this.#contestant.result());
    if (results === undefined) return undefined;
    try {
      if (!this.#contestant.yardstick) check(results, this.name, this.rounded);
    } catch (error) {
      this.#end = { failed: firstLine(error) };
      return undefined;
    }
    this.#runs = runsWithin({ runs, limit: limit - this.#spent / 1000 }, this.#last! * queued);
    return this.#contestant.yardstick ? undefined : results;
  }

  /** True where there are more to come. */
  async turn(): Promise<boolean> {
    const { gate, queued = 1, limit } = this.#options;
    const missing = this.#runs - this.#milliseconds.length;
    const made = this.#milliseconds.length + this.#disturbed.length;
    const left = Math.min(missing, PATIENCE * this.#runs - made);
    if (left <= 0 || this.#end !== undefined || (made >= this.#runs && this.#spent >= limit * 1000)) return false;
    const short = gate === undefined ? TURN : Math.floor(GATED_MS / Math.max(this.#last!, 1));
    const opened = await gate?.opens();
    const milliseconds = await this.#run(Math.min(left, Math.max(1, Math.min(TURN, short))), queued);
    const free = gate === undefined || (opened === true && await gate.free());
    (free ? this.#milliseconds : this.#disturbed).push(...milliseconds);
    return this.#end === undefined && this.#milliseconds.length < this.#runs;
  }

  async entry(): Promise<Entry> {
    const { name: contestant } = this.#contestant;
    const facts = await this.#held(async () => this.#contestant.facts?.());
    // Who was stopped in a later turn keeps the runs before it; a failure takes all.
    if (this.#end?.failed !== undefined || this.#milliseconds.length + this.#disturbed.length === 0) return { contestant, milliseconds: [], ...this.#end };
    const disturbed = this.#disturbed.length > 0 ? { disturbed: this.#disturbed } : {};
    if (this.#milliseconds.length >= Math.min(ENOUGH, this.#runs)) return { contestant, milliseconds: this.#milliseconds, ...disturbed, facts };
    return { contestant, milliseconds: [...this.#milliseconds, ...this.#disturbed], ...(this.#disturbed.length > 0 && { shared: true as const }), facts };
  }

  async #run(times: number, queued: number, clock = this.#options.clock): Promise<number[]> {
    const milliseconds = await this.#held(() => this.#contestant.run(times, queued, clock)) ?? [];
    const wrong = milliseconds.find((ms) => !(ms >= 0));
    if (wrong !== undefined) this.#end = { failed: `a run took ${wrong} ms` };
    this.#last = milliseconds.at(-1) ?? this.#last;
    return milliseconds;
  }

  /** Does some of its work within what is left of its time; undefined where it is at its end. */
  async #held<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#end !== undefined) return undefined;
    const { limit, signal } = this.#options;
    signal?.throwIfAborted();
    const { abandon } = this.#contestant;
    const started = performance.now();
    try {
      return await (abandon === undefined ? work() : within(limit - this.#spent / 1000, work, () => this.#contestant.abandon!(), signal));
    } catch (error) {
      signal?.throwIfAborted();
      this.#end = error instanceof TooSlow ? { absent: tooSlow((this.#last ?? limit * 1000) / 1000, limit, this.#last === undefined ? ' or more' : '') }
        : { failed: firstLine(error) };
      return undefined;
    } finally {
      this.#spent += performance.now() - started;
    }
  }
}

export const firstLine = (error: unknown): string => (error as Error).message.split('\n')[0];
