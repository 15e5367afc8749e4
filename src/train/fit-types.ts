/** What `fit` takes, tells while it trains, and gives. */
import type { Augmentation } from '../data/augment.ts';
import type { Dataset } from '../data/dataset.ts';
import type { EachEpoch } from '../data/each-epoch.ts';
import type { LoaderOptions } from '../data/loader.ts';
import type { SamplerKind, SamplerOptions } from '../data/sampler.ts';
import type { Device } from '../device/types.ts';
import type { InitializeOptions, ParameterArrays } from '../nn/parameters.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import type { Schedule } from '../optim/schedules.ts';
import type { ClassWeights } from './class-weights.ts';
import type { PredictedBatch } from './evaluate.ts';
import type { Metric } from './eval-metric.ts';
import type { FeatureStore } from './features.ts';
import type { EpochRecord } from './history.ts';
import type { Network } from './network.ts';
import type { OptimizerChoice } from './optimizer.ts';
import type { Normalization, NormalizationKind } from './preprocess.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import type { Unfreezing } from './stage.ts';
import type { BootstrapOptions } from './statistics.ts';

export interface FitOptions {
  /** The network; its softmax head, if it has one, gives way to the weighted loss. */
  readonly symbol: ModelSymbol;
  /** The same network with other layers frozen, from later epochs on. At each the optimizer's state begins anew. */
  readonly unfreezings?: readonly Unfreezing[];
  readonly data: Dataset;
  /** Dataset indices of the training part. */
  readonly train: ArrayLike<number>;
  /** Dataset indices of the validation part; without it the last epoch counts as the best. */
  readonly validation?: ArrayLike<number>;
  /** The dataset that these are of, with images of the same shape and the same classes. Default `data`. */
  readonly validationData?: Dataset;
  readonly epochs: number;
  readonly batch: number;
  /** Default SGD with momentum 0.9. */
  readonly optimizer?: OptimizerChoice;
  /** A rate, or one by time. Default 0.05. */
  readonly learningRate?: number | Schedule;
  /** Default 'none'. */
  readonly classWeights?: ClassWeights;
  /** Default 'none': every sample once an epoch. */
  readonly sampler?: SamplerKind;
  /** In place of a sampler: draws each epoch's samples, and what becomes of each. */
  readonly eachEpoch?: EachEpoch;
  readonly samplerOptions?: Pick<SamplerOptions, 'annealed' | 'epochSize' | 'remainder'>;
  /** What may happen to images of the training part: a list, or words as in `parseAugmentations`. Default 'none'. */
  readonly augment?: string | readonly Augmentation[];
  /** A way of normalising, with figures taken from the training part, or figures. Default 'channel'. */
  readonly normalization?: NormalizationKind | Normalization;
  /** First values of the parameters: an initializer, or a checkpoint's arrays. */
  readonly initialize?: Omit<InitializeOptions, 'seed'>;
  /** An integer from 0 to 2^31 - 1; default 0. */
  readonly seed?: number;
  /** Default 'auto'. */
  readonly device?: string | Device;
  /** Computes cheap values of the forward pass again in the backward pass, for less memory; bits stay. Default false. */
  readonly recompute?: boolean;
  /** Mixed precision with a dynamic loss scale; needs a device with float16. Default false. Validation is in float32 either way. */
  readonly mixed?: boolean;
  /**
   * Computes once what a frozen part gives for each image, where nothing is augmented before it, and trains on that; the bits are the
   * same. Default true.
   */
  readonly cacheFeatures?: boolean;
  /** Keeps these features beyond the run. */
  readonly featureStore?: FeatureStore;
  readonly loader?: LoaderOptions;
  readonly bootstrap?: BootstrapOptions;
  /** Where to go on from: a snapshot of a run with these same options. */
  readonly resume?: TrainingSnapshot;
  /** When aborted, the step under way is finished and `fit` returns with `interrupted`. */
  readonly signal?: AbortSignal;
  /** Called in order. */
  readonly callbacks?: FitCallbacks | readonly FitCallbacks[];
  /** Figures of both parts each epoch, beside those that every run has; see `accuracy`, `multiAce`, `multiMetric`. Default none. */
  readonly metric?: Metric;
}

/** Each may return a promise, which is awaited. */
export interface FitCallbacks {
  /** All is made, nothing has run. */
  onStart?(start: FitStart, run: FitState): unknown;
  /** Features of a frozen part, before the first epoch that trains on them. */
  onFeatures?(done: number, total: number): unknown;
  /** Before an epoch's first batch; not where a run goes on within an epoch. */
  onEpochStart?(start: EpochStart): unknown;
  onBatch?(batch: BatchReport): unknown;
  /** Of the validation after an epoch. */
  onValidation?(done: number, total: number): unknown;
  onEpoch?(record: EpochRecord, run: FitState): unknown;
  /** The signal was aborted; the step is finished. */
  onInterrupt?(run: FitState): unknown;
}

export interface FitStart {
  readonly network: Network;
  readonly device: Device;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
  /** Updates that were done before, in a resumed run. */
  readonly updates: number;
}

export interface EpochStart {
  /** From 1. */
  readonly epoch: number;
  /** Updates so far, of all epochs. */
  readonly updates: number;
}

export interface BatchReport extends EpochStart {
  /** From 1, of `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly batch: number;
  /** Of the step before; NaN at first. */
  readonly loss: number;
  /** Mean of the epoch so far; NaN at first. */
  readonly objective: number;
}

/** What can be kept of a run between two steps. */
export interface FitState {
  readonly history: readonly EpochRecord[];
  readonly best: EpochRecord | undefined;
  /** As it is trained at the time: where layers are unfrozen later, another one from then on. */
  readonly network: Network;
  /** All that `resume` needs. */
  snapshot(): Promise<TrainingSnapshot>;
  /** Parameters and moving statistics, as they lie in memory: all, or those alone that have learnt in the run. */
  parameters(which?: 'all' | 'learnt'): Promise<ParameterArrays>;
}

export interface FitResult extends FitState {
  readonly device: Device;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
  readonly interrupted: boolean;
  /** Logits of samples of a dataset by the network as it is now, in inference mode. */
  predict(data: Dataset, indices: ArrayLike<number>): Promise<Float32Array>;
  /** The same batch by batch, for more samples than should be held in memory at once. */
  predictBatches(data: Dataset, indices: ArrayLike<number>): AsyncGenerator<PredictedBatch, void, void>;
  /** Frees the parameters and all that was compiled. The device stays open. */
  dispose(): void;
}
