/** Scores compared over folds and patients: exact values, exact distributions, and how often intervals hold what they say. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../src/errors.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { foldAuc, foldAucDifference, meanFoldAuc } from '../../src/train/index.ts';
import { throws } from '../support/errors.ts';

test('the mean of the folds, each ranked by itself', () => {
  // Fold a: 3 of 4 pairs in order; fold b, on another scale: all.
  const labels = [0, 1, 0, 1, 0, 1];
  const scores = [1, 2, 3, 4, 100, 101];
  const folds = ['a', 'a', 'a', 'a', 'b', 'b'];
  assert.is(meanFoldAuc({ scores, labels, folds }), (0.75 + 1) / 2);
  assert.is(meanFoldAuc({ scores: scores.map((s, i) => (i < 4 ? s : s - 200)), labels, folds }), 0.875, 'whatever the scale of a fold');
  // The second sample counts twice: of six pairs its two below the third are out of order.
  assert.is(meanFoldAuc({ scores, labels, folds }, [1, 2, 1, 1, 1, 1]), ((2 + 1 + 1) / 6 + 1) / 2);
  // A fold that lacks a class says nothing, and counts for nothing.
  assert.is(meanFoldAuc({ scores, labels, folds }, [1, 1, 1, 1, 0, 1]), 0.75);
  assert.ok(Number.isNaN(meanFoldAuc({ scores, labels: [0, 0, 0, 0, 0, 0], folds })));
  throws(() => meanFoldAuc({ scores, labels, folds: ['a'] }), DataError, /6 scores, 6 labels, 1 folds/);
});

test('against itself there is no difference, and none of its interval', () => {
  const scores = [1, 4, 2, 3, 5, 2];
  const of = { scores, labels: [0, 1, 0, 1, 1, 0], folds: [0, 0, 0, 0, 0, 0], patients: [0, 1, 2, 3, 4, 5] };
  const { value, low, high } = foldAucDifference(of, scores);
  assert.equal([value, low, high], [0, 0, 0]);
  // Any score that ranks alike is the same score.
  assert.is(foldAucDifference(of, scores.map((s) => Math.exp(s))).high, 0);
});

/** Area under the curve by its definition, over all pairs. */
function pairs(scores: readonly number[], labels: readonly number[], times: readonly number[]): number {
  let [won, all] = [0, 0];
  labels.forEach((label, i) => labels.forEach((other, j) => {
    if (label !== 1 || other !== 0) return;
    all += times[i] * times[j];
    won += times[i] * times[j] * (scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0);
  }));
  return won / all;
}

test('the interval is that of all resamples of patients, counted out', () => {
  // Four patients with two images each: 256 equally likely resamples.
  const labels = [0, 0, 1, 1, 0, 1, 1, 1];
  const patients = [0, 0, 1, 1, 2, 2, 3, 3].map((p) => `p${p}`);
  const scores = [1, 5, 4, 8, 3, 6, 2, 7];
  const others = [4, 1, 3, 2, 6, 5, 8, 7];
  const differences: number[] = [];
  for (let code = 0; code < 256; code++) {
    const drawn = [0, 1, 2, 3].map((k) => (code >> (2 * k)) & 3);
    const times = patients.map((p) => drawn.filter((d) => `p${d}` === p).length);
    const difference = pairs(scores, labels, times) - pairs(others, labels, times);
    if (!Number.isNaN(difference)) differences.push(difference);
  }
  differences.sort((a, b) => a - b);
  const of = { scores, labels, folds: labels.map(() => 0), patients };
  const resamples = 20_000;
  const got = foldAucDifference(of, others, { resamples, level: 0.8 });
  assert.is(got.value, pairs(scores, labels, labels.map(() => 1)) - pairs(others, labels, labels.map(() => 1)));
  // How many lack a class: one resample in so many.
  assert.ok(Math.abs(got.resamples / resamples - differences.length / 256) < 0.015, `${got.resamples} resamples`);
  // Either end has its share of the distribution on its side, to within what so many draws vary.
  const share = (holds: (x: number) => boolean): number => differences.filter(holds).length / differences.length;
  for (const [end, q] of [[got.low, 0.1], [got.high, 0.9]]) {
    assert.ok(share((x) => x < end - 1e-9) <= q + 0.01 && share((x) => x <= end + 1e-9) >= q - 0.01, `${end} is not the ${q} quantile`);
  }
  assert.ok(got.low < got.value && got.value < got.high);
});

/** The standard normal's distribution function (Abramowitz and Stegun 7.1.26, to 1.5e-7). */
function normalCdf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x) / Math.SQRT2);
  const erf = 1 - t * Math.exp(-x * x / 2) * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return (1 + Math.sign(x) * erf) / 2;
}

test('intervals of 90 % hold the true difference nine times in ten; over images in place of patients they do not', () => {
  const patientCount = 50;
  const simulations = 250;
  // A score is its class's mean, what patients have in common, and what images have of their own; the second score shares a part of it.
  const [shift, otherShift, common, own] = [1.6, 0.8, 1, 0.4];
  const spread = Math.sqrt(2 * (common ** 2 + own ** 2));
  const truth = normalCdf(shift / spread) - normalCdf(otherShift / spread);
  let [held, heldByImage] = [0, 0];
  for (let s = 0; s < simulations; s++) {
    const rng = new PhiloxStream(s, 'test/paired');
    const [labels, patients, scores, others]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let p = 0; p < patientCount; p++) {
      const label = p % 2;
      const [u, v] = [rng.normal() * common, rng.normal() * common];
      for (let eye = 0; eye < 2; eye++) {
        labels.push(label);
        patients.push(p);
        scores.push(shift * label + u + own * rng.normal());
        others.push(otherShift * label + (u + v) / Math.SQRT2 + own * rng.normal());
      }
    }
    const of = { scores, labels, folds: labels.map(() => 0), patients };
    const options = { resamples: 300, level: 0.9, seed: s };
    const byPatient = foldAucDifference(of, others, options);
    const byImage = foldAucDifference({ ...of, patients: labels.map((_, i) => i) }, others, options);
    if (byPatient.low <= truth && truth <= byPatient.high) held++;
    if (byImage.low <= truth && truth <= byImage.high) heldByImage++;
  }
  // 250 trials at 0.9 vary by 0.019: three of that, and the percentile interval's own fault at 50 patients.
  assert.ok(held / simulations > 0.83 && held / simulations < 0.97, `${held} of ${simulations} hold the truth`);
  assert.ok(heldByImage / simulations < 0.82, `${heldByImage} of ${simulations} hold it where images count as patients`);
});

test('a figure by itself has the interval of its own resamples', () => {
  const labels = Array.from({ length: 40 }, (_, i) => i % 2);
  const scores = labels.map((label, i) => label + (i % 7) / 4);
  const of = { scores, labels, folds: labels.map((_, i) => i % 5 < 3), patients: labels.map((_, i) => i >> 2) };
  const { value, low, high, level } = foldAuc(of, { seed: 3 });
  assert.is(value, meanFoldAuc(of));
  assert.is(level, 0.95);
  assert.ok(low < value && value < high && high <= 1);
  assert.equal(foldAuc(of, { seed: 3 }), foldAuc(of, { seed: 3 }));
});

test.run();
