/**
 * Probes: what a logistic regression gets out of a picture without looking at lesions. A phantom that they can sort is
 * a toy, for a network might learn from it what they did.
 */
import { ShapeError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';
import { channelStatistics, radialProfile, sharpness, thumbnail } from '../features.ts';
import { fitLogistic, rocAuc } from '../logistic.ts';

export type ProbeName = 'channel statistics' | 'thumbnail 8x8' | 'radial profile' | 'sharpness';

/** The probes by name. */
export const PROBES: Readonly<Record<ProbeName, (pixels: Uint8Array, size: number) => number[]>> = {
  'channel statistics': channelStatistics,
  'thumbnail 8x8': (pixels, size) => thumbnail(pixels, size),
  'radial profile': (pixels, size) => radialProfile(pixels, size),
  sharpness,
};

export interface ProbeOptions {
  /** Default 5. */
  folds?: number;
  /**
   * Penalties tried, l2/2 |w|^2 beside the *mean* of the losses; the reported one is the best for the probe, which
   * flatters it. Default 1e-3 to 1.
   */
  l2?: readonly number[];
  seed?: number;
}

/**
 * AUC of a logistic probe, cross-validated by patient: the scores of all held-out folds are ranked together. The
 * penalty is the one that serves the probe best, so the figure errs in the probe's favour.
 *
 * @param rows one row of features a picture
 * @param patients the patient of each row: no patient is in two folds
 * @throws ShapeError where the three lengths differ
 * @throws DataError for a feature that is not finite, or folds that leave a class out
 */
export function probeAuc(
  rows: readonly number[][],
  labels: readonly number[],
  patients: readonly string[],
  options: ProbeOptions = {},
): { auc: number; l2: number } {
  const { folds = 5, l2 = [1e-3, 1e-2, 1e-1, 1], seed = 0 } = options;
  if (rows.length !== labels.length || rows.length !== patients.length) {
    throw new ShapeError(`probe: ${rows.length} rows, ${labels.length} labels and ${patients.length} patients`);
  }
  const names = new PhiloxStream(seed, 'phantom/folds').shuffle([...new Set(patients)]);
  const foldOf = new Map(names.map((name, i) => [name, i % folds]));
  const scores = l2.map(() => new Float64Array(rows.length));
  for (let fold = 0; fold < folds; fold++) {
    const train: number[] = [];
    const test: number[] = [];
    patients.forEach((name, i) => (foldOf.get(name) === fold ? test : train).push(i));
    const matrix = (indices: readonly number[]) => Float64Array.from(indices.flatMap((i) => rows[i]));
    const [x, heldOut] = [matrix(train), matrix(test)];
    const y = train.map((i) => labels[i]);
    l2.forEach((penalty, k) => {
      // fitLogistic weighs its penalty against the sum of the losses.
      const probabilities = fitLogistic(x, y, { l2: penalty * train.length }).predict(heldOut);
      test.forEach((i, t) => (scores[k][i] = probabilities[t]));
    });
  }
  let best = { auc: -1, l2: 0 };
  scores.forEach((s, k) => {
    const auc = rocAuc(s, labels);
    if (auc > best.auc) best = { auc, l2: l2[k] };
  });
  return best;
}
