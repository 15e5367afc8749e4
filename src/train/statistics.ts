/** Intervals by resampling, and ROC curves walked by rank. */
import { DataError, OptionError } from '../errors.ts';
import { PhiloxStream } from '../random/philox.ts';

/** A value with its interval. */
export interface Estimate {
  readonly value: number;
  /** Ends of the percentile interval; NaN where too few resamples gave a value. */
  readonly low: number;
  readonly high: number;
  /** Chance that the interval is meant to cover, e.g. 0.95. */
  readonly level: number;
  /** Resamples that gave a value (one may lack a class). */
  readonly resamples: number;
}

export interface BootstrapOptions {
  /** Default 1000. 0 gives no interval. */
  resamples?: number;
  /** Default 0.95. */
  level?: number;
  seed?: number;
}

/**
 * Percentile bootstrap over clusters (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): whole
 * clusters, such as patients with both their eyes, are drawn with replacement, as many as there are.
 *
 * @param clusters cluster of each sample, any key; samples alone where each is its own.
 * @param statistic of how often each sample was drawn; NaN where it has no value.
 * @throws OptionError for resamples or a level out of range.
 */
export function bootstrap(
  clusters: readonly unknown[], statistic: (times: Float64Array) => number, options: BootstrapOptions = {},
): Estimate {
  const { resamples = 1000, level = 0.95, seed = 0 } = options;
  if (!Number.isInteger(resamples) || resamples < 0) {
    throw new OptionError(`resamples must be 0 or more, got ${resamples}`);
  }
  if (!(level > 0 && level < 1)) throw new OptionError(`level must lie between 0 and 1, got ${level}`);
  const numbers = new Map<unknown, number>();
  const clusterOf = clusters.map((cluster) => {
    const known = numbers.get(cluster);
    if (known !== undefined) return known;
    numbers.set(cluster, numbers.size);
    return numbers.size - 1;
  });
  const value = statistic(new Float64Array(clusters.length).fill(1));
  const values: number[] = [];
  const drawn = new Float64Array(numbers.size);
  const times = new Float64Array(clusters.length);
  for (let resample = 0; resample < resamples && clusters.length > 0; resample++) {
    const rng = new PhiloxStream(seed, 'bootstrap', resample);
    drawn.fill(0);
    for (let k = 0; k < numbers.size; k++) drawn[rng.int(numbers.size)]++;
    for (let i = 0; i < times.length; i++) times[i] = drawn[clusterOf[i]];
    const result = statistic(times);
    if (!Number.isNaN(result)) values.push(result);
  }
  values.sort((a, b) => a - b);
  const enough = values.length >= Math.max(1, resamples / 2) && resamples > 0;
  return {
    value, level, resamples: values.length,
    low: enough ? quantile(values, (1 - level) / 2) : NaN,
    high: enough ? quantile(values, (1 + level) / 2) : NaN,
  };
}

/**
 * Quantile by linear interpolation between order statistics (Hyndman & Fan's type 7).
 *
 * @param sorted ascending, not empty.
 */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) throw new DataError('quantile of no values');
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/** Scores and labels put in rank order once, for curves under many weightings. */
export class RankedScores {
  /** Sample at each rank, highest score first. */
  readonly #order: Int32Array;
  readonly #scores: ArrayLike<number>;
  readonly #positive: ArrayLike<number | boolean>;

  /** @throws DataError where lengths disagree or a score is not a number. */
  constructor(scores: ArrayLike<number>, positive: ArrayLike<number | boolean>) {
    if (scores.length !== positive.length) {
      throw new DataError(`${scores.length} scores for ${positive.length} labels`);
    }
    for (let i = 0; i < scores.length; i++) {
      if (Number.isNaN(scores[i])) throw new DataError(`the score of sample ${i} is NaN`);
    }
    const order = Int32Array.from({ length: scores.length }, (_, i) => i);
    this.#order = order.sort((a, b) => scores[b] - scores[a] || a - b);
    this.#scores = scores;
    this.#positive = positive;
  }

  /**
   * Calls back at each distinct score, from the highest down, with the weight of positives and negatives that score at
   * least as high.
   */
  walk(
    weights: ArrayLike<number> | undefined, at: (score: number, truePositive: number, falsePositive: number) => void,
  ): void {
    let truePositive = 0;
    let falsePositive = 0;
    const order = this.#order;
    for (let rank = 0; rank < order.length; rank++) {
      const i = order[rank];
      const weight = weights ? weights[i] : 1;
      if (this.#positive[i]) truePositive += weight;
      else falsePositive += weight;
      const score = this.#scores[i];
      if (rank + 1 === order.length || this.#scores[order[rank + 1]] !== score) at(score, truePositive, falsePositive);
    }
  }

  /** Area under the ROC curve by the trapezoid rule, which counts ties half; NaN where a class has no weight. */
  auc(weights?: ArrayLike<number>): number {
    let area = 0;
    let lastTrue = 0;
    let lastFalse = 0;
    this.walk(weights, (_, truePositive, falsePositive) => {
      area += (falsePositive - lastFalse) * (truePositive + lastTrue) / 2;
      lastTrue = truePositive;
      lastFalse = falsePositive;
    });
    return area / (lastTrue * lastFalse);
  }

  /**
   * The threshold with the highest sensitivity among those of at least the given specificity; a sample is called
   * positive from the threshold up. With none called positive (threshold Infinity) specificity is 1.
   */
  sensitivityAt(specificity: number, weights?: ArrayLike<number>): OperatingPoint {
    let positives = 0;
    let negatives = 0;
    this.walk(weights, (_, truePositive, falsePositive) => ([positives, negatives] = [truePositive, falsePositive]));
    let best: OperatingPoint = { threshold: Infinity, sensitivity: 0, specificity: 1 };
    this.walk(weights, (threshold, truePositive, falsePositive) => {
      // In counts, not quotients: 0.9 of 10 negatives is 9 exactly.
      const allowed = (1 - specificity) * negatives;
      if (falsePositive > allowed + 1e-9 * negatives) return;
      const sensitivity = truePositive / positives;
      if (sensitivity > best.sensitivity) best = { threshold, sensitivity, specificity: 1 - falsePositive / negatives };
    });
    return positives > 0 && negatives > 0 ? best : { threshold: NaN, sensitivity: NaN, specificity: NaN };
  }
}

/** Calling positive every score from `threshold` up. */
export interface OperatingPoint {
  readonly threshold: number;
  readonly sensitivity: number;
  readonly specificity: number;
}
