/** What a run knows of its epochs, and of the one under way. */
import type { Dataset } from '../data/dataset.ts';
import { FormatError, TrainingError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { Metric } from './eval-metric.ts';
import { measure } from './eval-metric.ts';
import type { ConstantMetrics, Metrics } from './metrics.ts';
import { evaluatePredictions } from './metrics.ts';
import type { BootstrapOptions } from './statistics.ts';
import type { StepResult } from './step.ts';

/** One epoch of a run. */
export interface EpochRecord {
  /** From 1. */
  readonly epoch: number;
  /** Updates so far, of all epochs. */
  readonly updates: number;
  /** Of the last update. */
  readonly learningRate: number;
  /**
   * Over the batches as they were trained on: augmented, resampled, by batch statistics, each before its update. What is
   * minimised is in `objective`; the figures here are not weighted by class.
   */
  readonly train: Metrics;
  /** Mean of the class-weighted loss that is minimised. */
  readonly objective: number;
  /** In inference mode. */
  readonly validation?: Metrics;
  /** Values of the metric that was asked for, by name, over the same samples as `train` and `validation`. */
  readonly metric?: { readonly train: Readonly<Record<string, number>>; readonly validation?: Readonly<Record<string, number>> };
  /** What always saying "healthy" scores on the validation part (on the training part, where there is none). */
  readonly always: ConstantMetrics;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** Whether an epoch is better than another: by AUC on the validation part, then by its loss; later ones win without one. */
export function isBetter(one: EpochRecord, other: EpochRecord | undefined): boolean {
  if (other?.validation === undefined || one.validation === undefined) return true;
  const [a, b] = [one.validation, other.validation];
  if (a.auc.value !== b.auc.value && !Number.isNaN(a.auc.value) && !Number.isNaN(b.auc.value)) {
    return a.auc.value > b.auc.value;
  }
  return a.loss < b.loss;
}

/** The best epoch of a history; undefined for none. */
export function bestEpoch(history: readonly EpochRecord[]): EpochRecord | undefined {
  let best: EpochRecord | undefined;
  for (const record of history) if (isBetter(record, best)) best = record;
  return best;
}

/** The epoch under way: what its steps said so far. */
export class EpochProgress {
  /** Steps taken, and of how many; 0 before the first batch is there. */
  taken = 0;
  steps = 0;
  seconds = 0;
  readonly #classes: number;
  readonly #losses: number[] = [];
  readonly #ids: number[] = [];
  readonly #probabilities: number[] = [];

  constructor(classes: number) {
    this.#classes = classes;
  }

  get complete(): boolean {
    return this.steps > 0 && this.taken >= this.steps;
  }

  /** Mean objective so far; NaN before the first figure is there. */
  get objective(): number {
    return this.#losses.reduce((a, b) => a + b, 0) / this.#losses.length;
  }

  /** @throws TrainingError for a loss that is no number */
  add({ loss, probabilities }: StepResult, ids: Int32Array, where: string): void {
    if (!Number.isFinite(loss)) {
      throw new TrainingError(`the loss is ${loss} at ${where}: the run has diverged; try a lower learning rate`);
    }
    this.#losses.push(loss);
    for (const id of ids) this.#ids.push(id);
    for (const p of probabilities) this.#probabilities.push(p);
  }

  metrics(data: Dataset, options?: BootstrapOptions): Metrics {
    return evaluatePredictions({
      values: this.#probabilities, kind: 'probabilities', classes: data.classes,
      labels: this.#ids.map((i) => data.labels[i]), patients: this.#ids.map((i) => data.patients[i]),
    }, options);
  }

  /** A metric's values over the epoch's samples, given to it in batches of `batch`. */
  measure(metric: Metric, data: Dataset, batch: number): Readonly<Record<string, number>> {
    const labels = this.#ids.map((i) => data.labels[i]);
    return measure(metric, { labels, predictions: this.#probabilities, classes: this.#classes }, batch);
  }

  /** For a state that is saved within an epoch. */
  save(): Map<string, HostArray> {
    return new Map<string, HostArray>([
      ['losses', { shape: [this.#losses.length], dtype: 'float64', data: Float64Array.from(this.#losses) }],
      ['ids', { shape: [this.#ids.length], dtype: 'int32', data: Int32Array.from(this.#ids) }],
      ['probabilities', {
        shape: [this.#ids.length, this.#classes], dtype: 'float32', data: Float32Array.from(this.#probabilities),
      }],
    ]);
  }

  load(saved: ReadonlyMap<string, HostArray>): void {
    const take = (name: string): number[] => {
      const found = saved.get(name);
      if (found === undefined) throw new FormatError(`state: "${name}" of the epoch under way is missing`);
      return Array.from(found.data as Float64Array);
    };
    this.#losses.push(...take('losses'));
    this.#ids.push(...take('ids'));
    this.#probabilities.push(...take('probabilities'));
  }
}
