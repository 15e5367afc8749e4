/**
 * What a screening model is judged by. Samples of weight 0 (padding) take no part in any figure; other weights count in
 * loss, accuracy and the rest alike.
 *
 * Class 0 is healthy; a sample is positive where its class is any other, and its score is 1 - p(class 0).
 */
import { DataError, ShapeError } from '../errors.ts';
import { bootstrap, RankedScores } from './statistics.ts';
import type { BootstrapOptions, Estimate, OperatingPoint } from './statistics.ts';

export interface Predictions {
  /** Samples x classes: logits (any real) or probabilities (rows that sum to 1), as `kind` says. */
  values: ArrayLike<number>;
  kind: 'logits' | 'probabilities';
  /** Class of each sample. */
  labels: ArrayLike<number>;
  /** Names of the classes; their count is that of the columns. */
  classes: readonly string[];
  /** Default 1 each. */
  weights?: ArrayLike<number>;
  /** Patient of each sample: what the interval resamples. Default: each sample its own. */
  patients?: readonly unknown[];
}

export interface Metrics {
  /** Samples of weight above 0. */
  readonly samples: number;
  /** Mean cross-entropy, natural logarithm. Probabilities of 0 count as 1e-12. */
  readonly loss: number;
  /** Share of samples whose most probable class (the first of equal ones) is theirs. */
  readonly accuracy: number;
  /** The same within each class; NaN for a class without samples. */
  readonly perClass: readonly number[];
  /** Mean of `perClass` over the classes that are there. */
  readonly balancedAccuracy: number;
  /** Area under the ROC curve of healthy against the rest, with its interval over patients. */
  readonly auc: Estimate;
  /** At 90 % specificity; the threshold is chosen on these same samples, which flatters. */
  readonly sensitivityAt90: OperatingPoint;
  /** Mean squared difference between the score and whether the sample is positive. */
  readonly brier: number;
}

/** What a model scores that looks at no image: see `constantMetrics`. */
export interface ConstantMetrics {
  readonly accuracy: number;
  readonly perClass: readonly number[];
  readonly balancedAccuracy: number;
  readonly auc: 0.5;
  /** Ties cannot be cut at 90 %: with one score for all, none is called positive. */
  readonly sensitivityAt90: 0;
  /** Cross-entropy and Brier score of always forecasting the class shares. */
  readonly loss: number;
  readonly brier: number;
}

/**
 * All figures of a set of predictions.
 *
 * @throws ShapeError where lengths disagree. @throws DataError for a label that is no class, a value that is NaN,
 *   probabilities that do not sum to 1, or no sample of weight above 0.
 */
export function evaluatePredictions(predictions: Predictions, options: BootstrapOptions = {}): Metrics {
  const { probabilities, losses, labels, weights, patients, classes } = usable(predictions);
  const count = labels.length;
  const total = sum(weights);
  const width = classes.length;
  let loss = 0;
  let brier = 0;
  const right = new Float64Array(width);
  const present = new Float64Array(width);
  const scores = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const row = probabilities.subarray(i * width, (i + 1) * width);
    const weight = weights[i];
    loss += weight * losses[i];
    // Summed from the other classes: 1 - p would lose the ranks of scores near 0.
    scores[i] = row.subarray(1).reduce((a, b) => a + b, 0);
    brier += weight * (scores[i] - Number(labels[i] > 0)) ** 2;
    present[labels[i]] += weight;
    if (row.indexOf(row.reduce((a, b) => Math.max(a, b))) === labels[i]) right[labels[i]] += weight;
  }
  const perClass = Array.from(present, (weight, label) => right[label] / weight);
  const ranked = new RankedScores(scores, labels.map((label) => Number(label > 0)));
  const timed = new Float64Array(count);
  const auc = bootstrap(patients, (times) => {
    for (let i = 0; i < count; i++) timed[i] = times[i] * weights[i];
    return ranked.auc(timed);
  }, options);
  return {
    samples: count, loss: loss / total, accuracy: sum(right) / total, perClass,
    balancedAccuracy: meanOfPresent(perClass), auc,
    sensitivityAt90: ranked.sensitivityAt(0.9, weights), brier: brier / total,
  };
}

/**
 * What always saying one class ("healthy") scores, beside which a model's figures stand: its accuracy per class, and,
 * for the figures that need probabilities, always forecasting the class shares.
 *
 * @param shares the forecast; by default the shares of these labels themselves. Give the training part's to be strict.
 * @param always the class that is always said. Default 0.
 */
export function constantMetrics(
  labels: ArrayLike<number>, classes: readonly string[],
  { weights, shares, always = 0 }: { weights?: ArrayLike<number>; shares?: readonly number[]; always?: number } = {},
): ConstantMetrics {
  const present = new Float64Array(classes.length);
  for (let i = 0; i < labels.length; i++) {
    if (!(labels[i] in present)) throw new DataError(`label ${labels[i]} of sample ${i}: ${classes.length} classes`);
    present[labels[i]] += weights ? weights[i] : 1;
  }
  const total = sum(present);
  if (!(total > 0)) throw new DataError('no sample counts: there are none of weight above 0');
  const forecast = shares ?? Array.from(present, (weight) => weight / total);
  const positive = 1 - forecast[0];
  let loss = 0;
  let brier = 0;
  present.forEach((weight, label) => {
    if (weight > 0) loss -= weight * Math.log(Math.max(forecast[label], 1e-12));
    brier += weight * (positive - Number(label > 0)) ** 2;
  });
  const perClass = Array.from(present, (weight, label) => (weight > 0 ? Number(label === always) : NaN));
  return {
    accuracy: present[always] / total, perClass, balancedAccuracy: meanOfPresent(perClass),
    auc: 0.5, sensitivityAt90: 0, loss: loss / total, brier: brier / total,
  };
}

/** Row-wise softmax of samples x classes. */
export function softmaxRows(logits: ArrayLike<number>, classes: number): Float64Array {
  const out = new Float64Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    let most = -Infinity;
    for (let c = 0; c < classes; c++) most = Math.max(most, logits[start + c]);
    let total = 0;
    for (let c = 0; c < classes; c++) total += out[start + c] = Math.exp(logits[start + c] - most);
    for (let c = 0; c < classes; c++) out[start + c] /= total;
  }
  return out;
}

/** Checks predictions and drops those of weight 0. */
function usable(predictions: Predictions) {
  const { values, kind, labels, classes, weights, patients } = predictions;
  const width = classes.length;
  if (values.length !== labels.length * width) {
    throw new ShapeError(`${labels.length} labels of ${width} classes need ${labels.length * width} ${kind}, ` +
      `got ${values.length}`);
  }
  for (const [name, array] of [['weights', weights], ['patients', patients]] as const) {
    if (array && array.length !== labels.length) {
      throw new ShapeError(`${array.length} ${name} for ${labels.length} labels`);
    }
  }
  const kept: number[] = [];
  for (let i = 0; i < labels.length; i++) {
    const weight = weights ? weights[i] : 1;
    if (!(weight >= 0 && Number.isFinite(weight))) throw new DataError(`the weight of sample ${i} is ${weight}`);
    if (weight === 0) continue;
    kept.push(i);
    if (!(Number.isInteger(labels[i]) && labels[i] >= 0 && labels[i] < width)) {
      throw new DataError(`label ${labels[i]} of sample ${i}: there are ${width} classes`);
    }
    let rowSum = 0;
    for (let c = 0; c < width; c++) rowSum += values[i * width + c];
    if (Number.isNaN(rowSum)) throw new DataError(`the ${kind} of sample ${i} are not numbers`);
    if (kind === 'probabilities' && Math.abs(rowSum - 1) > 1e-3) {
      throw new DataError(`the probabilities of sample ${i} sum to ${rowSum}`);
    }
  }
  if (kept.length === 0) throw new DataError('no sample counts: there are none of weight above 0');
  const rows = new Float64Array(kept.length * width);
  kept.forEach((i, k) => {
    for (let c = 0; c < width; c++) rows[k * width + c] = values[i * width + c];
  });
  const keptLabels = Int32Array.from(kept, (i) => labels[i]);
  return {
    classes,
    probabilities: kind === 'logits' ? softmaxRows(rows, width) : rows,
    losses: crossEntropies(rows, kind, keptLabels, width),
    labels: keptLabels,
    weights: Float64Array.from(kept, (i) => (weights ? weights[i] : 1)),
    patients: kept.map((i) => (patients ? patients[i] : i)),
  };
}

/** -log p of each sample's class; from logits by log-sum-exp, so that sure mistakes are not cut off. */
function crossEntropies(
  rows: Float64Array, kind: Predictions['kind'], labels: Int32Array, width: number,
): Float64Array {
  return Float64Array.from(labels, (label, i) => {
    const row = rows.subarray(i * width, (i + 1) * width);
    if (kind === 'probabilities') return -Math.log(Math.max(row[label], 1e-12));
    const most = row.reduce((a, b) => Math.max(a, b));
    return most + Math.log(row.reduce((a, b) => a + Math.exp(b - most), 0)) - row[label];
  });
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

function meanOfPresent(values: readonly number[]): number {
  const there = values.filter((value) => !Number.isNaN(value));
  return sum(there) / there.length;
}
