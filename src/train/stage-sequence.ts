/** The stages of a run one after another, and the place in the order of its samples, which passes from each to the next. */
import type { SamplerState } from '../data/sampler.ts';
import { DataError } from '../errors.ts';
import { learningNames } from '../nn/learning.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import { readVariables } from '../nn/parameters.ts';
import type { FitContext } from './fit-context.ts';
import type { FeatureHooks } from './features.ts';
import { Stage, stageAt } from './stage.ts';

export class StageSequence {
  readonly #context: FitContext;
  #stage: Stage;
  /** The epoch with which the stage began. */
  #begun: number;
  /** Where the sampler stands, until the stage has its loader. */
  #place: SamplerState | undefined;

  /** @param epoch the first to be trained, from 1 */
  constructor(context: FitContext, epoch: number) {
    const { options, sampler } = context;
    const { epoch: begun, symbol } = stageAt(options, epoch);
    this.#context = context;
    this.#begun = begun;
    this.#stage = new Stage(context, symbol);
    this.#place = sampler.state();
  }

  get current(): Stage {
    return this.#stage;
  }

  /** Where the sampler stands. */
  get place(): SamplerState {
    return this.#place ?? this.#stage.loader.state();
  }

  /** Takes up the order elsewhere, before the first `enter`. @throws DataError for a place in another order */
  takeUp(place: SamplerState): void {
    this.#context.sampler.restore(place);
    this.#place = place;
  }

  /** Whether the stage begins with this epoch. */
  beginsWith(epoch: number): boolean {
    return this.#begun === epoch;
  }

  /**
   * Plans the first stage.
   *
   * @throws DataError where the network tells other classes apart than the data has; OutOfMemoryError where the steps are known not to fit
   */
  async plan(): Promise<void> {
    const { network: { classes } } = this.#stage;
    const { data } = this.#context.options;
    if (classes !== data.classes.length) {
      throw new DataError(`the network tells ${classes} classes apart, ${data.name} has ${data.classes.length} ` +
        `(${data.classes.join(', ')})`);
    }
    await this.#stage.plan();
  }

  /** Makes the stage of an epoch, where another begins there, and its batches ready; false when the run's signal stopped that. */
  async enter(epoch: number, onFeatures?: FeatureHooks['onProgress']): Promise<boolean> {
    const { signal } = this.#context.options;
    const { epoch: begins, symbol } = stageAt(this.#context.options, epoch);
    if (begins !== this.#begun) {
      const values = await this.parameters();
      this.#place = this.#stage.loader.state();
      this.#stage.dispose();
      this.#begun = begins;
      this.#stage = new Stage(this.#context, symbol, values);
      await this.#stage.plan();
    } else if (this.#place === undefined) {
      return true;
    }
    try {
      await this.#stage.start(this.#place, { signal, onProgress: onFeatures });
      this.#place = undefined;
      return true;
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return false;
      throw error;
    }
  }

  /** Parameters and moving statistics as they lie in memory: all, or those of names alone. */
  parameters(names?: ReadonlySet<string>): Promise<ParameterArrays> {
    const { logits, variables: { all } } = this.#stage.network;
    return readVariables(logits, names ? new Map([...all].filter(([name]) => names.has(name))) : all);
  }

  /** Names of the parameters and moving statistics that change in some epoch up to this one. */
  learnt(epoch: number): Set<string> {
    const { symbol, unfreezings = [] } = this.#context.options;
    const begun = unfreezings.filter((one) => one.epoch <= epoch).map((one) => one.symbol);
    return new Set([symbol, ...begun].flatMap(learningNames));
  }

  dispose(): void {
    this.#stage.dispose();
  }
}
