/**
 * The training driver: epochs of steps, metrics on both parts, snapshots from which a run goes on as if nothing had been.
 * It knows no files: callbacks receive what is to be kept.
 */
import type { Dataset } from '../data/dataset.ts';
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import type { CheckStepOptions, StepCheck } from '../testing/check-step.ts';
import { combineCallbacks } from './callbacks.ts';
import { finishEpoch, takeSteps } from './epoch.ts';
import type { PredictedBatch } from './evaluate.ts';
import { checkOptions } from './fit-checks.ts';
import type { FitContext } from './fit-context.ts';
import { fitContext } from './fit-context.ts';
import type { Standing } from './fit-snapshot.ts';
import { currentEpoch, restoreSnapshot, takeSnapshot } from './fit-snapshot.ts';
import type { FitCallbacks, FitOptions, FitResult } from './fit-types.ts';
import type { EpochRecord } from './history.ts';
import { EpochProgress, bestEpoch } from './history.ts';
import type { Network } from './network.ts';
import type { Normalization } from './preprocess.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import type { Stage } from './stage.ts';
import { StageSequence } from './stage-sequence.ts';

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

class Run implements FitResult {
  interrupted = false;
  readonly #options: FitOptions;
  readonly #context: FitContext;
  readonly #stages: StageSequence;
  readonly #callbacks: FitCallbacks;
  readonly #standing: Standing;

  static async start(options: FitOptions): Promise<Run> {
    const run = new Run(options, await openDevice(options.device ?? 'auto'));
    try {
      await run.#stages.plan();
      if (options.resume) await restoreSnapshot(run.#context, run.#stages, run.#standing, options.resume);
    } catch (error) {
      run.dispose();
      throw error;
    }
    return run;
  }

  private constructor(options: FitOptions, device: Device) {
    this.#options = options;
    this.#callbacks = combineCallbacks([options.callbacks ?? []].flat());
    this.#context = fitContext(options, device);
    this.#stages = new StageSequence(this.#context, (options.resume?.epoch ?? 0) + 1);
    this.#standing = { history: [], progress: new EpochProgress(this.network.classes), updates: 0, learningRate: NaN };
  }

  get device(): Device {
    return this.#context.device;
  }

  get normalization(): Normalization {
    return this.#context.normalization;
  }

  get classWeights(): readonly number[] {
    return this.#context.classWeights;
  }

  get network(): Network {
    return this.#stage.network;
  }

  get history(): readonly EpochRecord[] {
    return this.#standing.history;
  }

  get best(): EpochRecord | undefined {
    return bestEpoch(this.history);
  }

  get #stage(): Stage {
    return this.#stages.current;
  }

  #enterStage(): Promise<boolean> {
    return this.#stages.enter(this.history.length + 1, (done, total) => void this.#callbacks.onFeatures?.(done, total));
  }

  async epochs(): Promise<void> {
    const { epochs, signal } = this.#options;
    const callbacks = this.#callbacks;
    const { network, device, normalization, classWeights } = this;
    await callbacks.onStart?.({ network, device, normalization, classWeights, updates: this.#standing.updates }, this);
    while (this.history.length < epochs) {
      const finished = await this.#enterStage() && await takeSteps(...this.#epoch) && await finishEpoch(...this.#epoch);
      if (finished) await callbacks.onEpoch?.(this.history[this.history.length - 1], this);
      if (!finished || (signal?.aborted && this.history.length < epochs)) {
        this.interrupted = true;
        await callbacks.onInterrupt?.(this);
        return;
      }
    }
  }

  /** What the functions of an epoch take. */
  get #epoch() {
    return [this.#context, this.#stage, this.#standing, this.#callbacks] as const;
  }

  async check(options: CheckStepOptions): Promise<StepCheck> {
    const rate = this.#context.schedule({ update: this.#standing.updates + 1, epoch: this.history.length + 1 });
    await this.#enterStage();
    return this.#stage.trainStep.check(await this.#stage.loader.next(), this.#standing.updates, rate, options);
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
    return this.#stages.parameters(which === 'all' ? undefined : this.#stages.learnt(currentEpoch(this.#standing)));
  }

  snapshot(): Promise<TrainingSnapshot> {
    return takeSnapshot(this.#context, this.#stages, this.#standing);
  }

  closeLoader(): void {
    this.#stage.closeLoader();
  }

  dispose(): void {
    this.#stages.dispose();
    this.#context.lossScale?.dispose();
  }
}
