/**
 * Logistic regression and the area under the ROC curve, for baselines and probes: small, exact and free of any device.
 *
 * Fitting is Newton's method (iteratively reweighted least squares; Hastie, Tibshirani & Friedman, The Elements of
 * Statistical Learning, 2nd ed., section 4.4.1) with halved steps, on standardised features, with an L2 penalty that
 * spares the intercept. A few hundred columns cost milliseconds; the Hessian is cols x cols, so stay below a thousand.
 */
import { DataError, OptionError } from '../errors.ts';

/** Any array of numbers that is read by index. */
export type Numbers = ArrayLike<number>;

export interface LogisticOptions {
  /** Weight of the penalty l2/2 * |w|^2 beside the *sum* of the losses (scikit-learn's C is 1/l2). Default 1. */
  l2?: number;
  /** Per-sample weights (rows); a sample of weight 0 takes no part, in the standardisation neither. */
  weights?: Numbers;
  /** Most Newton steps. Default 50. */
  maxIterations?: number;
}

export interface LogisticModel {
  /** Coefficients of the standardised features (cols). */
  readonly coefficients: Float64Array;
  readonly intercept: number;
  /** Mean and standard deviation of each column in the fitted rows; a constant column has deviation 1. */
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
  /** Whether the gradient vanished within `maxIterations`; separable data without a penalty never gets there. */
  readonly converged: boolean;
  /** The probability of class 1 for each row of a (rows x cols) matrix, row-major. */
  predict(features: Numbers): Float64Array;
}

/**
 * Fits P(label = 1 | x) = sigmoid(w . standardise(x) + b).
 *
 * @param features rows x cols, row-major; rows is `labels.length`, cols follows.
 * @param labels one 0 or 1 per row, both present.
 * @throws DataError where shapes disagree, a value is not finite, a label is neither 0 nor 1, or a class is absent.
 * @throws OptionError for a negative or non-finite `l2`.
 */
export function fitLogistic(features: Numbers, labels: Numbers, options: LogisticOptions = {}): LogisticModel {
  const { l2 = 1, maxIterations = 50, weights } = options;
  if (!(l2 >= 0 && Number.isFinite(l2))) throw new OptionError(`fitLogistic: l2 must be 0 or more, got ${l2}`);
  const rows = labels.length;
  const cols = rows > 0 ? features.length / rows : 0;
  if (!Number.isInteger(cols) || cols < 1) {
    throw new DataError(`fitLogistic: ${features.length} feature values do not make rows for ${rows} labels`);
  }
  if (weights && weights.length !== rows) {
    throw new DataError(`fitLogistic: ${weights.length} weights for ${rows} labels`);
  }
  checkValues(features, labels, weights, cols);
  const { mean, deviation } = columnStatistics(features, rows, cols, weights);
  const x = new Float64Array(rows * (cols + 1)); // standardised, with a last column of ones for the intercept
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) x[r * (cols + 1) + c] = (features[r * cols + c] - mean[c]) / deviation[c];
    x[r * (cols + 1) + cols] = 1;
  }
  const { beta, converged } = newton(x, labels, weights, rows, cols + 1, l2, maxIterations);
  const coefficients = beta.slice(0, cols);
  const intercept = beta[cols];
  return {
    coefficients, intercept, mean, deviation, converged,
    predict(matrix) {
      const count = matrix.length / cols;
      if (!Number.isInteger(count)) {
        throw new DataError(`logistic model: ${matrix.length} values are not rows of ${cols} features`);
      }
      const out = new Float64Array(count);
      for (let r = 0; r < count; r++) {
        let z = intercept;
        for (let c = 0; c < cols; c++) z += coefficients[c] * (matrix[r * cols + c] - mean[c]) / deviation[c];
        out[r] = sigmoid(z);
      }
      return out;
    },
  };
}

/**
 * Area under the ROC curve: the chance that a sample of class 1 scores above one of class 0, ties counting half
 * (Mann-Whitney). With weights, each pair counts the product of its weights.
 *
 * @param labels class 1 where the value is 1 (or true); every other value is class 0.
 * @returns NaN where a class is absent or a score that counts is NaN.
 * @throws DataError where lengths disagree.
 */
export function rocAuc(scores: Numbers, labels: ArrayLike<number | boolean>, weights?: Numbers): number {
  if (scores.length !== labels.length || (weights && weights.length !== scores.length)) {
    throw new DataError(`rocAuc: ${scores.length} scores, ${labels.length} labels` +
      (weights ? `, ${weights.length} weights` : ''));
  }
  const order: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    if (weights && weights[i] === 0) continue;
    if (Number.isNaN(scores[i])) return NaN;
    order.push(i);
  }
  order.sort((a, b) => scores[a] - scores[b] || a - b);
  let below = 0; // weight of class 0 with a lower score
  let positives = 0;
  let wins = 0;
  for (let start = 0; start < order.length;) {
    let end = start;
    let tiedPositive = 0;
    let tiedNegative = 0;
    for (; end < order.length && scores[order[end]] === scores[order[start]]; end++) {
      const weight = weights ? weights[order[end]] : 1;
      if (Number(labels[order[end]]) === 1) tiedPositive += weight;
      else tiedNegative += weight;
    }
    wins += tiedPositive * (below + tiedNegative / 2);
    below += tiedNegative;
    positives += tiedPositive;
    start = end;
  }
  return wins / (positives * below);
}

function sigmoid(z: number): number {
  return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
}

function checkValues(features: Numbers, labels: Numbers, weights: Numbers | undefined, cols: number): void {
  let positives = 0;
  let negatives = 0;
  for (let r = 0; r < labels.length; r++) {
    const weight = weights ? weights[r] : 1;
    if (!(weight >= 0 && Number.isFinite(weight))) throw new DataError(`fitLogistic: weight ${weight} of row ${r}`);
    if (labels[r] !== 0 && labels[r] !== 1) {
      throw new DataError(`fitLogistic: label ${labels[r]} of row ${r} is neither 0 nor 1`);
    }
    if (weight > 0 && labels[r] === 1) positives++;
    else if (weight > 0) negatives++;
  }
  if (positives === 0 || negatives === 0) {
    throw new DataError(`fitLogistic: no sample of class ${positives === 0 ? 1 : 0}`);
  }
  for (let i = 0; i < features.length; i++) {
    if (!Number.isFinite(features[i])) {
      throw new DataError(`fitLogistic: feature ${i % cols} of row ${Math.floor(i / cols)} is ${features[i]}`);
    }
  }
}

function columnStatistics(features: Numbers, rows: number, cols: number, weights: Numbers | undefined) {
  const mean = new Float64Array(cols);
  const deviation = new Float64Array(cols);
  let total = 0;
  for (let r = 0; r < rows; r++) {
    const weight = weights ? weights[r] : 1;
    total += weight;
    for (let c = 0; c < cols; c++) mean[c] += weight * features[r * cols + c];
  }
  for (let c = 0; c < cols; c++) mean[c] /= total;
  for (let r = 0; r < rows; r++) {
    const weight = weights ? weights[r] : 1;
    for (let c = 0; c < cols; c++) deviation[c] += weight * (features[r * cols + c] - mean[c]) ** 2;
  }
  for (let c = 0; c < cols; c++) {
    const value = Math.sqrt(deviation[c] / total);
    // A constant column must not be blown up by the rounding left in it.
    deviation[c] = value > 1e-12 * Math.max(1, Math.abs(mean[c])) ? value : 1;
  }
  return { mean, deviation };
}

/** sum of weight * (log(1 + exp(z)) - y z) + l2/2 |w|^2, the intercept (last) unpenalised. */
function objective(
  x: Float64Array, y: Numbers, weights: Numbers | undefined, rows: number, n: number, l2: number, beta: Float64Array,
): number {
  let sum = 0;
  for (let r = 0; r < rows; r++) {
    let z = 0;
    for (let c = 0; c < n; c++) z += beta[c] * x[r * n + c];
    const loss = Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - y[r] * z;
    sum += weights ? weights[r] * loss : loss;
  }
  for (let c = 0; c < n - 1; c++) sum += l2 / 2 * beta[c] * beta[c];
  return sum;
}

function newton(
  x: Float64Array, y: Numbers, weights: Numbers | undefined, rows: number, n: number, l2: number, steps: number,
): { beta: Float64Array; converged: boolean } {
  let beta = new Float64Array(n);
  let value = objective(x, y, weights, rows, n, l2, beta);
  for (let step = 0; step < steps; step++) {
    const gradient = new Float64Array(n);
    const hessian = new Float64Array(n * n); // lower triangle
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * n, (r + 1) * n);
      let z = 0;
      for (let c = 0; c < n; c++) z += beta[c] * row[c];
      const p = sigmoid(z);
      const weight = weights ? weights[r] : 1;
      const residual = weight * (p - y[r]);
      const curvature = weight * p * (1 - p);
      for (let i = 0; i < n; i++) {
        gradient[i] += residual * row[i];
        const scaled = curvature * row[i];
        for (let j = 0; j <= i; j++) hessian[i * n + j] += scaled * row[j];
      }
    }
    let norm = 0;
    for (let i = 0; i < n; i++) {
      if (i < n - 1) {
        gradient[i] += l2 * beta[i];
        hessian[i * n + i] += l2;
      }
      hessian[i * n + i] += 1e-9; // keeps equal columns and saturated fits solvable; moves no fixed point
      norm = Math.max(norm, Math.abs(gradient[i]));
    }
    if (norm <= 1e-8 * Math.max(1, rows)) return { beta, converged: true };
    const direction = solve(hessian, gradient, n);
    let moved = false;
    for (let scale = 1; scale > 1e-6 && !moved; scale /= 2) {
      const next = beta.map((b, i) => b - scale * direction[i]);
      const nextValue = objective(x, y, weights, rows, n, l2, next);
      if (nextValue < value) {
        beta = next;
        value = nextValue;
        moved = true;
      }
    }
    if (!moved) return { beta, converged: norm <= 1e-5 * Math.max(1, rows) };
  }
  return { beta, converged: false };
}

/** Solves A v = b by Cholesky; A is symmetric positive definite, given and overwritten in its lower triangle. */
function solve(a: Float64Array, b: Float64Array, n: number): Float64Array {
  for (let j = 0; j < n; j++) {
    let diagonal = a[j * n + j];
    for (let k = 0; k < j; k++) diagonal -= a[j * n + k] ** 2;
    const pivot = Math.sqrt(Math.max(diagonal, 1e-300));
    a[j * n + j] = pivot;
    for (let i = j + 1; i < n; i++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = sum / pivot;
    }
  }
  const v = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) v[i] -= a[i * n + k] * v[k];
    v[i] /= a[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) v[i] -= a[k * n + i] * v[k];
    v[i] /= a[i * n + i];
  }
  return v;
}
