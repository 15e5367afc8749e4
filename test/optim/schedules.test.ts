import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import { cosine, exponential, expression, fixed, inverse, polynomial, step, warmup } from '../../src/optim/schedules.ts';
import type { Schedule } from '../../src/optim/schedules.ts';
import { holds } from '../support/conformance.ts';
import { rejects, throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const path = shared('fixtures', 'mxnet', 'train', 'report.json');
const report = path === undefined ? undefined : JSON.parse(readFileSync(path, 'utf8')) as {
  readonly schedules_by_update_0_to_25: Readonly<Record<string, number[]>>;
  /** Of fixtures made anew; those of the given ones stand below, as their make.py has them. */
  readonly schedule_options?: Readonly<Record<string, Options>>;
};
interface Options {
  readonly base_lr: number;
  readonly step: number | number[];
  readonly factor: number;
  readonly stop_factor_lr?: number;
  readonly max_update: number;
  readonly pwr: number;
  readonly final_lr: number;
  readonly warmup_steps?: number;
  readonly warmup_begin_lr?: number;
}
const given: Readonly<Record<string, Partial<Options>>> = {
  factor: { base_lr: 0.1, step: 5, factor: 0.3, stop_factor_lr: 1e-3 }, multi: { base_lr: 0.1, step: [3, 8, 15], factor: 0.5 },
  poly: { base_lr: 0.1, max_update: 20, pwr: 2, final_lr: 0.01 }, cosine: { base_lr: 0.1, max_update: 20, final_lr: 0.01 },
  cosine_warmup: { base_lr: 0.1, max_update: 20, final_lr: 0.01, warmup_steps: 5, warmup_begin_lr: 0.001 },
};
const stepped = (o: Options): Schedule => step({ learningRate: o.base_lr, step: o.step, factor: o.factor, stopRate: o.stop_factor_lr });
const annealed = (o: Options): Schedule => cosine({
  learningRate: o.base_lr, maxUpdate: o.max_update, finalRate: o.final_lr, warmupSteps: o.warmup_steps, warmupBegin: o.warmup_begin_lr });
const schedules: Readonly<Record<string, (o: Options) => Schedule>> = {
  factor: stepped, multi: stepped, cosine: annealed, cosine_warmup: annealed,
  poly: (o) => polynomial({ learningRate: o.base_lr, maxUpdate: o.max_update, power: o.pwr, finalRate: o.final_lr }),
};

for (const [name, make] of Object.entries(schedules)) {
  const title = `${name}: MXNet's learning rates of 26 updates`;
  if (report === undefined) {
    skip(title, noFixtures('mxnet', 'train'));
    continue;
  }
  test(title, () => {
    const schedule = make({ ...given[name], ...report.schedule_options?.[name] } as Options);
    const off = Math.max(...report.schedules_by_update_0_to_25[name].map((rate, update) => Math.abs(schedule({ update, epoch: 1 }) - rate)));
    holds({ source: 'MXNet 1.9.1, schedules', fixture: name, measure: 'of 1', error: off, tolerance: 1e-15, runner: 'host' }, 'learning rates');
  });
}

if (report !== undefined) {
  test('every schedule of the fixtures is reproduced', () => {
    assert.equal(Object.keys(schedules).sort(), Object.keys(report.schedules_by_update_0_to_25).sort());
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
