import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile, grad, tensor, variable } from '../../src/fovea.ts';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { GraphError, OptionError, ShapeError } from '../../src/errors.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { adam, sgd } from '../../src/optim/index.ts';
import type { Optimizer } from '../../src/optim/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { Variable } from '../../src/tensor/variable.ts';
import { rejects, throws } from '../support/errors.ts';

setDefaultDevice(await device('cpu', { threads: 2 }));

function parameters(): Variable[] {
  return [
    variable([1, -2, 3], [3], { name: 'a_weight' }),
    variable([0.5, 0.25], [2, 1], { name: 'a_bias' }),
    variable(Array.from({ length: 70 }, (_, i) => i / 70), [70], { name: 'b_weight' }),
  ];
}

/** A loss whose gradient is 2 * (w - 1). */
const loss = (all: readonly Variable[]): Tensor => all.map((v) => v.read().sub(1).square().sum()).reduce((a, b) => a.add(b));

async function values(all: readonly Variable[]): Promise<number[]> {
  return (await Promise.all(all.map((v) => v.data()))).flatMap((v) => [...v]);
}

function stepOf(optimizer: Optimizer, all: readonly Variable[]): (rate: number) => Promise<unknown> {
  return compile((rate: Tensor) => {
    const l = loss(all);
    optimizer.update(grad(l, all), rate);
    return l;
  }) as unknown as (rate: number) => Promise<unknown>;
}

test('sgd: clipping, decay, momentum, factors by name', async () => {
  const all = parameters();
  const optimizer = sgd(all, {
    momentum: 0.5, weightDecay: 0.1, rescale: 0.5, clipGradient: 1.5,
    multipliers: (name) => (name === 'b_weight' ? { lrMult: 0 } : undefined),
  });
  const step = stepOf(optimizer, all);
  let w = [1, -2, 3, 0.5, 0.25];
  let m = [0, 0, 0, 0, 0];
  for (const rate of [0.1, 0.05]) {
    await step(rate);
    // Weight decay falls on the three weights, not on the biases.
    const g = w.map((v, i) => Math.max(-1.5, Math.min(1.5, 0.5 * 2 * (v - 1))) + (i < 3 ? 0.1 * v : 0));
    m = m.map((v, i) => 0.5 * v - rate * g[i]);
    w = w.map((v, i) => v + m[i]);
  }
  const got = await values(all);
  w.forEach((v, i) => assert.ok(Math.abs(got[i] - v) < 1e-6, `${i}: ${got[i]}, expected ${v}`));
  assert.equal(got.slice(5), await values([parameters()[2]]), 'lrMult 0 moves nothing');
});

test('adam: its formula, and one Program for all learning rates', async () => {
  const all = parameters();
  const optimizer = adam(all, { beta1: 0.8, beta2: 0.9, epsilon: 1e-6 });
  const step = stepOf(optimizer, all);
  let w = [1, -2, 3, 0.5, 0.25];
  let [mean, variance] = [w.map(() => 0), w.map(() => 0)];
  for (const [t, rate] of [0.1, 0.05, 0.2].entries()) {
    await step(rate);
    const g = w.map((v) => 2 * (v - 1));
    mean = mean.map((v, i) => 0.8 * v + 0.2 * g[i]);
    variance = variance.map((v, i) => 0.9 * v + 0.1 * g[i] * g[i]);
    const corrected = (rate * Math.sqrt(1 - 0.9 ** (t + 1))) / (1 - 0.8 ** (t + 1));
    w = w.map((v, i) => v - (corrected * mean[i]) / (Math.sqrt(variance[i]) + 1e-6));
  }
  const got = await values(all);
  w.forEach((v, i) => assert.ok(Math.abs(got[i] - v) < 1e-5, `${i}: ${got[i]}, expected ${v}`));
  assert.is((step as unknown as { programs: unknown[] }).programs.length, 1);
});

for (const [name, make] of [['sgd', (p: Variable[]) => sgd(p, { momentum: 0.9 })], ['adam', (p: Variable[]) => adam(p)]] as const) {
  test(`${name}: state saved as safetensors resumes bit for bit`, async () => {
    const straight = parameters();
    const one = make(straight);
    const go = stepOf(one, straight);
    for (let i = 0; i < 3; i++) await go(0.01);
    const saved = writeSafetensors(await one.saveState());
    const weights = await Promise.all(straight.map((v) => v.data()));
    for (let i = 0; i < 3; i++) await go(0.01);

    const resumed = straight.map((v, i) => variable(weights[i] as Float32Array, v.shape, { name: v.name }));
    const two = make(resumed);
    await two.loadState(readSafetensors(saved, { file: 'state' }).tensors);
    const again = stepOf(two, resumed);
    for (let i = 0; i < 3; i++) await again(0.01);
    assert.equal(await values(resumed), await values(straight));
    await rejects(() => two.loadState(new Map()), OptionError, /is missing/);
  });
}

test('factors change between steps without a new Program', async () => {
  const all = parameters();
  const optimizer = sgd(all, { multipliers: () => ({ lrMult: 0 }) });
  const step = stepOf(optimizer, all);
  const before = await values(all);
  await step(0.1);
  assert.equal(await values(all), before);
  await optimizer.setMultipliers(() => ({ lrMult: 1 }));
  await step(0.1);
  assert.not.equal(await values(all), before);
  assert.is((step as unknown as { programs: unknown[] }).programs.length, 1);
});

test('bad options and gradients are refused', () => {
  throws(() => sgd(parameters(), { momentum: 1.5 }), OptionError, /momentum: .*0 to 1.*1\.5/);
  throws(() => adam(parameters(), { beta1: -1 }), OptionError, /beta1/);
  throws(() => sgd([]), OptionError, /at least one/);
  throws(() => sgd([...parameters(), ...parameters()]), OptionError, /two parameters.*"a_weight"/);
  const all = parameters();
  const optimizer = sgd(all);
  throws(() => sgd(all), GraphError, /packed already/);
  throws(() => optimizer.update([tensor([1])]), ShapeError, /1 gradients for 3/);
  throws(() => optimizer.update([tensor([1]), tensor([1]), tensor([1])]), ShapeError, /"a_weight" has shape \[1\], the parameter \[3\]/);
});

test.run();
