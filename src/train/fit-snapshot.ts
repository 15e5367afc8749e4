/** Where a run stands, out of its variables into a snapshot and back. */
import { DataError, OptionError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { FitContext } from './fit-context.ts';
import type { EpochProgress, EpochRecord } from './history.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import { under } from './snapshot.ts';
import type { StageSequence } from './stage-sequence.ts';

/** Where a run stands between two steps. */
export interface Standing {
  /** Of the epochs finished. */
  readonly history: EpochRecord[];
  /** The epoch under way. */
  progress: EpochProgress;
  updates: number;
  /** Of the last update; NaN before the first. */
  learningRate: number;
}

/** The epoch under way, from 1; between two epochs the last one. */
export function currentEpoch({ history, progress }: Standing): number {
  return history.length + (progress.steps > 0 ? 1 : 0);
}

export async function takeSnapshot(
  { options, lossScale }: FitContext, stages: StageSequence, standing: Standing,
): Promise<TrainingSnapshot> {
  const { history, progress, updates, learningRate } = standing;
  const tensors = new Map<string, HostArray>();
  const { arguments: learned, auxiliary } = await stages.parameters(stages.learnt(currentEpoch(standing)));
  for (const [name, array] of [...learned, ...auxiliary]) tensors.set(`parameter/${name}`, array);
  for (const [name, array] of await stages.current.optimizer.saveState()) tensors.set(`optimizer/${name}`, array);
  for (const [name, array] of await lossScale?.saveState() ?? []) tensors.set(`loss-scale/${name}`, array);
  const { taken, steps, seconds } = progress;
  const within = steps > 0;
  if (within) for (const [name, array] of progress.save()) tensors.set(`epoch/${name}`, array);
  return {
    epoch: history.length, updates, seed: options.seed ?? 0, sampler: stages.place,
    history: [...history], tensors, ...(within ? { partial: { taken, steps, seconds, learningRate } } : {}),
  };
}

/**
 * Puts a run that has just begun where the snapshot was taken.
 *
 * @throws OptionError for another seed; DataError for a network or an order of samples that the snapshot is not of
 */
export async function restoreSnapshot(
  { options, lossScale }: FitContext, stages: StageSequence, standing: Standing, saved: TrainingSnapshot,
): Promise<void> {
  const { seed = 0 } = options;
  if (saved.seed !== seed) throw new OptionError(`seed: the state was saved with ${saved.seed}, got ${seed}`);
  const parameters = under(saved.tensors, 'parameter');
  const learnt = stages.learnt(saved.epoch + (saved.partial ? 1 : 0));
  for (const [name, variable] of stages.current.network.variables.all) {
    if (!learnt.has(name)) continue;
    const array = parameters.get(name);
    if (array === undefined) throw new DataError(`the state has no parameter "${name}"`);
    if (array.shape.join() !== variable.shape.join()) {
      throw new DataError(`parameter "${name}": the network has [${variable.shape}], the state [${array.shape}]`);
    }
    await variable.set(array.data as Float32Array);
  }
  // Where the next epoch unfreezes layers its optimizer begins anew.
  const anew = saved.epoch > 0 && stages.beginsWith(saved.epoch + 1) && saved.partial === undefined;
  if (!anew) await stages.current.optimizer.loadState(under(saved.tensors, 'optimizer'));
  await lossScale?.loadState(under(saved.tensors, 'loss-scale'));
  stages.takeUp(saved.sampler);
  standing.updates = saved.updates;
  standing.history.push(...saved.history);
  standing.learningRate = saved.history.at(-1)?.learningRate ?? NaN;
  if (saved.partial) {
    const { taken, steps, seconds, learningRate } = saved.partial;
    Object.assign(standing.progress, { taken, steps, seconds });
    standing.learningRate = learningRate;
    standing.progress.load(under(saved.tensors, 'epoch'));
  }
}
