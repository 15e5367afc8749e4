/**
 * Metrics of one's own choice, beside the figures that every run has (metrics.ts): MXNet.jl's `eval_metric`. They see each sample
 * once and no padding, the training part as it was trained on and the validation part in inference mode.
 */
import { DataError, OptionError, ShapeError } from '../errors.ts';

/** What a metric is given: rows of numbers, one for each sample, or, of a segmentation, for each pixel. */
export interface MetricBatch {
  /** Class of each row; or, for regression and soft labels, as many numbers as predictions. */
  readonly labels: ArrayLike<number>;
  /** Rows x classes, row-major: of a network that is trained by `fit`, probabilities. */
  readonly predictions: ArrayLike<number>;
  readonly classes: number;
}

export type MetricValue = readonly [name: string, value: number];

/** Accumulates over batches. Own ones implement these three. */
export interface Metric {
  reset(): void;
  update(batch: MetricBatch): void;
  /** By name, of what was seen since `reset`; NaN where that is nothing. */
  get(): readonly MetricValue[];
}

/** Sums and counts of one metric. */
abstract class Mean implements Metric {
  readonly #sums: Float64Array;
  readonly #counts: Float64Array;

  constructor(length: number) {
    this.#sums = new Float64Array(length);
    this.#counts = new Float64Array(length);
  }

  reset(): void {
    this.#sums.fill(0);
    this.#counts.fill(0);
  }

  abstract update(batch: MetricBatch): void;
  abstract get(): readonly MetricValue[];

  protected add(which: number, value: number, count = 1): void {
    this.#sums[which] += value;
    this.#counts[which] += count;
  }

  protected mean(which: number): number {
    return this.#sums[which] / this.#counts[which];
  }

  /** Over all, each weighted. */
  protected meanOver(weights: ArrayLike<number>): number {
    let [sum, count] = [0, 0];
    this.#sums.forEach((value, i) => {
      sum += weights[i] * value;
      count += weights[i] * this.#counts[i];
    });
    return sum / count;
  }
}

class Accuracy extends Mean {
  update({ labels, predictions, classes }: MetricBatch): void {
    checkRows(labels, predictions, classes);
    for (let i = 0; i < labels.length; i++) {
      let best = 0;
      for (let c = 1; c < classes; c++) if (predictions[i * classes + c] > predictions[i * classes + best]) best = c;
      this.add(0, Number(best === labels[i]));
    }
  }

  get(): MetricValue[] {
    return [['accuracy', this.mean(0)]];
  }
}

/** Share of rows whose most probable class (the first of equal ones) is theirs: `accuracy`. */
export const accuracy = (): Metric => new Accuracy(1);

class SquaredError extends Mean {
  update({ labels, predictions, classes }: MetricBatch): void {
    if (labels.length === predictions.length) {
      for (let i = 0; i < labels.length; i++) this.add(0, (predictions[i] - labels[i]) ** 2);
      return;
    }
    checkRows(labels, predictions, classes);
    for (let i = 0; i < predictions.length; i++) {
      this.add(0, (predictions[i] - Number(labels[Math.floor(i / classes)] === i % classes)) ** 2);
    }
  }

  get(): MetricValue[] {
    return [['MSE', this.mean(0)]];
  }
}

/** Mean of (prediction - label)^2 over all elements; labels that are classes stand for rows of 0 and 1: `MSE`. */
export const mse = (): Metric => new SquaredError(1);

export interface CrossEntropyOptions {
  /** Added to a probability ahead of its logarithm. Default 1e-8. */
  readonly epsilon?: number;
}

/** Adds -log p of each row's class, to the sum of that class. */
class CrossEntropies extends Mean {
  readonly #classes: number | undefined;
  readonly #epsilon: number;
  readonly #values: (self: CrossEntropies) => readonly MetricValue[];

  /** @param classes undefined for one sum of all */
  constructor(classes: number | undefined, { epsilon = 1e-8 }: CrossEntropyOptions, values: (self: CrossEntropies) => readonly MetricValue[]) {
    if (!(epsilon >= 0)) throw new OptionError(`epsilon: expected a number of 0 or more, got ${epsilon}`);
    super(classes ?? 1);
    this.#classes = classes;
    this.#epsilon = epsilon;
    this.#values = values;
  }

  update({ labels, predictions, classes }: MetricBatch): void {
    checkRows(labels, predictions, classes);
    if (this.#classes !== undefined && this.#classes !== classes) {
      throw new ShapeError(`a metric of ${this.#classes} classes was given predictions of ${classes}`);
    }
    for (let i = 0; i < labels.length; i++) {
      this.add(this.#classes === undefined ? 0 : labels[i], -Math.log(predictions[i * classes + labels[i]] + this.#epsilon));
    }
  }

  get(): readonly MetricValue[] {
    return this.#values(this);
  }

  perClass(): MetricValue[] {
    return Array.from({ length: this.#classes! }, (_, c) => [`ACE_${c}`, this.mean(c)]);
  }

  overall(weights: ArrayLike<number> = new Float64Array(this.#classes ?? 1).fill(1)): number {
    return this.meanOver(weights);
  }
}

/** Mean of -log p of the row's class: `ACE`. */
export function ace(options: CrossEntropyOptions = {}): Metric {
  return new CrossEntropies(undefined, options, (self) => [['ACE', self.overall()]]);
}

/** The same within each class and over all: `ACE_0`, `ACE_1`, ..., `ACE`. @throws OptionError for fewer than two classes */
export function multiAce(classes: number, options: CrossEntropyOptions = {}): Metric {
  if (!Number.isInteger(classes) || classes < 2) throw new OptionError(`multiAce: expected two classes or more, got ${classes}`);
  return new CrossEntropies(classes, options, (self) => [...self.perClass(), ['ACE', self.overall()]]);
}

/**
 * `ACE_0`, `ACE_1`, ... as `multiAce`, and `WACE`, in which each row counts by the weight of its class: what the weighted softmax of
 * training minimises, over the weights' mean.
 *
 * @throws OptionError for fewer than two weights, or one below 0
 */
export function weightedMultiAce(weights: readonly number[], options: CrossEntropyOptions = {}): Metric {
  if (weights.length < 2 || !weights.every((w) => w >= 0 && Number.isFinite(w))) {
    throw new OptionError(`weightedMultiAce: expected a weight of 0 or more for each class, got ${weights.join(', ')}`);
  }
  return new CrossEntropies(weights.length, options, (self) => [...self.perClass(), ['WACE', self.overall(weights)]]);
}

/** Several as one: the values of all, in order. */
export function multiMetric(metrics: readonly Metric[]): Metric {
  return {
    reset: () => metrics.forEach((one) => one.reset()),
    update: (batch) => metrics.forEach((one) => one.update(batch)),
    get: () => metrics.flatMap((one) => one.get()),
  };
}

/**
 * A metric's values over rows, given batch by batch.
 *
 * @throws OptionError where two values have one name
 */
export function measure(
  metric: Metric, { labels, predictions, classes }: MetricBatch, batch: number,
): Readonly<Record<string, number>> {
  metric.reset();
  const rows = predictions.length / classes;
  for (let from = 0; from < rows; from += batch) {
    const to = Math.min(from + batch, rows);
    metric.update({
      labels: Array.prototype.slice.call(labels, from, to), classes,
      predictions: Array.prototype.slice.call(predictions, from * classes, to * classes),
    });
  }
  const values = metric.get();
  const out = Object.fromEntries(values);
  if (Object.keys(out).length < values.length) {
    throw new OptionError(`metric: two values have one name (${values.map(([name]) => name).join(', ')})`);
  }
  return out;
}

function checkRows(labels: ArrayLike<number>, predictions: ArrayLike<number>, classes: number): void {
  if (predictions.length !== labels.length * classes) {
    throw new ShapeError(`${labels.length} labels of ${classes} classes need ${labels.length * classes} predictions, got ${predictions.length}`);
  }
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes) {
      throw new DataError(`label ${labels[i]} of row ${i}: there are ${classes} classes`);
    }
  }
}
