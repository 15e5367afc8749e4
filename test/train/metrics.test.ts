import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rocAuc } from '../../src/data/logistic.ts';
import { DataError, OptionError, ShapeError } from '../../src/errors.ts';
import { constantMetrics, evaluatePredictions, softmaxRows } from '../../src/train/metrics.ts';
import type { Predictions } from '../../src/train/metrics.ts';
import { bootstrap, quantile, RankedScores } from '../../src/train/statistics.ts';

const classes = ['healthy', 'infected'];
const none = { resamples: 0 };
const near = (got: number, expected: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(got - expected) <= tolerance, `${got} is not ${expected}`);
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}
function binary(scores: number[], labels: number[], more: Partial<Predictions> = {}): Predictions {
  return { values: scores.flatMap((p) => [1 - p, p]), kind: 'probabilities', labels, classes, ...more };
}

test('four samples worked by hand', () => {
  const metrics = evaluatePredictions(binary([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), none);
  assert.is(metrics.samples, 4);
  near(metrics.loss, -(Math.log(0.9) + Math.log(0.6) + Math.log(0.35) + Math.log(0.8)) / 4);
  near(metrics.accuracy, 0.75);
  assert.equal(metrics.perClass, [1, 0.5]);
  near(metrics.balancedAccuracy, 0.75);
  near(metrics.auc.value, 0.75);
  near(metrics.brier, (0.01 + 0.16 + 0.65 ** 2 + 0.04) / 4);
  // No healthy sample may be called infected (1 of 2 is 50 %), so the threshold lies at 0.8.
  assert.equal(metrics.sensitivityAt90, { threshold: 0.8, sensitivity: 0.5, specificity: 1 });
});

test('three classes from logits; healthy against the rest', () => {
  const logits = [2, 1, 0, 0, 3, 1, 1, 1, 4, 5, 0, 0];
  const labels = [0, 2, 2, 1];
  const metrics = evaluatePredictions({ values: logits, kind: 'logits', labels, classes: ['0', '1', '2'] }, none);
  const p = softmaxRows(logits, 3);
  near(p[0], Math.E ** 2 / (Math.E ** 2 + Math.E + 1));
  near(metrics.loss, -(Math.log(p[0]) + Math.log(p[5]) + Math.log(p[8]) + Math.log(p[10])) / 4);
  assert.equal(metrics.perClass, [1, 0, 0.5]);
  near(metrics.balancedAccuracy, 0.5);
  near(metrics.auc.value, 2 / 3);
  near(metrics.brier, ((1 - p[0]) ** 2 + p[3] ** 2 + p[6] ** 2 + p[9] ** 2) / 4);
});

test('samples of weight 0 count nowhere, not even when they are NaN', () => {
  const plain = evaluatePredictions(binary([0.2, 0.7, 0.6, 0.4], [0, 1, 0, 1], { patients: ['a', 'b', 'a', 'c'] }));
  const padded = evaluatePredictions(binary([0.2, NaN, 0.7, 0.6, 0.4, 1, 0], [0, 0, 1, 0, 1, 0, 1], {
    weights: [1, 0, 1, 1, 1, 0, 0], patients: ['a', 'z', 'b', 'a', 'c', 'z', 'y'] }));
  assert.equal(padded, plain);
});

test('a sample of weight 2 counts as two', () => {
  const weighted = evaluatePredictions(binary([0.2, 0.7, 0.6, 0.3], [0, 1, 0, 1], { weights: [1, 2, 1, 1] }), none);
  const doubled = evaluatePredictions(binary([0.2, 0.7, 0.7, 0.6, 0.3], [0, 1, 1, 0, 1]), none);
  for (const key of ['loss', 'accuracy', 'brier', 'balancedAccuracy'] as const) near(weighted[key], doubled[key]);
  near(weighted.auc.value, doubled.auc.value);
  near(weighted.sensitivityAt90.sensitivity, doubled.sensitivityAt90.sensitivity);
});

test('sure mistakes: logits keep their full loss, and scores their order', () => {
  const metrics = evaluatePredictions(
    { values: [0, 800, 0, -50, 0, -60], kind: 'logits', labels: [0, 1, 0], classes }, none);
  near(metrics.loss, (800 + 50 + Math.exp(-60)) / 3, 1e-9);
  // Of the two pairs one is right, e^-50 above e^-60; computed as 1 - p they would tie, for 0.25.
  near(metrics.auc.value, 0.5, 0);
});

test('AUC and sensitivity at 90 % specificity equal a search over all pairs and thresholds', () => {
  const random = generator(3);
  for (let round = 0; round < 60; round++) {
    const n = 2 + Math.floor(random() * 60);
    const scores = Array.from({ length: n }, () => Math.floor(random() * 15) / 16);
    const labels = Array.from({ length: n }, (_, i) => (i < 2 ? i : Number(random() < 0.4)));
    const metrics = evaluatePredictions(binary(scores, labels), none);
    near(metrics.auc.value, rocAuc(scores, labels));
    let pairs = 0;
    let wins = 0;
    let best = 0;
    for (const threshold of [...new Set(scores), Infinity]) {
      const called = (label: number) => scores.filter((s, i) => labels[i] === label && s >= threshold).length;
      const count = (label: number) => labels.filter((l) => l === label).length;
      if (10 * (count(0) - called(0)) >= 9 * count(0)) best = Math.max(best, called(1) / count(1));
    }
    scores.forEach((a, i) => scores.forEach((b, j) => {
      if (labels[i] !== 1 || labels[j] !== 0) return;
      pairs++;
      wins += a > b ? 1 : a === b ? 0.5 : 0;
    }));
    near(metrics.auc.value, wins / pairs);
    near(metrics.sensitivityAt90.sensitivity, best);
    assert.ok(metrics.sensitivityAt90.specificity >= 0.9 - 1e-9);
  }
});

test('nine of ten healthy below: exactly 90 % specificity is enough', () => {
  const scores = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.5, 0.95];
  const labels = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
  const { sensitivityAt90 } = evaluatePredictions(binary(scores, labels), none);
  near(sensitivityAt90.sensitivity, 1);
  near(sensitivityAt90.specificity, 0.9);
  near(sensitivityAt90.threshold, 0.5);
});

test('one class alone: NaN where there is nothing to tell apart', () => {
  const metrics = evaluatePredictions(binary([0.1, 0.2], [0, 0]));
  assert.ok(Number.isNaN(metrics.auc.value) && Number.isNaN(metrics.auc.low));
  assert.ok(Number.isNaN(metrics.sensitivityAt90.sensitivity) && Number.isNaN(metrics.perClass[1]));
  near(metrics.balancedAccuracy, 1);
});

test('always saying healthy', () => {
  const constant = constantMetrics([...Array(200).fill(0), ...Array(3).fill(1)], classes);
  near(constant.accuracy, 200 / 203);
  assert.equal(constant.perClass, [1, 0]);
  near(constant.balancedAccuracy, 0.5);
  const p = 3 / 203;
  near(constant.loss, -(1 - p) * Math.log(1 - p) - p * Math.log(p));
  near(constant.brier, p * (1 - p));
  assert.equal([constant.auc, constant.sensitivityAt90], [0.5, 0]);
  // The forecast may be the training part's; padding does not count.
  const other = constantMetrics([0, 1, 1], classes, { shares: [0.75, 0.25], weights: [1, 1, 0] });
  near(other.loss, -(Math.log(0.75) + Math.log(0.25)) / 2);
  near(other.brier, (0.0625 + 0.5625) / 2);
  near(other.accuracy, 0.5);
  // It is what the metrics themselves say of such a model.
  const same = evaluatePredictions(binary([0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1]), none);
  const baseline = constantMetrics([0, 0, 0, 1], classes);
  for (const key of ['loss', 'accuracy', 'brier', 'balancedAccuracy'] as const) near(same[key], baseline[key]);
  near(same.auc.value, baseline.auc);
  near(same.sensitivityAt90.sensitivity, baseline.sensitivityAt90);
});

test('quantiles by interpolation', () => {
  assert.equal([0, 0.25, 0.5, 0.9, 1].map((q) => quantile([1, 2, 3, 4, 5], q)), [1, 2, 3, 4.6, 5]);
  assert.is(quantile([7], 0.3), 7);
  assert.throws(() => quantile([], 0.5), /no values/);
});

test('the bootstrap of a mean has the width that theory gives', () => {
  const random = generator(11);
  const x = Array.from({ length: 400 }, () => random());
  const mean = (times: Float64Array) => x.reduce((sum, v, i) => sum + v * times[i], 0) / times.reduce((a, b) => a + b);
  const estimate = bootstrap(x.map((_, i) => i), mean, { resamples: 2000, seed: 1 });
  near(estimate.value, x.reduce((a, b) => a + b) / 400);
  const spread = Math.sqrt(x.reduce((sum, v) => sum + (v - estimate.value) ** 2, 0)) / 400;
  near((estimate.high - estimate.low) / (2 * 1.96 * spread), 1, 0.08);
  assert.equal(estimate, bootstrap(x.map((_, i) => i), mean, { resamples: 2000, seed: 1 }));
  assert.not.equal(estimate, bootstrap(x.map((_, i) => i), mean, { resamples: 2000, seed: 2 }));
});

test('patients are resampled whole: copies of each image do not narrow the interval', () => {
  const random = generator(7);
  const labels = Array.from({ length: 60 }, (_, i) => i % 2);
  const scores = labels.map((label) => Math.min(1, Math.max(0, 0.35 + 0.3 * label + 0.6 * (random() - 0.5))));
  const once = evaluatePredictions(binary(scores, labels, { patients: labels.map((_, i) => i) }));
  const four = (values: number[]) => [...values, ...values, ...values, ...values];
  const patients = four(labels.map((_, i) => i));
  const copied = evaluatePredictions(binary(four(scores), four(labels), { patients }));
  near(copied.auc.low, once.auc.low);
  near(copied.auc.high, once.auc.high);
  const alone = evaluatePredictions(binary(four(scores), four(labels)));
  const width = ({ auc }: typeof once) => auc.high - auc.low;
  near(width(alone) / width(once), 0.5, 0.12);
  assert.ok(once.auc.low < once.auc.value && once.auc.value < once.auc.high);
});

test('resamples that lack a class are passed over and counted', () => {
  const { auc } = evaluatePredictions(binary([0.1, 0.2, 0.3, 0.9], [0, 0, 0, 1]), { resamples: 1000 });
  near(auc.resamples / 1000, 1 - 0.75 ** 4 - 0.25 ** 4, 0.05);
});

test('what cannot be scored is refused by name', () => {
  const throws = (make: () => unknown, type: new (m: string) => Error, pattern: RegExp) =>
    assert.throws(make, (error: Error) => error instanceof type && pattern.test(error.message));
  throws(() => evaluatePredictions({ ...binary([0.5], [0]), values: [1] }), ShapeError, /need 2 probabilities, got 1/);
  throws(() => evaluatePredictions(binary([0.5], [0], { weights: [1, 1] })), ShapeError, /2 weights for 1 labels/);
  throws(() => evaluatePredictions(binary([0.5], [2])), DataError, /label 2 of sample 0/);
  throws(() => evaluatePredictions(binary([NaN], [0])), DataError, /sample 0 are not numbers/);
  throws(() => evaluatePredictions({ ...binary([0.5], [0]), values: [3, 1] }), DataError, /sum to 4/);
  throws(() => evaluatePredictions(binary([0.5], [0], { weights: [0] })), DataError, /no sample counts/);
  throws(() => evaluatePredictions(binary([0.5], [0], { weights: [-1] })), DataError, /weight of sample 0 is -1/);
  throws(() => evaluatePredictions(binary([0.5], [0]), { resamples: -1 }), OptionError, /resamples/);
  throws(() => evaluatePredictions(binary([0.5], [0]), { level: 1 }), OptionError, /level/);
  throws(() => constantMetrics([0, 5], classes), DataError, /label 5/);
  throws(() => new RankedScores([1, NaN], [0, 1]), DataError, /sample 1 is NaN/);
});

test.run();
