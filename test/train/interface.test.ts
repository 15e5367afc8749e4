/** What MXNet.jl's `fit` offered, as users call it: callbacks, metrics, an epoch's hook, checkpoints, predictions in a stream. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { resampled } from '../../examples/resampled-epochs.ts';
import { augment, flipLeftRight, gaussianNoise, memoryDataset, recordAugmentation, rotate180 } from '../../src/data/index.ts';
import type { EachEpoch } from '../../src/data/index.ts';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { DataError, OptionError } from '../../src/errors.ts';
import { loadModel } from '../../src/formats/load-model.ts';
import { readParams, splitCheckpoint } from '../../src/formats/mxnet-params.ts';
import { readSymbol } from '../../src/formats/mxnet-symbol.ts';
import { arraysToMXNet } from '../../src/nn/index.ts';
import type { ParameterArrays } from '../../src/nn/index.ts';
import { exponential, step } from '../../src/optim/index.ts';
import {
  accuracy, decodeSnapshot, doCheckpoint, encodeSnapshot, everyNBatches, everyNEpochs, fit, mse, multiAce, multiMetric, speedometer,
  weightedMultiAce,
} from '../../src/train/index.ts';
import type { FitOptions, FitResult } from '../../src/train/index.ts';
import { rejects, throws } from '../support/errors.ts';
import { range, spots, spotsFit } from '../support/training.ts';

const cpu = await device('cpu', { threads: 2 });
setDefaultDevice(cpu);
const data = spots(16);
const options = (more: Partial<FitOptions> = {}): FitOptions => spotsFit(data, { device: cpu, train: range(0, 24), validation: range(24, 32), ...more });
const folder = mkdtempSync(join(tmpdir(), 'fovea-interface-'));

function assertSameBits(a: ParameterArrays, b: ParameterArrays): void {
  for (const kind of ['arguments', 'auxiliary'] as const) {
    for (const [name, { data: x }] of a[kind]) assert.equal(x, b[kind].get(name)!.data, name);
  }
}

test('the epochs of the article: both classes drawn anew, noise and turns on the infected alone', async () => {
  const run = await resampled(data, range(0, 24), 16, { device: cpu, loader: { workers: 0 }, bootstrap: { resamples: 10 } });
  assert.is(run.history.length, 2);
  assert.is(run.history[1].updates, 8);
  assert.ok(run.history[1].objective < run.history[0].objective);
  run.dispose();
});

/** Everything that draws: an epoch's hook with transforms, chance, the record iterator, bytes; what is left over is carried on. */
const eachEpoch: EachEpoch = (pool, rng) => {
  const indices = rng.shuffle([...pool.indices, ...pool.of('infected').slice(0, 5)]);
  return { indices, transforms: indices.map((i) => (i % 3 === 0 ? ['turn'] : undefined)) };
};
const drawing: Partial<FitOptions> = {
  eachEpoch,
  augment: [
    augment({ name: 'turn', probability: 0, tensor: rotate180 }),
    augment({ class: 'infected', probability: 0.5, tensor: gaussianNoise(4) }),
    augment({ probability: 0.7, tensor: recordAugmentation({ maxRotateAngle: 10, pad: 2, randCrop: true, randomH: 4, maxRandomContrast: 0.1 }) }),
    augment({ name: 'blot', probability: 0.3, pixels: (pixels, _, rng) => void (pixels[rng.int(pixels.length)] = 255) }),
  ],
};

test('a run that augments goes on from a snapshot within an epoch, and between epochs, as if nothing had been', async () => {
  const whole = await fit(options({ ...drawing, epochs: 3 }));
  for (const stopAfter of [2, 3, 5]) {
    const controller = new AbortController();
    let steps = 0;
    const first = await fit(options({
      ...drawing, epochs: 3, signal: controller.signal, callbacks: { onBatch: () => { if (++steps === stopAfter) controller.abort(); } },
    }));
    const { json, tensors } = encodeSnapshot(await first.snapshot());
    first.dispose();
    const second = await fit(options({ ...drawing, epochs: 3, resume: decodeSnapshot(json, tensors, 'state.json') }));
    assertSameBits(await second.parameters(), await whole.parameters());
    assert.equal((await second.snapshot()).sampler, (await whole.snapshot()).sampler);
    second.dispose();
  }
  whole.dispose();
});

test('another way to load gives the same bits', async () => {
  const [one, other] = [await fit(options(drawing)), await fit(options({ ...drawing, loader: { workers: 0, prefetch: 5 } }))];
  assertSameBits(await one.parameters(), await other.parameters());
  one.dispose();
  other.dispose();
});

test('what is done to images is what the network learns from, by tensors or by bytes', async () => {
  const objective = async (list: FitOptions['augment']): Promise<number> => {
    const run = await fit(options({ augment: list, epochs: 3 }));
    run.dispose();
    return run.history[2].objective;
  };
  const black = [
    [augment({ name: 'black', tensor: (x) => x.mul(0) })],
    [augment({ name: 'black', pixels: (pixels) => void pixels.fill(0) })],
  ];
  const [byTensors, byBytes, asTheyAre] = [await objective(black[0]), await objective(black[1]), await objective('none')];
  assert.is(byTensors, byBytes);
  assert.ok(byTensors > 0.5 && asTheyAre < 0.3, `${byTensors} without anything to see, ${asTheyAre} with`);
});

test('metrics of both parts, per class and weighted, each epoch; the validation part in inference mode', async () => {
  const run = await fit(options({ metric: multiMetric([accuracy(), weightedMultiAce([1, 3]), mse()]) }));
  for (const { metric, train, validation } of run.history) {
    assert.equal(Object.keys(metric!.train), ['accuracy', 'ACE_0', 'ACE_1', 'WACE', 'MSE']);
    assert.is(metric!.train.accuracy, train.accuracy);
    const { ACE_0: healthy, ACE_1: infected, WACE: weighted, accuracy: share } = metric!.validation!;
    assert.is(share, validation!.accuracy);
    assert.ok(Math.abs((healthy + infected) / 2 - validation!.loss) < 1e-4, 'both classes are equally many');
    assert.ok(Math.abs((healthy + 3 * infected) / 4 - weighted) < 1e-9);
  }
  run.dispose();
});

test('another dataset may be judged', async () => {
  const other = spots(8, 16, 9);
  const run = await fit(options({ epochs: 1, validationData: other, validation: range(0, 13), metric: multiAce(2) }));
  assert.is(run.history[0].validation!.samples, 13);
  const logits = await run.predict(other, range(0, 13));
  const right = Array.from(range(0, 13)).filter((i) => Number(logits[2 * i + 1] > logits[2 * i]) === other.labels[i]).length;
  assert.is(run.history[0].validation!.accuracy, right / 13);
  run.dispose();
  const small = memoryDataset({ shape: [8, 8, 3], bytes: new Uint8Array(192 * 2), labels: [0, 1] });
  await rejects(() => fit(options({ validationData: small })), DataError, /images of \[8, 8, 3\].*they should be the same/);
  await rejects(() => fit(options({ validationData: other, validation: undefined })), OptionError, /validation is missing/);
});

test('callbacks: every n batches and epochs, at 0 where asked for, in order', async () => {
  const seen: string[] = [];
  const run = await fit(options({
    epochs: 2, batch: 4, callbacks: [
      everyNBatches(2, ({ epoch, step: n, updates }) => void seen.push(`batch ${epoch}:${n ?? 0} (${updates})`), { callOn0: true }),
      everyNBatches(5, ({ step: n }) => void seen.push(`fifth: ${n}`)),
      everyNEpochs(1, (record) => void seen.push(`epoch ${record?.epoch ?? 0}, of ${record?.validation!.samples ?? 0}`), { callOn0: true }),
      everyNEpochs(2, async (record, { history }) => {
        await Promise.resolve();
        seen.push(`second: ${record!.epoch} of ${history.length}`);
      }),
    ],
  }));
  run.dispose();
  const batches = (epoch: number, from: number): string[] =>
    [0, 2, 4].map((n) => `batch ${epoch}:${n} (${from + n})`).concat('fifth: 5', `batch ${epoch}:6 (${from + 6})`);
  assert.equal(seen, ['epoch 0, of 0', ...batches(1, 0), 'epoch 1, of 8', ...batches(2, 6), 'epoch 2, of 8', 'second: 2 of 2']);
  throws(() => everyNBatches(0, () => {}), OptionError, /everyNBatches: expected an integer of 1 or more, got 0/);
});

test('speedometer', async () => {
  const lines: string[] = [];
  const run = await fit(options({ epochs: 1, batch: 4, callbacks: speedometer({ frequency: 3, log: (line) => void lines.push(line) }) }));
  run.dispose();
  assert.is(lines.length, 2);
  for (const line of lines) {
    assert.match(line, /^Speed: +\d+\.\d\d samples\/sec$/);
    assert.ok(Number(line.split(/ +/)[1]) > 1);
  }
});

test('checkpoints: epoch 0 is what training began with; MXNet\'s files', async () => {
  const prefix = join(folder, 'deep', 'net');
  let before: ParameterArrays | undefined;
  const run = await fit(options({
    epochs: 3, callbacks: [
      doCheckpoint(prefix, { frequency: 2, saveEpoch0: true }),
      { onStart: async (_, state) => void (before = await state.parameters()) },
    ],
  }));
  assert.equal(readdirSync(join(folder, 'deep')).sort(), ['net-0000.params', 'net-0002.params', 'net-symbol.json']);
  const read = (epoch: string) => splitCheckpoint(readParams(readFileSync(`${prefix}-${epoch}.params`), { file: epoch }), { file: epoch });
  assertSameBits(read('0000'), arraysToMXNet(before!));
  assert.not.equal(read('0002').arguments.get('conv_1_weight'), read('0000').arguments.get('conv_1_weight'));
  assert.is(readSymbol(readFileSync(`${prefix}-symbol.json`, 'utf8'), { file: 'symbol' }).listOutputs()[0], 'softmax_output');
  // What is done to images goes with the network, a mean image as a file beside.
  const { mean, deviation } = run.normalization;
  assert.equal((await loadModel(prefix)).preprocessing, { mean: [...mean], deviation: [...deviation], size: [16, 16] });
  const image = { shape: [16, 16, 3] as const, data: Float32Array.from({ length: 16 * 16 * 3 }, (_, i) => i / 4) };
  const normalization = { mean: [0, 0, 0], deviation: [64, 64, 64], window: 0, image };
  (await fit(options({ epochs: 1, normalization, callbacks: doCheckpoint(join(folder, 'mean')) }))).dispose();
  const { preprocessing } = await loadModel(join(folder, 'mean'));
  assert.equal(preprocessing!.deviation, [64, 64, 64]);
  assert.equal(preprocessing!.meanImage!.shape, [3, 16, 16]);
  assert.is((preprocessing!.meanImage!.data as Float32Array)[16 * 16 + 5], image.data[5 * 3 + 1]);
  for (const file of ['mean-0001.params', 'mean-symbol.json', 'mean-mean.nd']) rmSync(join(folder, file));
  run.dispose();
  // A run that is resumed does not write epoch 0 anew.
  const again = await fit(options({ epochs: 4, resume: await snapshotOf(3), callbacks: doCheckpoint(join(folder, 'again'), { saveEpoch0: true }) }));
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.params')), ['again-0004.params']);
  again.dispose();
});

async function snapshotOf(epochs: number): Promise<FitOptions['resume']> {
  const run = await fit(options({ epochs }));
  const snapshot = await run.snapshot();
  run.dispose();
  return snapshot;
}

test('predictions in a stream are those asked for at once', async () => {
  const run = await fit(options({ epochs: 1 }));
  const wanted = range(3, 22);
  const [ids, logits]: [number[], number[]] = [[], []];
  const sizes: number[] = [];
  for await (const batch of run.predictBatches(data, wanted)) {
    ids.push(...batch.indices);
    logits.push(...batch.logits);
    sizes.push(batch.indices.length);
  }
  assert.equal(ids, [...wanted]);
  assert.equal(sizes, [8, 8, 3], 'no padding is said');
  assert.equal(logits, [...await run.predict(data, wanted)]);
  for await (const { indices } of run.predictBatches(data, wanted)) {
    assert.is(indices[0], 3);
    break;
  }
  run.dispose();
});

/** Bits of what is learnt by two schedules that differ from the second epoch on. */
async function learnt(more: Partial<FitOptions>): Promise<{ first: FitResult; second: FitResult; same: boolean }> {
  const first = await fit(options({ ...more, learningRate: exponential({ learningRate: 0.01, gamma: 1 }) }));
  const second = await fit(options({ ...more, learningRate: exponential({ learningRate: 0.01, gamma: 0.1 }) }));
  const name = 'fc1_weight';
  const [a, b] = [await first.parameters(), await second.parameters()].map(({ arguments: all }) => all.get(name)!.data as Float32Array);
  return { first, second, same: a.every((v, i) => v === b[i]) };
}

for (const kind of ['sgd', 'adam'] as const) {
  test(`${kind} follows its schedule`, async () => {
    for (const epochs of [1, 2]) {
      const { first, second, same } = await learnt({ optimizer: { kind, weightDecay: 0.01 }, epochs });
      assert.is(same, epochs === 1);
      assert.is(second.history[epochs - 1].learningRate, 0.01 * 0.1 ** (epochs - 1));
      first.dispose();
      second.dispose();
    }
  });
}

test('weight decay follows the schedule too: at a rate that has fallen to almost nothing nothing decays', async () => {
  const run = await fit(options({
    epochs: 3, optimizer: { kind: 'sgd', momentum: 0, weightDecay: 0.5 },
    learningRate: step({ learningRate: 0.05, step: [3], factor: 0 }), callbacks: doCheckpoint(join(folder, 'decay')),
  }));
  const weight = (epoch: number): unknown => splitCheckpoint(
    readParams(readFileSync(join(folder, `decay-000${epoch}.params`)), { file: 'decay' }), { file: 'decay' },
  ).arguments.get('conv_1_weight');
  assert.equal(weight(3), weight(2));
  assert.equal(weight(2), weight(1));
  run.dispose();
});

test('a schedule that gives no rate is refused before that update', async () => {
  for (const bad of [NaN, Infinity, -0.1, '0.1', undefined]) {
    await rejects(() => fit(options({ learningRate: () => bad as number })), OptionError,
      new RegExp(`learningRate: .* gives ${String(bad)} at epoch 1, update 1$`));
  }
  const losses: number[] = [];
  await rejects(() => fit(options({
    learningRate: ({ update }) => (update === 3 ? NaN : 0.01), callbacks: { onBatch: ({ updates }) => void losses.push(updates) },
  })), OptionError, /gives NaN at epoch 1, update 3$/);
  assert.equal(losses, [1, 2], 'no update was taken by it');
});

test('gradients are clipped', async () => {
  const before = await fit(options({ epochs: 1, optimizer: { kind: 'sgd', momentum: 0, clipGradient: 1e-6 }, learningRate: 1 }));
  const start = (await snapshotOf(1))!;
  const moved = (await before.parameters()).arguments.get('fc1_bias')!.data;
  // Three updates of at most the rate times 1e-6 each, from zero.
  assert.ok([...moved as Float32Array].every((v) => Math.abs(v) <= 3.0001e-6 && v !== 0), `${moved}`);
  assert.ok([...start.tensors.get('parameter/fc1_bias')!.data as Float32Array].some((v) => Math.abs(v) > 1e-4), 'without clipping they move further');
  before.dispose();
});

test('what an epoch asks for must be known', async () => {
  const asks = (name: string): FitOptions => options({
    augment: [augment({ tensor: flipLeftRight })],
    eachEpoch: ({ indices }) => ({ indices, transforms: [...indices].map(() => [name]) }),
  });
  await rejects(() => fit(asks('flipLeftRigth')), OptionError, /mean 'flipLeftRight'/);
  await rejects(() => fit(options({ sampler: 'balanced', eachEpoch })), OptionError, /does not go with eachEpoch/);
  await rejects(() => fit(options({ augment: [augment({ class: 'ill', tensor: rotate180 })] })), OptionError, /one of healthy, infected, got 'ill'/);
});

test.after(() => {
  rmSync(folder, { recursive: true, force: true });
  cpu.dispose();
});
test.run();
