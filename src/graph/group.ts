/** Programs that compute together, one on each device: data parallelism's seam. */
import { GraphError, OptionError } from '../errors.ts';

/** One member of a group, as its Program sees it. */
export interface Rank {
  /** From 0. */
  readonly rank: number;
  readonly ranks: number;
  /**
   * Replaces the values by their sums over all ranks, which are added in the order of the ranks, so that all get the same bits.
   * Resolves when all are there.
   *
   * @throws GraphError where another rank failed, or brought another number of values
   */
  allReduce(values: Float32Array): Promise<void>;
  /** Lets the others, who would wait for ever, know that this rank comes no more: their sums throw, now and later. */
  fail(error: unknown): void;
}

/** A sum that ranks wait for. */
interface Meeting {
  readonly brought: (Float32Array | undefined)[];
  readonly over: Promise<void>;
  end(error?: GraphError): void;
}

/**
 * A group within this process.
 *
 * @throws OptionError where the number of ranks is no integer of 1 or more
 */
export function localGroup(ranks: number): Rank[] {
  if (!Number.isInteger(ranks) || ranks < 1) throw new OptionError(`a group needs an integer of 1 or more ranks, got ${ranks}`);
  let meeting: Meeting | undefined;
  let failure: GraphError | undefined;
  const meet = (): Meeting => {
    let end!: Meeting['end'];
    const over = new Promise<void>((resolve, reject) => (end = (error) => (error ? reject(error) : resolve())));
    over.catch(() => {}); // reported to those who wait
    return { brought: Array.from({ length: ranks }, () => undefined), over, end };
  };
  const fail = (error: GraphError): void => {
    failure ??= error;
    meeting?.end(failure);
    meeting = undefined;
  };
  return Array.from({ length: ranks }, (_, rank): Rank => ({
    rank, ranks,
    async allReduce(values) {
      if (failure) throw failure;
      const mine = meeting ??= meet();
      mine.brought[rank] = values;
      const all = mine.brought.filter((one) => one !== undefined);
      if (all.length === ranks) {
        meeting = undefined;
        const other = all.findIndex((one) => one.length !== all[0].length);
        if (other >= 0) {
          const text = `all-reduce: rank 0 brought ${all[0].length} values, rank ${other} ${all[other].length}`;
          failure = new GraphError(text);
          mine.end(failure);
        } else {
          sumInOrder(all);
          mine.end();
        }
      }
      await mine.over;
    },
    fail(error) {
      const cause = error instanceof Error ? error.message : String(error);
      fail(new GraphError(`all-reduce: rank ${rank} failed: ${cause}`, { cause: error }));
    },
  }));
}

/** ((first + second) + third) + ..., each sum rounded to float32, to all of them. */
function sumInOrder([first, ...others]: readonly Float32Array[]): void {
  for (const other of others) for (let i = 0; i < first.length; i++) first[i] += other[i];
  for (const other of others) other.set(first);
}
