/**
 * The training driver: epochs of steps, metrics on both parts, snapshots from which a run goes on as if nothing had been.
 * It knows no files: callbacks receive what is to be kept.
 */
import { parseAugmentations } from '../data/augment-text.ts';
import { Augmenter } from '../data/augmenter.ts';
import type { Dataset } from '../data/dataset.ts';
import { classCounts } from '../data/dataset.ts';
import type { TrainBatch } from '../data/loader.ts';
import { TrainLoader } from '../data/loader.ts';
import type { SamplerState } from '../data/sampler.ts';
import { Sampler } from '../data/sampler.ts';
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { DataError, OptionError, TrainingError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import { learningNames } from '../nn/learning.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import { readVariables } from '../nn/parameters.ts';
import { LossScale } from '../optim/loss-scale.ts';
import { fixed } from '../optim/schedules.ts';
import type { Schedule } from '../optim/schedules.ts';
import { resolveClassWeights } from './class-weights.ts';
import { combineCallbacks } from './callbacks.ts';
import type { Judgement, PredictedBatch } from './evaluate.ts';
import { checkOptions } from './fit-checks.ts';
import type { FitCallbacks, FitOptions, FitResult, FitStart } from './fit-types.ts';
import type { EpochRecord } from './history.ts';
import { EpochProgress, bestEpoch } from './history.ts';
import { constantMetrics } from './metrics.ts';
import type { Network } from './network.ts';
import type { Normalization } from './preprocess.ts';
import { measureNormalization } from './preprocess.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import { under } from './snapshot.ts';
import type { StageContext } from './stage.ts';
import { Stage, stageAt } from './stage.ts';
import type { StepResult } from './step.ts';
import type { CheckStepOptions, StepCheck } from '../testing/check-step.ts';

/**
 * Trains a network.
 *
 * @throws OptionError for options out of range; DataError for parts that are empty or classes that do not fit the network;
 *   TrainingError when the loss is no number any more; OutOfMemoryError before the first step, with the largest batch that fits;
 *   DeviceError from the device
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  checkOptions(options);
  const run = await Run.start(options);
  try {
    await run.epochs();
  } catch (error) {
    run.dispose();
    throw error;
  } finally {
    run.closeLoader();
  }
  return run;
}

/**
 * Takes the next step that `fit` would take, and holds every op of it to the reference; nothing is kept of it.
 *
 * @throws as `fit`; the signal's reason
 */
export async function checkFit(options: FitOptions, check: CheckStepOptions = {}): Promise<StepCheck> {
  checkOptions(options);
  const run = await Run.start(options);
  try {
    return await run.check(check);
  } finally {
    run.dispose();
  }
}

/** @throws OptionError for augmentations that do not go with the data */
function augmenterOf({ augment = 'none', data, seed = 0 }: FitOptions): Augmenter {
  const list = typeof augment === 'string' ? parseAugmentations(augment) : augment;
  if (data.features && list.length > 0) throw new OptionError(`augment: the samples of ${data.name} are features, not images: expected none`);
  return new Augmenter(list, { classes: data.classes, shape: data.shape, seed });
}

class Run implements FitResult {
  readonly device: Device;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
  readonly history: EpochRecord[] = [];
  interrupted = false;
  readonly #options: FitOptions;
  readonly #lossScale: LossScale | undefined;
  readonly #schedule: Schedule;
  readonly #callbacks: FitCallbacks;
  readonly #context: StageContext;
  #stage: Stage;
  /** The epoch with which the stage began. */
  #begun: number;
  readonly #sampler: Sampler;
  /** Where the sampler stands, until the stage has its loader. */
  #place: SamplerState | undefined;
  #updates = 0;
  #progress: EpochProgress;
  #learningRate = NaN;

  static async start(options: FitOptions): Promise<Run> {
    const run = new Run(options, await openDevice(options.device ?? 'auto'));
    try {
      await run.#stage.plan();
      if (options.resume) await run.#restore(options.resume);
    } catch (error) {
      run.dispose();
      throw error;
    }
    return run;
  }

  private constructor(options: FitOptions, device: Device) {
    const { data, train, batch, seed = 0, learningRate = 0.05 } = options;
    this.#options = options;
    this.#callbacks = combineCallbacks([options.callbacks ?? []].flat());
    this.device = device;
    const normalization = options.normalization ?? 'channel';
    this.normalization = typeof normalization !== 'string' ? normalization
      : data.features ? { mean: [0], deviation: [1], window: 0 } : measureNormalization(data, train, normalization);
    this.classWeights = resolveClassWeights(options.classWeights ?? 'none', classCounts(data, train));
    this.#lossScale = options.mixed ? new LossScale({ device }) : undefined;
    this.#schedule = typeof learningRate === 'number' ? fixed(learningRate) : learningRate;
    const { sampler: kind, eachEpoch } = options;
    this.#sampler = new Sampler(data.labels, train, { kind, eachEpoch, classes: data.classes, batch, seed, ...options.samplerOptions });
    this.#place = this.#sampler.state();
    const augmenter = augmenterOf(options);
    this.#context = {
      options, device, augmenter, normalization: this.normalization, classWeights: this.classWeights, lossScale: this.#lossScale,
      makeLoader: (input) => new TrainLoader(input, this.#sampler, options.loader, augmenter),
    };
    const { epoch, symbol } = stageAt(options, (options.resume?.epoch ?? 0) + 1);
    this.#begun = epoch;
    this.#stage = new Stage(this.#context, symbol);
    const { classes } = this.network;
    if (classes !== data.classes.length) {
      throw new DataError(`the network tells ${classes} classes apart, ${data.name} has ${data.classes.length} ` +
        `(${data.classes.join(', ')})`);
    }
    this.#progress = new EpochProgress(classes);
  }

  get network(): Network {
    return this.#stage.network;
  }

  /** Makes the stage of the next epoch, where another begins there, and its batches ready; false when the signal stopped that. */
  async #enterStage(): Promise<boolean> {
    const { epoch, symbol } = stageAt(this.#options, this.history.length + 1);
    if (epoch !== this.#begun) {
      const values = await this.parameters();
      this.#place = this.#stage.loader.state();
      this.#stage.dispose();
      this.#begun = epoch;
      this.#stage = new Stage(this.#context, symbol, values);
      await this.#stage.plan();
    } else if (this.#place === undefined) {
      return true;
    }
    const { signal } = this.#options;
    try {
      await this.#stage.start(this.#place, { signal, onProgress: (done, total) => void this.#callbacks.onFeatures?.(done, total) });
      this.#place = undefined;
      return true;
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return false;
      throw error;
    }
  }

  get best(): EpochRecord | undefined {
    return bestEpoch(this.history);
  }

  async epochs(): Promise<void> {
    const { epochs, signal } = this.#options;
    const callbacks = this.#callbacks;
    await callbacks.onStart?.({ ...this.#about(), updates: this.#updates }, this);
    while (this.history.length < epochs) {
      const finished = await this.#enterStage() && await this.#steps() && await this.#finishEpoch();
      if (!finished) {
        this.interrupted = true;
        await callbacks.onInterrupt?.(this);
        return;
      }
      await callbacks.onEpoch?.(this.history[this.history.length - 1], this);
      if (signal?.aborted && this.history.length < epochs) {
        this.interrupted = true;
        await callbacks.onInterrupt?.(this);
        return;
      }
    }
  }

  async check(options: CheckStepOptions): Promise<StepCheck> {
    const rate = this.#schedule({ update: this.#updates + 1, epoch: this.history.length + 1 });
    await this.#enterStage();
    return this.#stage.trainStep.check(await this.#stage.loader.next(), this.#updates, rate, options);
  }

  #about(): Omit<FitStart, 'updates'> {
    return { network: this.network, device: this.device, normalization: this.normalization, classWeights: this.classWeights };
  }

  /** The steps of the epoch that are left; false when the signal stopped them. */
  async #steps(): Promise<boolean> {
    const { signal } = this.#options;
    const callbacks = this.#callbacks;
    const progress = this.#progress;
    const epoch = this.history.length + 1;
    let late: { result: Promise<StepResult>; ids: Int32Array; where: string } | undefined;
    let loss = NaN;
    const settle = async (): Promise<void> => {
      if (late === undefined) return;
      const result = await late.result;
      if (result.undone && result.lossScale! <= this.#lossScale!.minimum) {
        throw new TrainingError(`the gradients overflow float16 at ${late.where} although the loss is not scaled up any more; `
          + 'try a lower learning rate, or float32');
      }
      progress.add(result, late.ids, late.where);
      loss = result.loss;
      late = undefined;
    };
    if (progress.taken === 0 && !signal?.aborted) await callbacks.onEpochStart?.({ epoch, updates: this.#updates });
    while (!progress.complete && !signal?.aborted) {
      const begun = performance.now();
      const batch: TrainBatch = await this.#stage.loader.next();
      const rate = this.#schedule({ update: this.#updates + 1, epoch });
      const { result } = await this.#stage.trainStep.run(batch, this.#updates, rate);
      this.#updates++;
      this.#learningRate = rate;
      progress.steps = batch.steps;
      progress.taken = batch.step + 1;
      // The figures of the step before are read while the device works on this one.
      await settle();
      late = {
        result, ids: batch.sampleIds,
        where: `epoch ${epoch}, step ${progress.taken} of ${batch.steps} (update ${this.#updates}, learning rate ${rate})`,
      };
      if (progress.complete) await settle();
      progress.seconds += (performance.now() - begun) / 1000;
      const { taken, steps, objective } = progress;
      await callbacks.onBatch?.({ epoch, updates: this.#updates, step: taken, steps, batch: batch.shape[0], loss, objective });
    }
    await settle();
    return progress.complete;
  }

  /** Validates and records the epoch; false when the signal stopped that. */
  async #finishEpoch(): Promise<boolean> {
    const { data, train, validation, validationData = data, batch, loader, signal, bootstrap, metric } = this.#options;
    const begun = performance.now();
    let judgement: Judgement | undefined;
    if (validation) {
      try {
        judgement = await this.#stage.judge(validationData, validation, {
          ...loader, batch, signal, bootstrap, metric, onBatch: (done, total) => void this.#callbacks.onValidation?.(done, total),
        });
      } catch (error) {
        if (signal?.aborted && error === signal.reason) return false;
        throw error;
      }
    }
    const progress = this.#progress;
    const judged = validation ? Array.from(validation, (i) => validationData.labels[i]) : Array.from(train, (i) => data.labels[i]);
    const seconds = progress.seconds + (performance.now() - begun) / 1000;
    this.history.push({
      epoch: this.history.length + 1, updates: this.#updates, learningRate: this.#learningRate,
      train: progress.metrics(data, { ...bootstrap, resamples: 0 }), objective: progress.objective, validation: judgement?.metrics,
      always: constantMetrics(judged, data.classes, { shares: this.#shares() }),
      ...(metric && {
        metric: { train: progress.measure(metric, data, batch), ...(judgement && { validation: judgement.measured }) },
      }),
      seconds, imagesPerSecond: progress.taken * batch / progress.seconds,
    });
    this.#progress = new EpochProgress(this.network.classes);
    return true;
  }

  #shares(): number[] {
    const { data, train } = this.#options;
    return classCounts(data, train).map((count) => count / train.length);
  }

  predict(data: Dataset, indices: ArrayLike<number>): Promise<Float32Array> {
    const { batch, loader } = this.#options;
    return this.#stage.predict(data, indices, { ...loader, batch });
  }

  predictBatches(data: Dataset, indices: ArrayLike<number>): AsyncGenerator<PredictedBatch, void, void> {
    const { batch, loader } = this.#options;
    return this.#stage.predictBatches(data, indices, { ...loader, batch });
  }

  parameters(which: 'all' | 'learnt' = 'all'): Promise<ParameterArrays> {
    const { logits, variables: { all } } = this.network;
    if (which === 'all') return readVariables(logits, all);
    const learnt = this.#learnt(this.history.length + (this.#progress.steps > 0 ? 1 : 0));
    return readVariables(logits, new Map([...all].filter(([name]) => learnt.has(name))));
  }

  /** Names of the parameters and moving statistics that change in some epoch up to this one. */
  #learnt(epoch: number): Set<string> {
    const { symbol, unfreezings = [] } = this.#options;
    const begun = unfreezings.filter((one) => one.epoch <= epoch).map((one) => one.symbol);
    return new Set([symbol, ...begun].flatMap(learningNames));
  }

  async snapshot(): Promise<TrainingSnapshot> {
    const tensors = new Map<string, HostArray>();
    const { arguments: learned, auxiliary } = await this.parameters('learnt');
    for (const [name, array] of [...learned, ...auxiliary]) tensors.set(`parameter/${name}`, array);
    for (const [name, array] of await this.#stage.optimizer.saveState()) tensors.set(`optimizer/${name}`, array);
    for (const [name, array] of await this.#lossScale?.saveState() ?? []) tensors.set(`loss-scale/${name}`, array);
    const { taken, steps, seconds } = this.#progress;
    const learningRate = this.#learningRate;
    const within = steps > 0;
    if (within) for (const [name, array] of this.#progress.save()) tensors.set(`epoch/${name}`, array);
    return {
      epoch: this.history.length, updates: this.#updates, seed: this.#options.seed ?? 0, sampler: this.#place ?? this.#stage.loader.state(),
      history: [...this.history], tensors, ...(within ? { partial: { taken, steps, seconds, learningRate } } : {}),
    };
  }

  async #restore(saved: TrainingSnapshot): Promise<void> {
    const seed = this.#options.seed ?? 0;
    if (saved.seed !== seed) throw new OptionError(`seed: the state was saved with ${saved.seed}, got ${seed}`);
    const parameters = under(saved.tensors, 'parameter');
    const learnt = this.#learnt(saved.epoch + (saved.partial ? 1 : 0));
    for (const [name, variable] of this.network.variables.all) {
      if (!learnt.has(name)) continue;
      const array = parameters.get(name);
      if (array === undefined) throw new DataError(`the state has no parameter "${name}"`);
      if (array.shape.join() !== variable.shape.join()) {
        throw new DataError(`parameter "${name}": the network has [${variable.shape}], the state [${array.shape}]`);
      }
      await variable.set(array.data as Float32Array);
    }
    // Where the next epoch unfreezes layers its optimizer begins anew.
    const begins = saved.epoch > 0 && this.#begun === saved.epoch + 1 && saved.partial === undefined;
    if (!begins) await this.#stage.optimizer.loadState(under(saved.tensors, 'optimizer'));
    await this.#lossScale?.loadState(under(saved.tensors, 'loss-scale'));
    this.#sampler.restore(saved.sampler);
    this.#place = saved.sampler;
    this.#updates = saved.updates;
    this.history.push(...saved.history);
    this.#learningRate = saved.history.at(-1)?.learningRate ?? NaN;
    if (saved.partial) {
      const { taken, steps, seconds, learningRate } = saved.partial;
      Object.assign(this.#progress, { taken, steps, seconds });
      this.#learningRate = learningRate;
      this.#progress.load(under(saved.tensors, 'epoch'));
    }
  }

  closeLoader(): void {
    this.#stage.closeLoader();
  }

  dispose(): void {
    this.#stage.dispose();
    this.#lossScale?.dispose();
  }
}
