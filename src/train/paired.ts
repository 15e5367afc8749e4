/** Two scores of the same samples, compared. */
import { rocAuc } from '../data/logistic.ts';
import { DataError } from '../errors.ts';
import type { BootstrapOptions, Estimate } from './statistics.ts';
import { bootstrap } from './statistics.ts';

/** Scores out of cross-validation, each sample scored by the model that did not see it. */
export interface FoldScores {
  readonly scores: ArrayLike<number>;
  /** Class 1 where 1. */
  readonly labels: ArrayLike<number>;
  /** The fold of each sample, any key: scores of different folds are of different models, and are not ranked against each other. */
  readonly folds: readonly unknown[];
  readonly patients: readonly unknown[];
}

/**
 * Mean over the folds of the area under the ROC curve, with weights of the samples; folds that lack a class (in a resample) are left out.
 *
 * @throws DataError where lengths disagree
 */
export function meanFoldAuc({ scores, labels, folds }: Omit<FoldScores, 'patients'>, weights?: ArrayLike<number>): number {
  if (scores.length !== labels.length || folds.length !== labels.length) {
    throw new DataError(`${scores.length} scores, ${labels.length} labels, ${folds.length} folds: as many of each were expected`);
  }
  const members = new Map<unknown, number[]>();
  for (const fold of new Set(folds)) members.set(fold, []);
  folds.forEach((fold, i) => members.get(fold)!.push(i));
  const aucs = [...members.values()].map((own) => rocAuc(
    own.map((i) => scores[i]), own.map((i) => labels[i]), weights && own.map((i) => weights[i]),
  )).filter((auc) => !Number.isNaN(auc));
  return aucs.reduce((a, b) => a + b, 0) / aucs.length;
}

/** The mean AUC over folds, with its interval by bootstrap over patients. */
export function foldAuc(of: FoldScores, options?: BootstrapOptions): Estimate {
  return bootstrap(of.patients, (times) => meanFoldAuc(of, times), options);
}

/**
 * By how much the mean AUC of `scores` is above that of `others`, with its interval: each resample of patients is scored by both
 * (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8).
 */
export function foldAucDifference(of: FoldScores, others: ArrayLike<number>, options?: BootstrapOptions): Estimate {
  const second = { ...of, scores: others };
  return bootstrap(of.patients, (times) => meanFoldAuc(of, times) - meanFoldAuc(second, times), options);
}
