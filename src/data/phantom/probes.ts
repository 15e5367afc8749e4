/**
 * Probes: what a logistic regression gets out of a picture without looking at lesions. A phantom that they can sort is
 * a toy, for a network might learn from it what they did.
 */
import { ShapeError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';

export type ProbeName = 'channel statistics' | 'thumbnail 8x8' | 'radial profile' | 'sharpness';

const PERCENTILES = [1, 5, 10, 25, 50, 75, 90, 95, 99];

/** Mean, standard deviation, skewness and nine percentiles of each channel within the field (lum > 12), 36 numbers. */
export function channelStatistics(pixels: Uint8Array, size: number): number[] {
  const features: number[] = [];
  for (let c = 0; c < 3; c++) {
    const histogram = new Float64Array(256);
    let count = 0;
    for (let p = 0; p < size * size; p++) {
      if (pixels[3 * p] + pixels[3 * p + 1] + pixels[3 * p + 2] <= 36) continue;
      histogram[pixels[3 * p + c]]++;
      count++;
    }
    let mean = 0;
    for (let v = 0; v < 256; v++) mean += (v * histogram[v]) / count;
    let m2 = 0;
    let m3 = 0;
    for (let v = 0; v < 256; v++) {
      m2 += ((v - mean) ** 2 * histogram[v]) / count;
      m3 += ((v - mean) ** 3 * histogram[v]) / count;
    }
    features.push(mean, Math.sqrt(m2), m3 / Math.max(m2, 1e-6) ** 1.5);
    for (const q of PERCENTILES) {
      let below = 0;
      let v = 0;
      while (v < 255 && below + histogram[v] < (q / 100) * count) below += histogram[v++];
      features.push(v);
    }
  }
  return features;
}

/** The picture averaged down to 8 x 8 pixels, 192 numbers. */
export function thumbnail(pixels: Uint8Array, size: number, side = 8): number[] {
  const sum = new Float64Array(side * side * 3);
  const count = new Float64Array(side * side);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const cell = Math.floor((y * side) / size) * side + Math.floor((x * side) / size);
      count[cell]++;
      for (let c = 0; c < 3; c++) sum[3 * cell + c] += pixels[3 * (y * size + x) + c];
    }
  }
  return Array.from(sum, (v, i) => v / count[Math.floor(i / 3)]);
}

/** Mean and standard deviation of each channel in 12 rings about the middle, 72 numbers. */
export function radialProfile(pixels: Uint8Array, size: number, rings = 12): number[] {
  const sums = new Float64Array(rings * 7);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const rho = Math.hypot(x + 0.5 - size / 2, y + 0.5 - size / 2) / (size / 2);
      const ring = Math.floor(rho * rings);
      if (ring >= rings) continue;
      sums[ring * 7]++;
      for (let c = 0; c < 3; c++) {
        const v = pixels[3 * (y * size + x) + c];
        sums[ring * 7 + 1 + c] += v;
        sums[ring * 7 + 4 + c] += v * v;
      }
    }
  }
  const features: number[] = [];
  for (let r = 0; r < rings; r++) {
    for (let c = 0; c < 3; c++) {
      const mean = sums[r * 7 + 1 + c] / sums[r * 7];
      features.push(mean, Math.sqrt(Math.max(0, sums[r * 7 + 4 + c] / sums[r * 7] - mean * mean)));
    }
  }
  return features;
}

/**
 * Of each channel, within the field: the logarithms of the variance of the Laplacian and of the mean squared gradient,
 * at full size and averaged down by 2 and by 4; 18 numbers.
 */
export function sharpness(pixels: Uint8Array, size: number): number[] {
  const features: number[] = [];
  for (let c = 0; c < 3; c++) {
    let plane = Float32Array.from({ length: size * size }, (_, p) => pixels[3 * p + c]);
    let inside = Float32Array.from({ length: size * size }, (_, p) =>
      pixels[3 * p] + pixels[3 * p + 1] + pixels[3 * p + 2] > 36 ? 1 : 0,
    );
    let n = size;
    for (let level = 0; level < 3; level++) {
      let count = 0;
      let sum = 0;
      let squares = 0;
      let gradient = 0;
      for (let y = 1; y < n - 1; y++) {
        for (let x = 1; x < n - 1; x++) {
          const p = y * n + x;
          if (inside[p] + inside[p - 1] + inside[p + 1] + inside[p - n] + inside[p + n] < 4.99) continue;
          const l = plane[p - 1] + plane[p + 1] + plane[p - n] + plane[p + n] - 4 * plane[p];
          count++;
          sum += l;
          squares += l * l;
          gradient += (plane[p + 1] - plane[p - 1]) ** 2 + (plane[p + n] - plane[p - n]) ** 2;
        }
      }
      const mean = sum / count;
      features.push(Math.log(squares / count - mean * mean + 1e-3), Math.log(gradient / count + 1e-3));
      const half = n >> 1;
      const shrink = (from: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> =>
        Float32Array.from({ length: half * half }, (_, q) => {
          const p = 2 * Math.floor(q / half) * n + 2 * (q % half);
          return (from[p] + from[p + 1] + from[p + n] + from[p + n + 1]) / 4;
        });
      plane = shrink(plane);
      inside = shrink(inside);
      n = half;
    }
  }
  return features;
}

/** The probes by name. */
export const PROBES: Readonly<Record<ProbeName, (pixels: Uint8Array, size: number) => number[]>> = {
  'channel statistics': channelStatistics,
  'thumbnail 8x8': (pixels, size) => thumbnail(pixels, size),
  'radial profile': (pixels, size) => radialProfile(pixels, size),
  sharpness,
};

/** Area under the ROC curve by ranks, ties counted half. NaN where a class is absent. */
export function rocAuc(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let positives = 0;
  let rankSum = 0;
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j < order.length && scores[order[j]] === scores[order[i]]) j++;
    for (let k = i; k < j; k++) {
      if (labels[order[k]] !== 1) continue;
      positives++;
      rankSum += (i + 1 + j) / 2;
    }
    i = j;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Solves A x = b for a symmetric positive definite A of n x n, rows after one another; overwrites both. */
function solve(a: Float64Array, b: Float64Array, n: number): Float64Array {
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < j; k++) {
      const f = a[j * n + k];
      for (let i = j; i < n; i++) a[i * n + j] -= a[i * n + k] * f;
    }
    const d = Math.sqrt(Math.max(a[j * n + j], 1e-12));
    for (let i = j; i < n; i++) a[i * n + j] /= d;
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

/**
 * Logistic regression with an L2 penalty `l2 / 2 * |w|^2` on the mean loss, the intercept free, by Newton's method.
 *
 * @param x rows of features, standardized by the caller
 * @returns weights, the intercept last
 */
export function fitLogistic(x: readonly Float64Array[], y: ArrayLike<number>, l2: number, steps = 12): Float64Array {
  const n = x[0].length + 1;
  let w = new Float64Array(n);
  for (let step = 0; step < steps; step++) {
    const hessian = new Float64Array(n * n);
    const gradient = new Float64Array(n);
    for (let i = 0; i < x.length; i++) {
      const row = x[i];
      const p = 1 / (1 + Math.exp(-score(w, row)));
      const weight = Math.max(p * (1 - p), 1e-5);
      const error = p - y[i];
      for (let j = 0; j < n; j++) {
        const xj = j < n - 1 ? row[j] : 1;
        gradient[j] += error * xj;
        const f = weight * xj;
        for (let k = 0; k <= j; k++) hessian[j * n + k] += f * (k < n - 1 ? row[k] : 1);
      }
    }
    for (let j = 0; j < n; j++) {
      gradient[j] /= x.length;
      for (let k = 0; k <= j; k++) hessian[j * n + k] /= x.length;
      if (j < n - 1) {
        gradient[j] += l2 * w[j];
        hessian[j * n + j] += l2;
      }
    }
    const change = solve(hessian, gradient, n);
    let largest = 0;
    w = w.map((v, j) => {
      largest = Math.max(largest, Math.abs(change[j]));
      return v - change[j];
    });
    if (largest < 1e-6) break;
  }
  return w;
}

function score(w: Float64Array, row: Float64Array): number {
  let sum = w[w.length - 1];
  for (let j = 0; j < row.length; j++) sum += w[j] * row[j];
  return sum;
}

/** Standardizes columns by the mean and deviation of the training rows. */
function standardize(rows: readonly number[][], train: readonly number[]): Float64Array[] {
  const n = rows[0].length;
  const mean = new Float64Array(n);
  const deviation = new Float64Array(n);
  for (const i of train) for (let j = 0; j < n; j++) mean[j] += rows[i][j] / train.length;
  for (const i of train) for (let j = 0; j < n; j++) deviation[j] += (rows[i][j] - mean[j]) ** 2 / train.length;
  return rows.map((row) => Float64Array.from(row, (v, j) => (v - mean[j]) / (Math.sqrt(deviation[j]) + 1e-9)));
}

export interface ProbeOptions {
  /** Default 5. */
  folds?: number;
  /** Penalties tried; the reported one is the best for the probe, which flatters it. Default 1e-3 to 1. */
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
    const x = standardize(rows, train);
    l2.forEach((penalty, k) => {
      const w = fitLogistic(train.map((i) => x[i]), train.map((i) => labels[i]), penalty);
      for (const i of test) scores[k][i] = score(w, x[i]);
    });
  }
  let best = { auc: -1, l2: 0 };
  scores.forEach((s, k) => {
    const auc = rocAuc(s, labels);
    if (auc > best.auc) best = { auc, l2: l2[k] };
  });
  return best;
}
