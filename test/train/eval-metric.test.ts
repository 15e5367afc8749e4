import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, OptionError, ShapeError } from '../../src/errors.ts';
import { accuracy, ace, measure, mse, multiAce, multiMetric, weightedMultiAce } from '../../src/train/eval-metric.ts';
import type { Metric } from '../../src/train/eval-metric.ts';
import { throws } from '../support/errors.ts';

const labels = [0, 1, 1, 0, 2];
const predictions = [0.5, 0.3, 0.2, 0.6, 0.3, 0.1, 0.1, 0.8, 0.1, 0.4, 0.4, 0.2, 0.2, 0.2, 0.6];
const batch = { labels, predictions, classes: 3 };
const logs = [0.5, 0.3, 0.8, 0.4, 0.6].map((p) => -Math.log(p + 1e-8));

function near(got: Readonly<Record<string, number>>, want: Readonly<Record<string, number>>): void {
  assert.equal(Object.keys(got), Object.keys(want));
  for (const [name, value] of Object.entries(want)) {
    assert.ok(Object.is(got[name], value) || Math.abs(got[name] - value) < 1e-12, `${name}: ${got[name]}, expected ${value}`);
  }
}

const cases: [string, () => Metric, Record<string, number>][] = [
  // the first of equal ones counts: of the fourth row class 0, which is its own
  ['accuracy', accuracy, { accuracy: 4 / 5 }],
  ['ace', ace, { ACE: logs.reduce((a, b) => a + b) / 5 }],
  ['multiAce', () => multiAce(3), {
    ACE_0: (logs[0] + logs[3]) / 2, ACE_1: (logs[1] + logs[2]) / 2, ACE_2: logs[4], ACE: logs.reduce((a, b) => a + b) / 5,
  }],
  ['weightedMultiAce', () => weightedMultiAce([1, 2, 10]), {
    ACE_0: (logs[0] + logs[3]) / 2, ACE_1: (logs[1] + logs[2]) / 2, ACE_2: logs[4],
    WACE: (logs[0] + 2 * logs[1] + 2 * logs[2] + logs[3] + 10 * logs[4]) / 16,
  }],
  ['mse of classes', mse, {
    MSE: predictions.reduce((sum, p, i) => sum + (p - Number(labels[Math.floor(i / 3)] === i % 3)) ** 2, 0) / 15,
  }],
  ['several', () => multiMetric([accuracy(), ace()]), { accuracy: 4 / 5, ACE: logs.reduce((a, b) => a + b) / 5 }],
];
for (const [name, make, want] of cases) {
  test(`${name}: by hand, in batches of any size, and again after a reset`, () => {
    const metric = make();
    for (const size of [5, 2, 1, 100]) near(measure(metric, batch, size), want);
  });
}

test('mse of a regression, accuracy of pixels', () => {
  near(measure(mse(), { labels: [1, 2, 3.5], predictions: [1, 0, 3], classes: 1 }, 2), { MSE: (4 + 0.25) / 3 });
  // Two images of 1 x 2 pixels with two classes: a row a pixel.
  const pixels = { labels: [0, 1, 1, 1], predictions: [0.9, 0.1, 0.3, 0.7, 0.6, 0.4, 0.2, 0.8], classes: 2 };
  near(measure(accuracy(), pixels, 4), { accuracy: 3 / 4 });
});

test('a class that is not there has no mean; a probability of 0 is no infinity', () => {
  const got = measure(multiAce(2), { labels: [0], predictions: [0, 1], classes: 2 }, 1);
  near(got, { ACE_0: -Math.log(1e-8), ACE_1: NaN, ACE: -Math.log(1e-8) });
});

test("a user's own", () => {
  let [seen, batches] = [0, 0];
  const most: Metric = {
    reset: () => void ([seen, batches] = [0, 0]),
    update: ({ predictions: p }) => {
      seen = Math.max(seen, ...Array.from(p));
      batches++;
    },
    get: () => [['most', seen], ['batches', batches]],
  };
  near(measure(most, batch, 2), { most: 0.8, batches: 3 });
});

test('what does not fit is refused', () => {
  const short = { labels: [0], predictions: [0.1, 0.2, 0.3], classes: 2 };
  throws(() => measure(accuracy(), short, 3), ShapeError, /1 labels of 2 classes need 2 predictions, got 3/);
  throws(() => measure(ace(), { labels: [2], predictions: [0.5, 0.5], classes: 2 }, 1), DataError, /label 2 of row 0/);
  throws(() => measure(multiAce(3), { labels: [0], predictions: [0.5, 0.5], classes: 2 }, 1), ShapeError, /a metric of 3 classes was given predictions of 2/);
  throws(() => multiAce(1), OptionError, /two classes or more/);
  throws(() => weightedMultiAce([1, -1]), OptionError, /a weight of 0 or more/);
  throws(() => ace({ epsilon: -1 }), OptionError, /epsilon/);
  throws(() => measure(multiMetric([ace(), multiAce(3)]), batch, 5), OptionError, /two values have one name \(ACE, ACE_0, ACE_1, ACE_2, ACE\)/);
});

test.run();
