import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { EachEpoch } from '../../src/data/each-epoch.ts';
import { Sampler } from '../../src/data/sampler.ts';
import type { SamplerOptions } from '../../src/data/sampler.ts';
import { DataError, OptionError } from '../../src/errors.ts';

const labels = Int32Array.from({ length: 203 }, (_, i) => Number(i >= 200));
const all = Array.from({ length: 203 }, (_, i) => i);

/** All indices of the next `epochs` epochs, epoch by epoch. */
function draw(sampler: Sampler, epochs: number): number[][] {
  const out: number[][] = [];
  for (let first = true; ; first = false) {
    const batch = sampler.next();
    assert.is(batch.indices.length, sampler.batch);
    if (first) assert.is(batch.step, 0);
    const epoch = (out[batch.epoch] ??= []);
    epoch.push(...batch.indices);
    if (batch.epoch === epochs - 1 && batch.step === batch.steps - 1) return out;
  }
}
function throws(make: () => unknown, type: typeof DataError | typeof OptionError, pattern: RegExp) {
  assert.throws(make, (error: Error) => error instanceof type && pattern.test(error.message));
}

test('none: every sample once an epoch, in another order each', () => {
  const [first, second] = draw(new Sampler(labels, all, { batch: 7 }), 2);
  assert.is(first.length, 203);
  assert.equal([...first].sort((a, b) => a - b), all);
  assert.equal([...second].sort((a, b) => a - b), all);
  assert.not.equal(first, second);
  assert.not.equal(first, all);
});

test('carry: what fills no batch opens the next epoch; over the epochs no sample is favoured', () => {
  const indices = [3, 5, 8, 13, 21];
  const epochs = draw(new Sampler(labels, indices, { batch: 2 }), 4);
  assert.equal(epochs.map((epoch) => epoch.length), [4, 6, 4, 6]);
  const carried = indices.find((i) => !epochs[0].includes(i));
  assert.is(epochs[1][0], carried);
  const counts = indices.map((i) => epochs.flat().filter((j) => j === i).length);
  assert.equal(counts, [4, 4, 4, 4, 4]);
});

test('drop: what fills no batch is left out that epoch', () => {
  const epochs = draw(new Sampler(labels, [3, 5, 8, 13, 21], { batch: 2, remainder: 'drop' }), 3);
  for (const epoch of epochs) {
    assert.is(epoch.length, 4);
    assert.is(new Set(epoch).size, 4);
  }
});

test('balanced: both classes equally often, rare samples in turn, common ones at most once', () => {
  for (const epoch of draw(new Sampler(labels, all, { batch: 29, kind: 'balanced' }), 3)) {
    const infected = epoch.filter((i) => labels[i] === 1);
    assert.ok([101, 102].includes(infected.length), `${infected.length}`);
    const times = [200, 201, 202].map((i) => infected.filter((j) => j === i).length);
    assert.ok(Math.max(...times) - Math.min(...times) <= 1, `${times}`);
    const healthy = epoch.filter((i) => labels[i] === 0);
    assert.is(new Set(healthy).size, healthy.length);
  }
  const [six] = draw(new Sampler(labels, all, { batch: 6, kind: 'balanced', epochSize: 6 }), 1);
  assert.equal(six.filter((i) => i >= 200).sort(), [200, 201, 202]);
});

test('annealed: w(t) = r^(t-1) w0 + (1 - r^(t-1)) wf', () => {
  const some = Int32Array.from({ length: 1000 }, (_, i) => Number(i >= 800) + Number(i >= 950));
  const options: SamplerOptions = { batch: 1000, kind: 'annealed', annealed: { ratio: 0.5, first: [1, 4, 16], last: [1, 2, 2] } };
  const epochs = draw(new Sampler(some, Array.from(some.keys()), options), 3);
  epochs.forEach((epoch, t) => {
    const share = 0.5 ** t;
    const masses = [800, 150, 50].map((count, c) => count * (share * [1, 4, 16][c] + (1 - share) * [1, 2, 2][c]));
    const total = masses.reduce((a, b) => a + b);
    masses.forEach((mass, c) => {
      const got = epoch.filter((i) => some[i] === c).length;
      assert.ok(Math.abs(got - 1000 * mass / total) < 1, `epoch ${t}, class ${c}: ${got}`);
    });
  });
  // The defaults: equal classes at first, then one to two.
  const late = new Sampler(labels, all, { batch: 203, kind: 'annealed', annealed: { ratio: 0 } });
  const [first, second] = draw(late, 2).map((epoch) => epoch.filter((i) => labels[i] === 1).length);
  assert.ok([101, 102].includes(first));
  assert.ok([5, 6].includes(second), `${second}: 203 * 6/206 = 5.9`);
});

test('rounding of class shares is right on average', () => {
  const some = Int32Array.from([0, 0, 0, 0, 1]);
  const options: SamplerOptions = { batch: 5, kind: 'annealed', annealed: { ratio: 1, first: [1, 1.4], last: [1, 1] } };
  const epochs = draw(new Sampler(some, [0, 1, 2, 3, 4], options), 2000);
  const mean = epochs.flat().filter((i) => i === 4).length / 2000;
  assert.ok(Math.abs(mean - 5 * 1.4 / 5.4) < 0.04, `${mean}`);
});

const classes = ['healthy', 'infected'];

test('eachEpoch draws dataset indices from the pool', () => {
  const seen: number[] = [];
  const sampler = new Sampler(labels, [10, 20, 202], {
    batch: 2, classes,
    eachEpoch(pool, rng) {
      seen.push(pool.epoch);
      assert.equal([...pool.indices], [10, 20, 202]);
      assert.equal([...pool.labels], [0, 0, 1]);
      assert.equal([...pool.of('healthy')], [10, 20]);
      assert.equal([...pool.of(1)], [202]);
      return { indices: rng.shuffle([202, pool.indices[(pool.epoch - 1) % 2], 202, 202]) };
    },
  });
  const epochs = draw(sampler, 2);
  assert.equal(epochs[0].sort(), [10, 202, 202, 202]);
  assert.equal(epochs[1].sort(), [20, 202, 202, 202]);
  assert.equal(seen, [1, 2], 'asked once an epoch');
  const drawing = (indices: number[], batch = 1) => new Sampler(labels, [1, 2], { batch, eachEpoch: () => ({ indices }) });
  throws(() => drawing([3]).next(), DataError, /index 3 in epoch 1, which is not in the training part/);
  throws(() => drawing([1], 3).next(), DataError, /^epoch 1 has 1 samples, which fill no batch of 3/);
  throws(() => new Sampler(labels, all, { batch: 1, kind: 'none', eachEpoch: () => ({ indices: all }) }), OptionError, /does not go with/);
  const asks = new Sampler(labels, all, { batch: 1, classes, eachEpoch: (pool) => ({ indices: pool.of('infeccted') }) });
  throws(() => asks.next(), DataError, /no class 'infeccted'.*mean 'infected'/);
});

test('what is no epoch is refused, with the epoch, the position and the value', () => {
  const next = (drawn: unknown): unknown => new Sampler(labels, all, { batch: 1, eachEpoch: () => drawn as ReturnType<EachEpoch> }).next();
  for (const value of [undefined, NaN, 1.5, '3', null]) {
    throws(() => next({ indices: [4, value] }), DataError, new RegExp(`gave ${String(value)} in epoch 1 at position 1, where a dataset index`));
  }
  throws(() => next({ indices: [4, 5, 300] }), DataError, /index 300 in epoch 1, .* \(position 2\)/);
  throws(() => next(undefined), DataError, /epoch 1: expected \{ indices \} with dataset indices, got undefined/);
  throws(() => next(null), DataError, /got null/);
  throws(() => next([1, 2]), DataError, /got array/);
  throws(() => next({ indices: 7 }), DataError, /got 7/);
  throws(() => next(Promise.resolve({ indices: all })), DataError, /got a Promise, which is not waited for/);
});

test('a pool knows its classes, by name and by number', () => {
  const asks = (which: string | number, names?: readonly string[]): unknown =>
    new Sampler(labels, all, { batch: 1, classes: names, eachEpoch: (pool) => ({ indices: pool.of(which) }) }).next();
  for (const which of [7, -1, 0.5, NaN]) {
    throws(() => asks(which, classes), DataError, new RegExp(`no class '${which}'; there are healthy, infected`));
    throws(() => asks(which), DataError, new RegExp(`no class '${which}'; there are 0, 1`));
  }
  asks(1);
  const none = new Sampler(labels, [1, 2], { batch: 1, classes, eachEpoch: (pool) => ({ indices: [1, ...pool.of(1)] }) });
  assert.equal([...none.next().indices], [1], 'a class of which this part has none');
});

test('eachEpoch says what becomes of each sample, also of those that are carried over and resumed', () => {
  const eachEpoch: EachEpoch = ({ epoch }) => ({
    indices: [1, 2, 3], transforms: [['a'], epoch === 1 ? [] : undefined, [{ name: `b${epoch}` }]],
  });
  const make = (): Sampler => new Sampler(labels, all, { batch: 2, eachEpoch });
  const sampler = make();
  const [first, second] = [sampler.next(), sampler.next()];
  assert.equal([[...first.indices], first.chosen], [[1, 2], [['a'], []]]);
  assert.equal([[...second.indices], second.chosen], [[3, 1], [['b1'], ['a']]]);
  const again = make();
  again.restore(JSON.parse(JSON.stringify(sampler.state())));
  for (let k = 0; k < 5; k++) assert.equal(again.next(), sampler.next());
  const short = new Sampler(labels, all, { batch: 1, eachEpoch: () => ({ indices: [1, 2], transforms: [[]] }) });
  throws(() => short.next(), DataError, /1 transforms for the 2 samples of epoch 1/);
});

test('what random numbers are drawn by tells apart the times that a sample is there, however the epoch is cut', () => {
  const drawsOf = (batch: number): number[] => {
    const sampler = new Sampler(labels, all, { batch, eachEpoch: () => ({ indices: [5, 7, 5, 5, 7, 9] }) });
    return Array.from({ length: 6 / batch }, () => [...sampler.next().draws]).flat();
  };
  assert.equal(drawsOf(2), [5, 7, 5 + 203, 5 + 2 * 203, 7 + 203, 9]);
  assert.equal(drawsOf(3), drawsOf(2));
});

test('resumed from its JSON state, at any point, it goes on as if never stopped', () => {
  for (const kind of ['none', 'balanced', 'annealed'] as const) {
    const options: SamplerOptions = { batch: 16, kind, seed: 77 };
    const whole = new Sampler(labels, all, options);
    const expected = Array.from({ length: 45 }, () => whole.next());
    for (let stop = 0; stop < 30; stop++) {
      const before = new Sampler(labels, all, options);
      for (let k = 0; k < stop; k++) before.next();
      const state = JSON.parse(JSON.stringify(before.state()));
      const after = new Sampler(labels, all, options);
      after.next();
      after.restore(state);
      for (let k = stop; k < 45; k++) assert.equal(after.next(), expected[k], `${kind}: batch ${k} after ${stop}`);
    }
  }
});

test('a state that does not fit is refused, with what differs', () => {
  const state = new Sampler(labels, all, { batch: 16 }).state();
  throws(() => new Sampler(labels, all, { batch: 8 }).restore(state), DataError, /batch 16, where it is 8/);
  throws(() => new Sampler(labels, all, { batch: 16, seed: 1 }).restore(state), DataError, /seed 0/);
  throws(() => new Sampler(labels, [1, ...all], { batch: 16 }).restore(state), DataError, /samples 203/);
  throws(() => new Sampler(labels, all, { batch: 16, kind: 'balanced' }).restore(state), DataError, /kind none/);
  throws(() => new Sampler(labels, all, { batch: 16 }).restore({ ...state, format: 2 as 1 }), DataError, /format 2/);
  throws(() => new Sampler(labels, all, { batch: 16 }).restore({ ...state, cursor: -1 }), DataError, /cursor -1/);
  const others = all.map((i) => (i === 7 ? 8 : i));
  throws(() => new Sampler(labels, others, { batch: 16 }).restore(state), DataError, /other samples, labels or/);
  throws(() => new Sampler(labels.map((l) => 1 - l), all, { batch: 16 }).restore(state), DataError, /other samples/);
  throws(() => new Sampler(labels, all, { batch: 16, remainder: 'drop' }).restore(state), DataError, /sampler options/);
  throws(() => new Sampler(labels, all, { batch: 16 }).restore({ ...state, carried: [999] }), DataError, /sample 999/);
});

test('options are checked', () => {
  throws(() => new Sampler(labels, all, { batch: 0 }), OptionError, /batch/);
  throws(() => new Sampler(labels, [1, 2], { batch: 3 }), OptionError, /batch of 3 is larger than the 2/);
  throws(() => new Sampler(labels, all, { batch: 1, kind: 'balancd' as 'none' }), OptionError, /mean 'balanced'/);
  throws(() => new Sampler(labels, all, { batch: 1, kind: 'annealed', annealed: { ratio: 2 } }), OptionError, /ratio/);
  throws(() => new Sampler(labels, all, { batch: 1, kind: 'annealed', annealed: { first: [1] } }), OptionError, /classes/);
  throws(() => new Sampler(labels, all, { batch: 1, remainder: 'keep' as 'drop' }), OptionError, /'carry' or 'drop'/);
});

test.run();
