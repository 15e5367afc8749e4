/** What a run's options mean to `fit`. */
import type { Device } from '../device/types.ts';
import type { FitOptions } from './fit-types.ts';
import { buildModel } from './models.ts';
import type { NormalizationKind } from './preprocess.ts';
import type { Resumed } from './resumed.ts';
import type { RunData } from './run-data.ts';
import type { OptimizerChoice } from './optimizer.ts';
import type { ResolvedOptions } from './run-options.ts';
import { learningRateSchedule } from './run-options.ts';

/** The optimizer that options ask for. */
export function optimizerOf({ optimizer, momentum, weightDecay, clipGradient }: ResolvedOptions): OptimizerChoice {
  return optimizer === 'sgd' ? { kind: 'sgd', momentum, weightDecay, clipGradient } : { kind: 'adam', weightDecay, clipGradient };
}

export async function fitOptionsOf(
  options: ResolvedOptions, { dataset, split }: RunData, device: Device, resumed: Pick<Resumed, 'config' | 'snapshot'> | undefined,
): Promise<FitOptions> {
  const stepsAnEpoch = Math.max(1, Math.floor(split.train.length / options.batch));
  return {
    symbol: buildModel(options, dataset.classes.length), data: dataset, train: split.train,
    validation: split.validation.length > 0 ? split.validation : undefined,
    epochs: options.epochs, batch: options.batch,
    optimizer: optimizerOf(options),
    learningRate: await learningRateSchedule(options, stepsAnEpoch),
    classWeights: options.classWeights, sampler: options.sampler, augment: options.augment,
    normalization: resumed?.config.normalization ?? (options.normalize as NormalizationKind),
    seed: options.seed, device, loader: { workers: options.workers },
    recompute: options.recompute === 'on', mixed: options.mixed, resume: resumed?.snapshot,
  };
}
