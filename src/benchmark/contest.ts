/** The clock: contestants check out first, then take turns. */
import { BenchmarkError } from '../errors.ts';
import type { Contestant, Entry } from './types.ts';

/** Runs of one contestant before the next has its turn: threads of the one before have gone to sleep by the second. */
const TURN = 5;

export interface ContestOptions {
  /** Counted runs of each contestant. */
  readonly runs: number;
  /** Runs before the check of results. */
  readonly warmUps: number;
  /** Seconds that one contestant may take in all; slow ones make fewer runs, at least one. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/** Milliseconds of each of so many runs, one after another. */
export async function timed(times: number, run: () => Promise<void> | void): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    await run();
    milliseconds.push(performance.now() - start);
  }
  return milliseconds;
}

/**
 * Compares the contestants' results, then times them in turns: other work on the machine meets all alike.
 *
 * @param check throws where a result is wrong: a kernel that computes nothing is fast
 */
export async function contest(
  contestants: readonly Contestant[], check: (results: readonly ArrayLike<number>[], who: string) => void, options: ContestOptions,
): Promise<Entry[]> {
  const runs: number[] = [];
  for (const contestant of contestants) {
    options.signal?.throwIfAborted();
    const warm = await contestant.run(options.warmUps);
    check(await contestant.result(), contestant.name);
    runs.push(runsWithin(options, warm.at(-1)!));
  }
  const samples = contestants.map((): number[] => []);
  while (samples.some((s, i) => s.length < runs[i])) {
    for (const [i, contestant] of contestants.entries()) {
      options.signal?.throwIfAborted();
      const times = Math.min(TURN, runs[i] - samples[i].length);
      if (times > 0) samples[i].push(...await contestant.run(times));
    }
  }
  const entries: Entry[] = [];
  for (const [i, contestant] of contestants.entries()) {
    if (samples[i].some((ms) => !(ms >= 0))) throw new BenchmarkError(`${contestant.name}: a run took ${samples[i].find((ms) => !(ms >= 0))} ms`);
    entries.push({ contestant: contestant.name, milliseconds: samples[i], facts: await contestant.facts?.() });
  }
  return entries;
}

/** How many runs of `milliseconds` there is time for. */
export function runsWithin({ runs, limit }: Pick<ContestOptions, 'runs' | 'limit'>, milliseconds: number): number {
  return Math.max(1, Math.min(runs, Math.floor((limit * 1000) / milliseconds)));
}
