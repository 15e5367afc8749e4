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
import { Sampler } from '../data/sampler.ts';
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { DataError, OptionError, TrainingError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import { readVariables } from '../nn/parameters.ts';
import { LossScale } from '../optim/loss-scale.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import { fixed } from '../optim/schedules.ts';
import type { Schedule } from '../optim/schedules.ts';
import { resolveClassWeights } from './class-weights.ts';
import { combineCallbacks } from './callbacks.ts';
import { judge, predictBatches, predictLogits } from './evaluate.ts';
import type { Judgement, PredictedBatch } from './evaluate.ts';
import { checkOptions } from './fit-checks.ts';
import type { FitCallbacks, FitOptions, FitResult, FitStart } from './fit-types.ts';
import { planRun } from './fits.ts';
import type { EpochRecord } from './history.ts';
import { EpochProgress, bestEpoch } from './history.ts';
import { constantMetrics } from './metrics.ts';
import type { Network } from './network.ts';
import { createNetwork } from './network.ts';
import { createOptimizer } from './optimizer.ts';
import type { Normalization } from './preprocess.ts';
import { measureNormalization } from './preprocess.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import { under } from './snapshot.ts';
import type { StepResult } from './step.ts';
import { EvaluationStep, TrainStep } from './step.ts';
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
    run.loader.close();
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
    run.loader.close();
    run.dispose();
  }
}

class Run implements FitResult {
  readonly network: Network;
  readonly device: Device;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
  readonly loader: TrainLoader;
  readonly history: EpochRecord[] = [];
  interrupted = false;
  readonly #options: FitOptions;
  readonly #optimizer: Optimizer;
  readonly #lossScale: LossScale | undefined;
  readonly #schedule: Schedule;
  readonly #augmenter: Augmenter;
  readonly #callbacks: FitCallbacks;
  readonly #trainStep: TrainStep;
  readonly #evaluationStep: EvaluationStep;
  #updates = 0;
  #progress: EpochProgress;
  #learningRate = NaN;

  static async start(options: FitOptions): Promise<Run> {
    const run = new Run(options, await openDevice(options.device ?? 'auto'));
    try {
      await run.#plan();
      if (options.resume) await run.#restore(options.resume);
    } catch (error) {
      run.loader.close();
      run.dispose();
      throw error;
    }
    return run;
  }

  private constructor(options: FitOptions, device: Device) {
    const { symbol, data, train, batch, seed = 0, learningRate = 0.05, augment = 'none' } = options;
    const list = typeof augment === 'string' ? parseAugmentations(augment) : augment;
    this.#augmenter = new Augmenter(list, { classes: data.classes, shape: data.shape, seed });
    this.#options = options;
    this.#callbacks = combineCallbacks([options.callbacks ?? []].flat());
    this.device = device;
    this.network = createNetwork(symbol, data.shape, { ...options.initialize, seed });
    const { classes } = this.network;
    if (classes !== data.classes.length) {
      throw new DataError(`the network tells ${classes} classes apart, ${data.name} has ${data.classes.length} ` +
        `(${data.classes.join(', ')})`);
    }
    const normalization = options.normalization ?? 'channel';
    this.normalization = typeof normalization === 'string' ? measureNormalization(data, train, normalization) : normalization;
    this.classWeights = resolveClassWeights(options.classWeights ?? 'none', classCounts(data, train));
    this.#optimizer = createOptimizer(this.network, options.optimizer ?? { kind: 'sgd' }, device);
    this.#lossScale = options.mixed ? new LossScale({ device }) : undefined;
    this.#schedule = typeof learningRate === 'number' ? fixed(learningRate) : learningRate;
    const { sampler: kind, eachEpoch } = options;
    const sampler = new Sampler(data.labels, train, { kind, eachEpoch, classes: data.classes, batch, seed, ...options.samplerOptions });
    this.loader = new TrainLoader(data, sampler, options.loader, this.#augmenter);
    const { network, classWeights } = this;
    this.#trainStep = new TrainStep({
      network, device, normalization: this.normalization, classWeights, optimizer: this.#optimizer, lossScale: this.#lossScale, seed,
      augmenter: this.#augmenter, recompute: options.recompute,
    });
    this.#evaluationStep = new EvaluationStep({ network, device, normalization: this.normalization });
    this.#progress = new EpochProgress(classes);
  }

  async #plan(): Promise<void> {
    const { batch, recompute = false } = this.#options;
    const { device, network: { imageShape } } = this;
    const { columns } = this.#augmenter;
    await planRun({ device, imageShape, train: this.#trainStep, evaluation: this.#evaluationStep, recompute, columns }, batch);
  }

  get best(): EpochRecord | undefined {
    return bestEpoch(this.history);
  }

  async epochs(): Promise<void> {
    const { epochs, signal } = this.#options;
    const callbacks = this.#callbacks;
    await callbacks.onStart?.({ ...this.#about(), updates: this.#updates }, this);
    while (this.history.length < epochs) {
      const finished = await this.#steps() && await this.#finishEpoch();
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
    return this.#trainStep.check(await this.loader.next(), this.#updates, rate, options);
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
      const batch: TrainBatch = await this.loader.next();
      const rate = this.#schedule({ update: this.#updates + 1, epoch });
      const { result } = await this.#trainStep.run(batch, this.#updates, rate);
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
        judgement = await judge(this.#evaluationStep, validationData, validation, {
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
    return predictLogits(this.#evaluationStep, data, indices, { ...loader, batch });
  }

  predictBatches(data: Dataset, indices: ArrayLike<number>): AsyncGenerator<PredictedBatch, void, void> {
    const { batch, loader } = this.#options;
    return predictBatches(this.#evaluationStep, data, indices, { ...loader, batch });
  }

  parameters(): Promise<ParameterArrays> {
    return readVariables(this.network.logits, this.network.variables.all);
  }

  async snapshot(): Promise<TrainingSnapshot> {
    const tensors = new Map<string, HostArray>();
    const { arguments: learned, auxiliary } = await this.parameters();
    for (const [name, array] of [...learned, ...auxiliary]) tensors.set(`parameter/${name}`, array);
    for (const [name, array] of await this.#optimizer.saveState()) tensors.set(`optimizer/${name}`, array);
    for (const [name, array] of await this.#lossScale?.saveState() ?? []) tensors.set(`loss-scale/${name}`, array);
    const { taken, steps, seconds } = this.#progress;
    const learningRate = this.#learningRate;
    const within = steps > 0;
    if (within) for (const [name, array] of this.#progress.save()) tensors.set(`epoch/${name}`, array);
    return {
      epoch: this.history.length, updates: this.#updates, seed: this.#options.seed ?? 0, sampler: this.loader.state(),
      history: [...this.history], tensors, ...(within ? { partial: { taken, steps, seconds, learningRate } } : {}),
    };
  }

  async #restore(saved: TrainingSnapshot): Promise<void> {
    const seed = this.#options.seed ?? 0;
    if (saved.seed !== seed) throw new OptionError(`seed: the state was saved with ${saved.seed}, got ${seed}`);
    const parameters = under(saved.tensors, 'parameter');
    for (const [name, variable] of this.network.variables.all) {
      const array = parameters.get(name);
      if (array === undefined) throw new DataError(`the state has no parameter "${name}"`);
      if (array.shape.join() !== variable.shape.join()) {
        throw new DataError(`parameter "${name}": the network has [${variable.shape}], the state [${array.shape}]`);
      }
      await variable.set(array.data as Float32Array);
    }
    await this.#optimizer.loadState(under(saved.tensors, 'optimizer'));
    await this.#lossScale?.loadState(under(saved.tensors, 'loss-scale'));
    this.loader.restore(saved.sampler);
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

  dispose(): void {
    this.#trainStep.dispose();
    this.#evaluationStep.dispose();
    this.#optimizer.dispose();
    this.#lossScale?.dispose();
    this.network.dispose();
  }
}
