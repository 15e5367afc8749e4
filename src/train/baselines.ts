/**
 * Baselines that look at no lesion: logistic regression on the colours of a photograph, or on an 8 x 8 thumbnail. A
 * network that does not pass them has learnt the camera, not the disease.
 */
import { kFold } from '../data/split.ts';
import type { Dataset } from '../data/dataset.ts';
import { fitLogistic, rocAuc } from '../data/logistic.ts';
import { channelStatistics, thumbnail } from '../data/features.ts';
import { DataError } from '../errors.ts';
import { evaluatePredictions } from './metrics.ts';
import type { Metrics } from './metrics.ts';
import type { BootstrapOptions } from './statistics.ts';

export const baselineNames = ['channel statistics', '8x8 thumbnail'] as const;
export type BaselineName = (typeof baselineNames)[number];

const probes: Record<BaselineName, (pixels: Uint8Array, size: number) => number[]> = {
  'channel statistics': channelStatistics, '8x8 thumbnail': thumbnail,
};

/** Rows of features, row-major. */
export interface Features {
  readonly values: Float64Array;
  readonly columns: number;
}

export interface BaselineResult {
  readonly name: BaselineName;
  /** Penalty chosen by cross-validation on the training part alone. */
  readonly l2: number;
  /** AUC in that cross-validation: the mean over folds. */
  readonly crossValidatedAuc: number;
  /** Figures on the evaluated part, healthy against the rest. */
  readonly metrics: Metrics;
  /** Score of each evaluated sample. */
  readonly scores: Float64Array;
}

/** Penalties that are tried: weights of |w|^2/2 beside the sum of losses. */
const penalties = [1, 10, 100, 1000, 10000] as const;

/**
 * Features of square images.
 *
 * @param indices dataset indices, one row each.
 * @throws DataError for images that are not square RGB, or smaller than the thumbnail.
 */
export function baselineFeatures(name: BaselineName, data: Dataset, indices: ArrayLike<number>): Features {
  const [height, width, channels] = data.shape;
  if (height !== width || channels !== 3 || height < 8) {
    throw new DataError(`${data.name}: a baseline needs square RGB images of 8 pixels or more, got ` +
      `[${data.shape.join(', ')}]`);
  }
  const probe = probes[name];
  const pixels = new Uint8Array(height * width * channels);
  const rows = Array.from(indices, (i) => {
    data.readInto(i, pixels);
    // An image without a field (all black) has no statistics; zeros keep it among the evaluated.
    return probe(pixels, height).map((value) => (Number.isFinite(value) ? value : 0));
  });
  const columns = rows.length > 0 ? rows[0].length : 0;
  return { values: Float64Array.from(rows.flat()), columns };
}

/**
 * Fits a baseline on the training part, its penalty chosen there by cross-validation by patient, and scores the other.
 *
 * @throws DataError where the training part lacks a class or has fewer patients than folds.
 */
export function logisticBaseline(
  name: BaselineName, data: Dataset, train: ArrayLike<number>, evaluated: ArrayLike<number>,
  options: BootstrapOptions & { folds?: number } = {},
): BaselineResult {
  const features = (indices: ArrayLike<number>) => baselineFeatures(name, data, indices);
  const positive = (indices: ArrayLike<number>) => Array.from(indices, (i) => Number(data.labels[i] > 0));
  const training = features(train);
  const position = new Map(Array.from(train, (i, k) => [i, k]));
  const rows = ({ values, columns }: Features, indices: ArrayLike<number>) => {
    const out = new Float64Array(indices.length * columns);
    Array.from(indices).forEach((i, row) => {
      const k = position.get(i) as number;
      out.set(values.subarray(k * columns, (k + 1) * columns), row * columns);
    });
    return out;
  };
  const folds = kFold(data, { folds: options.folds ?? 5, seed: options.seed, indices: train }).map((fold) => ({
    x: rows(training, fold.train), y: positive(fold.train),
    heldX: rows(training, fold.validation), heldY: positive(fold.validation),
  }));
  let l2 = penalties[0] as number;
  let crossValidatedAuc = -Infinity;
  for (const penalty of penalties) {
    const aucs = folds.flatMap(({ x, y, heldX, heldY }) => {
      if (!y.includes(0) || !y.includes(1)) return [];
      const auc = rocAuc(fitLogistic(x, y, { l2: penalty }).predict(heldX), heldY);
      return Number.isNaN(auc) ? [] : [auc];
    });
    const mean = aucs.length > 0 ? aucs.reduce((a, b) => a + b) / aucs.length : 0.5;
    if (mean > crossValidatedAuc) [l2, crossValidatedAuc] = [penalty, mean];
  }
  const scores = fitLogistic(training.values, positive(train), { l2 }).predict(features(evaluated).values);
  const metrics = evaluatePredictions({
    values: Array.from(scores).flatMap((score) => [1 - score, score]), kind: 'probabilities',
    labels: positive(evaluated), classes: ['healthy', 'infected'],
    patients: Array.from(evaluated, (i) => data.patients[i]),
  }, options);
  return { name, l2, crossValidatedAuc, metrics, scores };
}
