/** What `fit` makes of its options before there is a network: the figures that hold for all of a run, and the order of its samples. */
import { parseAugmentations } from '../data/augment-text.ts';
import { Augmenter } from '../data/augmenter.ts';
import { classCounts } from '../data/dataset.ts';
import { TrainLoader } from '../data/loader.ts';
import { Sampler } from '../data/sampler.ts';
import type { Device } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { LossScale } from '../optim/loss-scale.ts';
import type { Schedule } from '../optim/schedules.ts';
import { fixed } from '../optim/schedules.ts';
import { resolveClassWeights } from './class-weights.ts';
import type { FitOptions } from './fit-types.ts';
import type { Normalization } from './preprocess.ts';
import { measureNormalization } from './preprocess.ts';
import type { StageContext } from './stage.ts';

export interface FitContext extends StageContext {
  readonly schedule: Schedule;
  readonly sampler: Sampler;
}

/** @throws OptionError for options that do not go with each other or with the data */
export function fitContext(options: FitOptions, device: Device): FitContext {
  const { data, train, batch, seed = 0, learningRate = 0.05, sampler: kind, eachEpoch } = options;
  const augmenter = augmenterOf(options);
  const sampler = new Sampler(data.labels, train, { kind, eachEpoch, classes: data.classes, batch, seed, ...options.samplerOptions });
  return {
    options, device, augmenter, sampler,
    normalization: normalizationOf(options),
    classWeights: resolveClassWeights(options.classWeights ?? 'none', classCounts(data, train)),
    lossScale: options.mixed ? new LossScale({ device }) : undefined,
    schedule: scheduleOf(learningRate),
    makeLoader: (input) => new TrainLoader(input, sampler, options.loader, augmenter),
  };
}

/** A schedule that gives a rate or throws: what is a user's own is held to that before any update. */
function scheduleOf(learningRate: number | Schedule): Schedule {
  if (typeof learningRate === 'number') return fixed(learningRate);
  const checked: Schedule = ({ update, epoch }) => {
    const rate: unknown = learningRate({ update, epoch });
    if (typeof rate === 'number' && Number.isFinite(rate) && rate >= 0) return rate;
    throw new OptionError(`learningRate: expected a number of 0 or more, the schedule gives ${String(rate)} at epoch ${epoch}, update ${update}`);
  };
  checked({ update: 1, epoch: 1 });
  return checked;
}

function normalizationOf({ data, train, normalization = 'channel' }: FitOptions): Normalization {
  if (typeof normalization !== 'string') return normalization;
  return data.features ? { mean: [0], deviation: [1], window: 0 } : measureNormalization(data, train, normalization);
}

/** @throws OptionError for augmentations that do not go with the data */
function augmenterOf({ augment = 'none', data, seed = 0 }: FitOptions): Augmenter {
  const list = typeof augment === 'string' ? parseAugmentations(augment) : augment;
  if (data.features && list.length > 0) throw new OptionError(`augment: the samples of ${data.name} are features, not images: expected none`);
  return new Augmenter(list, { classes: data.classes, shape: data.shape, seed });
}
