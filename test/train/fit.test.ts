// time limit: 240 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { DataError, OptionError, OutOfMemoryError, TrainingError } from '../../src/errors.ts';
import { arenaOf } from '../../src/graph/arena.ts';
import { readVariables } from '../../src/nn/index.ts';
import type { ParameterArrays } from '../../src/nn/index.ts';
import { wrap } from '../../src/fovea.ts';
import {
  fit, measureNormalization, preprocess, resolveClassWeights, subtractLocalMean,
} from '../../src/train/index.ts';
import type { BatchReport, FitOptions, TrainingSnapshot } from '../../src/train/index.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/train/index.ts';
import { setDefaultDevice } from '../../src/device/index.ts';
import { rejects, throws } from '../support/errors.ts';
import { range, spots, spotsFit } from '../support/training.ts';

const cpu = await device('cpu', { threads: 2 });
setDefaultDevice(cpu);
const data = spots(32);

function bytesOf(arrays: ParameterArrays): Map<string, Uint8Array> {
  return new Map([...arrays.arguments, ...arrays.auxiliary].map(([name, { data: x }]) =>
    [name, new Uint8Array(x.buffer, x.byteOffset, x.byteLength)]));
}

function assertSameBits(a: ParameterArrays, b: ParameterArrays): void {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  assert.equal([...x.keys()], [...y.keys()]);
  for (const [name, bytes] of x) assert.ok(Buffer.compare(bytes, y.get(name)!) === 0, `${name} differs`);
}

async function trained(options: FitOptions): Promise<ParameterArrays> {
  const run = await fit(options);
  const parameters = await run.parameters();
  run.dispose();
  return parameters;
}

test('learns what can be seen, and says how well on both parts each epoch', async () => {
  const epochs: number[] = [];
  const run = await fit(spotsFit(data, {
    device: cpu, epochs: 12, callbacks: { onEpoch: (record) => void epochs.push(record.epoch) },
  }));
  assert.equal(epochs, range(1, 13).reduce<number[]>((a, x) => [...a, x], []));
  const [first, last] = [run.history[0], run.history[11]];
  assert.ok(last.objective < first.objective / 2, `objective ${first.objective} to ${last.objective}`);
  assert.ok(run.best!.validation!.auc.value > 0.9, `AUC ${run.best!.validation!.auc.value}`);
  assert.is(last.updates, 12 * 6);
  assert.is(last.train.samples, 48);
  assert.is(last.validation!.samples, 16);
  assert.is(last.always.accuracy, 0.5);
  assert.ok(last.imagesPerSecond > 0);
  run.dispose();
});

test('validation counts every sample once, whatever the batch, and no padding', async () => {
  const results = [];
  for (const batch of [16, 8]) {
    const run = await fit(spotsFit(data, { device: cpu, epochs: 1, batch: 8, validation: range(50, 63) }));
    const logits = await run.predict(data, range(50, 63));
    assert.is(run.history[0].validation!.samples, 13, `batch ${batch}`);
    assert.is(logits.length, 26);
    results.push(logits);
    run.dispose();
  }
  // An image's logits depend on nothing that shares its batch: 13 = 8 + 5 and 3 padded, or one after the other.
  const run = await fit(spotsFit(data, { device: cpu, epochs: 1, batch: 8 }));
  const together = await run.predict(data, range(50, 63));
  const alone = await run.predict(data, [55]);
  assert.equal([...alone], [...together.subarray(10, 12)]);
  run.dispose();
});

test('validation runs in inference mode: it changes nothing', async () => {
  const withValidation = await trained(spotsFit(data, { device: cpu }));
  const without = await trained(spotsFit(data, { device: cpu, validation: undefined }));
  assertSameBits(withValidation, without);
});

test('the second and later steps allocate nothing on the device and compile nothing', async () => {
  const counts: { allocations: number; compilations: number }[] = [];
  const run = await fit(spotsFit(data, {
    device: cpu, epochs: 1, callbacks: { onBatch: () => void counts.push({ ...cpu.counters }) },
  }));
  run.dispose();
  for (const later of counts.slice(2)) {
    assert.is(later.allocations, counts[1].allocations);
    assert.is(later.compilations, counts[1].compilations);
  }
});

test('goes on from a snapshot within an epoch, and between epochs, as if nothing had been', async () => {
  const whole = await fit(spotsFit(data, { device: cpu, epochs: 3 }));
  for (const stopAfter of [3, 6, 8]) {
    const controller = new AbortController();
    let steps = 0;
    const first = await fit(spotsFit(data, {
      device: cpu, epochs: 3, signal: controller.signal,
      callbacks: { onBatch: () => { if (++steps === stopAfter) controller.abort(); } },
    }));
    assert.ok(first.interrupted);
    assert.is(steps, stopAfter, 'the step under way is finished, no other is begun');
    const { json, tensors } = encodeSnapshot(await first.snapshot());
    first.dispose();
    const snapshot: TrainingSnapshot = decodeSnapshot(json, tensors, 'state.json');
    const second = await fit(spotsFit(data, { device: cpu, epochs: 3, resume: snapshot }));
    assert.not.ok(second.interrupted);
    assertSameBits(await second.parameters(), await whole.parameters());
    const [a, b] = [await second.snapshot(), await whole.snapshot()];
    assert.ok(Buffer.compare(encodeSnapshot(a).tensors, encodeSnapshot(b).tensors) === 0, 'optimizer state differs');
    assert.equal(a.sampler, b.sampler);
    assert.equal(withoutTimes(a), withoutTimes(b));
    second.dispose();
  }
  whole.dispose();
});

function withoutTimes({ history }: TrainingSnapshot): unknown {
  return history.map(({ seconds: _s, imagesPerSecond: _i, ...rest }) => rest);
}

test('a loss that is no number ends the run, saying where', async () => {
  const run = fit(spotsFit(data, { device: cpu, learningRate: 1e30 }));
  await rejects(() => run, TrainingError, /the loss is (NaN|Infinity) at epoch 1, step \d of 6 \(update \d, learning rate 1e\+30\)/);
});

test('reports each batch, its loss one step late', async () => {
  const reports: BatchReport[] = [];
  const run = await fit(spotsFit(data, { device: cpu, epochs: 1, callbacks: { onBatch: (report) => void reports.push(report) } }));
  run.dispose();
  assert.equal(reports.map((r) => r.step), [1, 2, 3, 4, 5, 6]);
  assert.ok(Number.isNaN(reports[0].loss));
  assert.ok(reports[1].loss > 0);
});

test('refuses what cannot be trained, before it starts', async () => {
  await rejects(() => fit(spotsFit(data, { epochs: 0 })), OptionError, /epochs: expected an integer of 1 or more, got 0/);
  await rejects(() => fit(spotsFit(data, { seed: 2 ** 31 })), OptionError, /seed/);
  await rejects(() => fit(spotsFit(data, { train: [] })), DataError, /training part is empty/);
  await rejects(() => fit(spotsFit(data, { augment: 'flip' })), OptionError, /did you mean 'flips'/);
  const three = spots(32);
  await rejects(() => fit(spotsFit({ ...three, classes: ['a', 'b', 'c'] })), DataError, /2 classes apart, spots has 3/);
});

/** The device, as if it had less memory. */
function withMemory(real: Device, maxBuffer: number): Device {
  return new Proxy(real, {
    get(target, key) {
      if (key === 'memory') return { ...target.memory, maxBuffer };
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a batch that does not fit is refused before anything is allocated, with the largest that does', async () => {
  const before = cpu.counters.bytesAllocated;
  const tight = withMemory(cpu, before + 4 * 2 ** 20);
  const attempt = (batch: number): Promise<string> =>
    fit(spotsFit(data, { device: tight, epochs: 1, batch })).then((run) => {
      run.dispose();
      return '';
    }, (error: Error) => {
      assert.instance(error, OutOfMemoryError);
      return error.message;
    });
  const said = await attempt(48);
  assert.match(said, /^a batch of 48 takes \d+ MB, which do not fit on cpu .*; the largest batch that fits is \d+, without recomputation$/);
  assert.is(cpu.counters.bytesAllocated, before);
  const largest = Number(/fits is (\d+)/.exec(said)![1]);
  assert.ok(largest >= 1 && largest < 48, said);
  assert.match(await attempt(largest + 1), `fits is ${largest},`);
  assert.is(await attempt(largest), '');
  arenaOf(tight).release();
});

test('recomputation changes no bit of what is learnt', async () => {
  const kept = await trained(spotsFit(data, { device: cpu, epochs: 2 }));
  assertSameBits(await trained(spotsFit(data, { device: cpu, epochs: 2, recompute: true })), kept);
});

test('class weights come from counts, or are given', () => {
  assert.equal(resolveClassWeights('none', [200, 3]), [1, 1]);
  assert.equal(resolveClassWeights('balanced', [150, 50]), [200 / 300, 2]);
  assert.equal(resolveClassWeights([1, 20], [150, 50]), [1, 20]);
  throws(() => resolveClassWeights([1, 2, 3], [1, 1]), OptionError, /one for each of the 2 classes/);
  throws(() => resolveClassWeights([1, -2], [1, 1]), OptionError, /class weight -2/);
});

test('a class that weighs nothing is not learnt', async () => {
  const { history, dispose } = await (async () => {
    const run = await fit(spotsFit(data, { device: cpu, epochs: 4, classWeights: [0, 1] }));
    return { history: run.history, dispose: () => run.dispose() };
  })();
  assert.ok(history[3].train.perClass[1] > 0.95, `infected ${history[3].train.perClass[1]}`);
  dispose();
});

test('local normalisation on the device is that on the host', async () => {
  const [h, w] = [9, 14];
  const pixels = Uint8Array.from({ length: h * w * 3 }, (_, i) => (i * 7919) % 256);
  const host = subtractLocalMean(pixels, [h, w, 3], 5);
  const x = preprocess(wrap(pixels, [1, h, w, 3], 'uint8'), { mean: [0, 0, 0], deviation: [2, 4, 8], window: 5 });
  const got = await x.data();
  host.forEach((v, i) => assert.ok(Math.abs(got[i] - v / [2, 4, 8][i % 3]) < 1e-4, `element ${i}: ${got[i]}, ${v}`));
  // By the definition, at one pixel in a corner and one inside.
  const mean = (y0: number, y1: number, x0: number, x1: number): number => {
    let sum = 0;
    for (let y = y0; y <= y1; y++) for (let xx = x0; xx <= x1; xx++) sum += pixels[(y * w + xx) * 3];
    return sum / ((y1 - y0 + 1) * (x1 - x0 + 1));
  };
  assert.ok(Math.abs(host[0] - (pixels[0] - mean(0, 2, 0, 2))) < 1e-9);
  assert.ok(Math.abs(host[(4 * w + 7) * 3] - (pixels[(4 * w + 7) * 3] - mean(2, 6, 5, 9))) < 1e-9);
});

test('normalisation is measured on the samples given', () => {
  const { mean, deviation, window } = measureNormalization(data, range(0, 8));
  assert.is(window, 0);
  for (const m of mean) assert.ok(m > 90 && m < 110, `mean ${m}`);
  for (const d of deviation) assert.ok(d > 20 && d < 40, `deviation ${d}`);
  assert.ok(measureNormalization(data, range(0, 8), 'local').window >= 3);
  throws(() => measureNormalization(data, []), DataError, /no images/);
});

test('parameters are read back as they are trained', async () => {
  const run = await fit(spotsFit(data, { device: cpu, epochs: 1 }));
  const again = await readVariables(run.network.logits, run.network.variables.all);
  assertSameBits(await run.parameters(), again);
  run.dispose();
});

test.after(() => cpu.dispose());
test.run();
