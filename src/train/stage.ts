/**
 * A stretch of epochs in which the same layers learn: the optimizer over them, the compiled steps, and the batches, which hold features
 * in place of images where all before them is frozen. At the epoch of an unfreezing the next stage is made.
 */
import type { Augmenter } from '../data/augmenter.ts';
import type { Dataset } from '../data/dataset.ts';
import type { TrainLoader } from '../data/loader.ts';
import type { SamplerState } from '../data/sampler.ts';
import type { Device } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { frozenPart } from '../nn/blocks.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import type { LossScale } from '../optim/loss-scale.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import { judge, predictBatches, predictLogits } from './evaluate.ts';
import type { JudgeOptions, Judgement, PredictedBatch, PredictOptions } from './evaluate.ts';
import type { FeatureHooks } from './features.ts';
import { FeatureSource, chunk, fitsInMemory, restOf } from './features.ts';
import type { FitOptions } from './fit-types.ts';
import type { RunMemory } from './fits.ts';
import { planRun } from './fits.ts';
import { createNetwork } from './network.ts';
import type { Network } from './network.ts';
import { createOptimizer } from './optimizer.ts';
import type { Normalization } from './preprocess.ts';
import { EvaluationStep, TrainStep } from './step.ts';

/** What stays the same through all stages of a run. */
export interface StageContext {
  readonly options: FitOptions;
  readonly device: Device;
  readonly augmenter: Augmenter;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
  readonly lossScale: LossScale | undefined;
  /** Batches of a dataset, in the run's order. */
  readonly makeLoader: (data: Dataset) => TrainLoader;
}

/** From an epoch on, counted from 1, the same network with other attributes: other layers are frozen, or learn at other rates. */
export interface Unfreezing {
  readonly epoch: number;
  readonly symbol: ModelSymbol;
}

/** The epoch in which the stage of `epoch` begins, and its symbol. @throws OptionError for epochs that do not ascend from 2 on */
export function stageAt({ symbol, unfreezings = [] }: Pick<FitOptions, 'symbol' | 'unfreezings'>, epoch: number): Unfreezing {
  unfreezings.forEach((one, i) => {
    const least = i === 0 ? 2 : unfreezings[i - 1].epoch + 1;
    if (!Number.isInteger(one.epoch) || one.epoch < least) {
      throw new OptionError(`unfreezings: expected epochs from ${least} on, ascending, got ${one.epoch}`);
    }
  });
  return unfreezings.findLast((one) => one.epoch <= epoch) ?? { epoch: 1, symbol };
}

export class Stage {
  readonly network: Network;
  readonly optimizer: Optimizer;
  readonly trainStep: TrainStep;
  readonly evaluationStep: EvaluationStep;
  /** What gives the features that stand in place of images, where some do. */
  readonly features: FeatureSource | undefined;
  readonly #context: StageContext;
  /** Of images, where the other is of features. */
  #imageStep: EvaluationStep | undefined;
  /** The network as the steps see it: of features, its rest. */
  readonly #reader: Network;
  #loader: TrainLoader | undefined;

  /** @param values the parameters as the stage before left them; at first those of `options.initialize` */
  constructor(context: StageContext, symbol: ModelSymbol, values?: ParameterArrays) {
    const { options, device, augmenter, normalization, classWeights, lossScale } = context;
    const { data, seed = 0, recompute, batch, loader } = options;
    this.#context = context;
    this.network = createNetwork(symbol, data, { ...options.initialize, seed }, values);
    const { network } = this;
    if (network.variables.trainable.length === 0) throw new OptionError('all layers of the network are frozen: there is nothing to learn');
    this.optimizer = createOptimizer(network, options.optimizer ?? { kind: 'sgd' }, device);
    const part = this.#cachedPart();
    this.#reader = part ? restOf(network, part) : network;
    if (part) {
      this.features = new FeatureSource({ network, part, device, normalization, batch, loader, store: options.featureStore });
    }
    const step = { network: this.#reader, device, normalization };
    this.trainStep = new TrainStep({ ...step, classWeights, optimizer: this.optimizer, lossScale, seed, augmenter, recompute });
    this.evaluationStep = new EvaluationStep(step);
  }

  /** Nothing drawn may come before features; in mixed precision they would be others than those of a step. */
  #cachedPart() {
    const { options: { mixed, cacheFeatures = true, data, train, validation = [] }, augmenter } = this.#context;
    if (!cacheFeatures || mixed || !augmenter.none || data.features) return undefined;
    const part = frozenPart(this.network.logits);
    return part && fitsInMemory(part, data.shape, train.length + validation.length) ? part : undefined;
  }

  /** Of a sample as the steps read it: an image's, or [1, 1, bytes] of its features. */
  get inputShape(): readonly [number, number, number] {
    return this.#reader.imageShape;
  }

  /** @throws OutOfMemoryError where the steps are known not to fit */
  plan(): Promise<RunMemory> {
    const { options: { batch, recompute = false }, device, augmenter: { columns } } = this.#context;
    const features = this.features && { step: this.features.step, imageShape: this.network.imageShape };
    return planRun({
      device, inputShape: this.inputShape, train: this.trainStep, evaluation: this.evaluationStep, features, recompute, columns,
    }, batch);
  }

  /** Computes what features are missing, and takes up the batches at a place. @throws the signal's reason */
  async start(place: SamplerState, hooks: FeatureHooks): Promise<void> {
    const { options: { data, train, validation = [], validationData = data }, makeLoader } = this.#context;
    const judged = Array.from(validation);
    const needed = validationData === data ? [...Array.from(train), ...judged] : train;
    const loader = makeLoader(this.features ? await this.features.dataset(data, needed, hooks) : data);
    if (validationData !== data) await this.features?.dataset(validationData, judged, hooks);
    loader.restore(place);
    this.#loader = loader;
  }

  /** @throws Error before `start` */
  get loader(): TrainLoader {
    if (this.#loader === undefined) throw new Error('the stage is not started');
    return this.#loader;
  }

  /** Logits of images, in inference mode. Features of images that are not the run's own are there for some batches at a time. */
  async predict(data: Dataset, indices: ArrayLike<number>, options: PredictOptions): Promise<Float32Array> {
    if (this.features === undefined || indices.length === 0) return predictLogits(this.evaluationStep, data, indices, options);
    const { classes } = this.evaluationStep;
    const all = Int32Array.from(indices);
    const out = new Float32Array(all.length * classes);
    for (let at = 0; at < all.length; at += chunk * options.batch) {
      const part = all.subarray(at, at + chunk * options.batch);
      const features = await this.features.passing(data, part, { signal: options.signal });
      const onBatch = (done: number): void => options.onBatch?.(at + done, all.length);
      out.set(await predictLogits(this.evaluationStep, features, part, { ...options, onBatch }), at * classes);
    }
    return out;
  }

  /** The same batch by batch; no features are kept. */
  predictBatches(data: Dataset, indices: ArrayLike<number>, options: PredictOptions): AsyncGenerator<PredictedBatch, void, void> {
    const { device, normalization } = this.#context;
    const step = this.features ? this.#imageStep ??= new EvaluationStep({ network: this.network, device, normalization }) : this.evaluationStep;
    return predictBatches(step, data, indices, options);
  }

  /** Figures of images, in inference mode. */
  async judge(data: Dataset, indices: ArrayLike<number>, options: JudgeOptions): Promise<Judgement> {
    const input = this.features ? await this.features.dataset(data, indices, { signal: options.signal }) : data;
    return judge(this.evaluationStep, input, indices, options);
  }

  closeLoader(): void {
    this.#loader?.close();
  }

  dispose(): void {
    this.closeLoader();
    this.trainStep.dispose();
    this.evaluationStep.dispose();
    this.#imageStep?.dispose();
    this.features?.dispose();
    this.optimizer.dispose();
    this.network.dispose();
  }
}
