import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fitLogistic, rocAuc } from '../../src/data/logistic.ts';
import { DataError, OptionError } from '../../src/errors.ts';

/** A small linear congruential generator: the tests' own numbers, whatever the library's generator does. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('one binary feature without penalty gives the log odds of the two groups', () => {
  // 3 of 10 infected where x = 0, 8 of 10 where x = 1: P is the group's share exactly.
  const features = [...Array(10).fill(0), ...Array(10).fill(1)];
  const labels = features.map((x, i) => (x === 0 ? Number(i < 3) : Number(i - 10 < 8)));
  const model = fitLogistic(features, labels, { l2: 0 });
  assert.ok(model.converged);
  const [p0, p1] = model.predict([0, 1]);
  assert.ok(Math.abs(p0 - 0.3) < 1e-7, `${p0}`);
  assert.ok(Math.abs(p1 - 0.8) < 1e-7, `${p1}`);
});

test('at the optimum the penalised gradient vanishes (random data, several columns, weights)', () => {
  const random = generator(5);
  const [rows, cols, l2] = [60, 4, 0.7];
  const x = Float64Array.from({ length: rows * cols }, (_, i) => (i % cols + 1) * random() + i % cols);
  const y = Int32Array.from({ length: rows }, (_, r) => Number(x[r * cols] + random() > 1));
  const weights = Float64Array.from({ length: rows }, () => Math.floor(random() * 3));
  const model = fitLogistic(x, y, { l2, weights });
  assert.ok(model.converged);
  const p = model.predict(x);
  for (let c = 0; c <= cols; c++) {
    let gradient = c < cols ? l2 * model.coefficients[c] : 0;
    for (let r = 0; r < rows; r++) {
      const feature = c < cols ? (x[r * cols + c] - model.mean[c]) / model.deviation[c] : 1;
      gradient += weights[r] * (p[r] - y[r]) * feature;
    }
    assert.ok(Math.abs(gradient) < 1e-5, `column ${c}: ${gradient}`);
  }
});

test('a sample of weight 2 counts as two samples, of weight 0 as none', () => {
  const x = [0.1, 0.9, 0.4, 0.7, 5];
  const y = [0, 1, 1, 0, 1];
  const weighted = fitLogistic(x, y, { weights: [2, 1, 1, 1, 0] });
  const repeated = fitLogistic([0.1, 0.1, 0.9, 0.4, 0.7], [0, 0, 1, 1, 0]);
  assert.ok(Math.abs(weighted.predict([0.3])[0] - repeated.predict([0.3])[0]) < 1e-7);
});

test('a larger penalty shrinks coefficients; separable and constant columns stay finite', () => {
  const x = [0, 7, 1, 7, 2, 7, 3, 7];
  const y = [0, 0, 1, 1];
  const loose = fitLogistic(x, y, { l2: 0.01 });
  const tight = fitLogistic(x, y, { l2: 10 });
  assert.ok(Math.abs(tight.coefficients[0]) < Math.abs(loose.coefficients[0]));
  assert.is(Math.abs(loose.coefficients[1]) < 1e-9, true);
  for (const p of fitLogistic(x, y, { l2: 0 }).predict(x)) assert.ok(Number.isFinite(p));
});

test('wrong input is refused by name', () => {
  const throws = (f: () => unknown, type: typeof DataError | typeof OptionError, pattern: RegExp) =>
    assert.throws(f, (error: Error) => error instanceof type && pattern.test(error.message));
  throws(() => fitLogistic([1, 2, 3], [0, 1]), DataError, /3 feature values.*2 labels/);
  throws(() => fitLogistic([1, 2], [1, 1]), DataError, /no sample of class 0/);
  throws(() => fitLogistic([1, NaN], [0, 1]), DataError, /feature 0 of row 1 is NaN/);
  throws(() => fitLogistic([1, 2], [0, 2]), DataError, /label 2 of row 1/);
  throws(() => fitLogistic([1, 2], [0, 1], { l2: -1 }), OptionError, /l2/);
  throws(() => fitLogistic([1, 2, 3, 4], [0, 1]).predict([1, 2, 3]), DataError, /rows of 2 features/);
  throws(() => rocAuc([1, 2], [0]), DataError, /2 scores, 1 labels/);
});

test('rocAuc: hand-worked values', () => {
  assert.is(rocAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 0.75);
  assert.is(rocAuc([1, 1, 1, 1], [0, 1, 0, 1]), 0.5);
  assert.is(rocAuc([1, 2, 2, 3], [0, 0, 1, 1]), 0.875);
  assert.is(rocAuc([1, 2], [1, 0]), 0);
  assert.ok(Number.isNaN(rocAuc([1, 2], [1, 1])));
  assert.is(rocAuc([0.1, 0.4, 0.35, 0.8, NaN], [0, 0, 1, 1, 1], [1, 1, 1, 1, 0]), 0.75);
});

test('rocAuc equals counting all pairs, ties and weights included', () => {
  const random = generator(9);
  for (let round = 0; round < 50; round++) {
    const n = 2 + Math.floor(random() * 40);
    const scores = Array.from({ length: n }, () => Math.floor(random() * 8));
    const labels = Array.from({ length: n }, (_, i) => (i < 2 ? i : Number(random() < 0.3)));
    const weights = Array.from({ length: n }, (_, i) => (i < 2 ? 1 : Math.floor(random() * 3)));
    let wins = 0;
    let pairs = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (labels[i] !== 1 || labels[j] !== 0) continue;
        const weight = weights[i] * weights[j];
        pairs += weight;
        wins += weight * (scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0);
      }
    }
    assert.ok(Math.abs(rocAuc(scores, labels, weights) - wins / pairs) < 1e-12);
  }
});

test.run();
