/** Calls of a group's compiled functions, one a rank, at the same time. */
import { GraphError } from '../errors.ts';
import { exclusively } from '../graph/evaluate.ts';
import type { CompiledFunction } from './compile.ts';

/**
 * One function of the compiled functions of a group's ranks, in their order: it takes the arguments of each, an array a rank, and gives
 * what each returns. Their Programs run at the same time and meet where an all-reduce stands.
 *
 * @throws GraphError for another number of arguments; whatever a rank throws, after which the group is of no more use
 */
export function together<A extends readonly unknown[], R>(
  functions: readonly CompiledFunction<A, R>[],
): (...args: readonly A[]) => Promise<R[]> {
  return async (...args) => {
    if (args.length !== functions.length) {
      throw new GraphError(`${functions.length} ranks need as many arrays of arguments, got ${args.length}`);
    }
    const turns = await Promise.all(functions.map((one, rank) => one.turn(...args[rank])));
    return exclusively(async () => {
      const ends = await Promise.allSettled(turns.map((turn) => turn()));
      const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []));
      // What the others say is that they waited in vain.
      if (errors.length > 0) throw errors.find((error) => !errors.some((other) => error.cause === other)) ?? errors[0];
      return ends.map((end) => (end as PromiseFulfilledResult<R>).value);
    });
  };
}
