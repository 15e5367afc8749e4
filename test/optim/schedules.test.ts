import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import { cosine, exponential, expression, fixed, inverse, polynomial, step, warmup } from '../../src/optim/schedules.ts';
import type { Schedule } from '../../src/optim/schedules.ts';
import { rejects, throws } from '../support/errors.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const report = shared('fixtures', 'mxnet', 'train', 'report.json');
const schedules: Record<string, Schedule> = {
  factor: step({ learningRate: 0.1, step: 5, factor: 0.3, stopRate: 1e-3 }),
  multi: step({ learningRate: 0.1, step: [3, 8, 15], factor: 0.5 }),
  poly: polynomial({ learningRate: 0.1, maxUpdate: 20, power: 2, finalRate: 0.01 }),
  cosine: cosine({ learningRate: 0.1, maxUpdate: 20, finalRate: 0.01 }),
  cosine_warmup: cosine({ learningRate: 0.1, maxUpdate: 20, finalRate: 0.01, warmupSteps: 5, warmupBegin: 0.001 }),
};

for (const [name, schedule] of Object.entries(schedules)) {
  const title = `${name}: MXNet's learning rates of 26 updates`;
  if (report === undefined) {
    skip(title, 'no fixtures/mxnet/train/report.json in the shared folder (FOVEA_SHARED)');
    continue;
  }
  test(title, () => {
    const want = JSON.parse(readFileSync(report, 'utf8')).schedules_by_update_0_to_25[name] as number[];
    want.forEach((rate, update) => {
      const got = schedule({ update, epoch: 1 });
      assert.ok(Math.abs(got - rate) <= 1e-15, `update ${update}: ${got}, MXNet ${rate}`);
    });
  });
}

if (report !== undefined) {
  test('every schedule of the fixtures is reproduced', () => {
    const theirs = JSON.parse(readFileSync(report, 'utf8')).schedules_by_update_0_to_25 as object;
    assert.equal(Object.keys(schedules).sort(), Object.keys(theirs).sort());
  });
}

test('a warm-up ahead of any schedule: a straight line up to its rate', () => {
  const schedule = warmup(exponential({ learningRate: 0.1, gamma: 0.5 }), { steps: 4, begin: 0.02 });
  [0.02, 0.04, 0.06, 0.08, 0.1, 0.1].forEach((rate, update) => assert.ok(Math.abs(schedule({ update, epoch: 1 }) - rate) < 1e-15));
  assert.is(schedule({ update: 9, epoch: 3 }), 0.025);
  assert.is(warmup(fixed(0.1), { steps: 10 })({ update: 5, epoch: 1 }), 0.05);
  throws(() => warmup(fixed(0.1), { steps: 1.5 }), OptionError, /warmupSteps/);
});

test('rates by epoch', () => {
  assert.is(fixed(0.1)({ update: 7, epoch: 3 }), 0.1);
  assert.is(exponential({ learningRate: 0.1, gamma: 0.5 })({ update: 70, epoch: 3 }), 0.025);
  assert.is(exponential({ learningRate: 0.1, gamma: 0.5, per: 'update' })({ update: 2, epoch: 1 }), 0.05);
  assert.is(inverse({ learningRate: 0.1, gamma: 1, power: 1 })({ update: 70, epoch: 4 }), 0.025);
});

test('a rate as an expression', async () => {
  const rate = await expression('0.01 * 0.94 ^ epoch');
  assert.ok(Math.abs(rate({ update: 1, epoch: 3 }) - 0.01 * 0.94 ** 3) < 1e-17);
  assert.is((await expression('epoch < 3 ? 0.1 : max(0.01, 1 / update)'))({ update: 50, epoch: 4 }), 0.02);
});

for (const [text, says] of [
  ['0.01 * epok', /unknown name "epok"/],
  ['import("fs")', /unknown function "import"/],
  ['0.1 *', /Unexpected end/],
  ['epoch = 3', /cannot be used/],
  ['1 / (epoch - 1)', /gives Infinity/],
  ['-1', /gives -1/],
] as const) {
  test(`the expression ${text} is refused at once`, async () => {
    await rejects(() => expression(text), OptionError, says);
  });
}

test('options out of range are refused', () => {
  throws(() => fixed(0), OptionError);
  throws(() => step({ learningRate: 0.1, step: [3, 3], factor: 0.5 }), OptionError);
  throws(() => cosine({ learningRate: 0.1, maxUpdate: 3, warmupSteps: 3 }), OptionError);
});

test.run();
