/** An engine for tests of the benchmark: it is told what is right, and does so, or fails in one way. */
import type { Engine } from '../../../bench/peers/isolated.ts';
import { timed } from '../../../src/benchmark/contest.ts';
import type { AbsentPeer } from '../../../src/benchmark/types.ts';

export type Manner = 'right' | 'wrong' | 'throws' | 'hangs' | 'dies' | 'absent';

export interface EngineOptions {
  readonly manner: Manner;
  /** By the problem's name. */
  readonly results: Readonly<Record<string, readonly number[]>>;
}

export async function open({ manner, results }: EngineOptions): Promise<Engine | AbsentPeer> {
  const name = `one that is ${manner}`;
  if (manner === 'absent') return { name, absent: 'install it' };
  return {
    name, beside: ['cpu'], versions: {}, ops: ['softmaxCrossEntropy'],
    async enter({ name: of }) {
      return {
        name, dispose: () => undefined,
        run: (times) => timed(times, () => {
          if (manner === 'throws') throw new Error('no such kernel\n    at a place');
          if (manner === 'dies') process.exit(3);
          // No timer of its own process would ever have its turn.
          while (manner === 'hangs');
        }),
        result: async () => [Float32Array.from(results[of], (v) => (manner === 'wrong' ? v + 1 : v))],
      };
    },
  };
}
