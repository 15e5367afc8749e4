// time limit: 120 s
/** Frozen layers, features computed once, unfreezing: what is learnt and saved, bit for bit. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import { DataError, OptionError } from '../../src/errors.ts';
import { readSymbol } from '../../src/formats/mxnet-symbol.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import {
  addHead, arraysToMXNet, cutAt, dropout, freeze, fromMXNet, frozenPart, initialize, parseHead, scaleLearningRates, unfreeze, upTo,
} from '../../src/nn/index.ts';
import type { ModelSymbol, ParameterArrays } from '../../src/nn/index.ts';
import { trainingAttributes } from '../../src/nn/symbol.ts';
import { featureCache } from '../../src/train/feature-cache.ts';
import { doCheckpoint, fit } from '../../src/train/index.ts';
import type { FitOptions, FitResult, TrainingSnapshot } from '../../src/train/index.ts';
import { rejects } from '../support/errors.ts';
import { spots, spotsFit } from '../support/training.ts';

const cpu = await device('cpu', { threads: 2 });
const data = spots(16);
const shape = { data: [1, 3, 16, 16] };
const trunk = cutAt(inceptionBNSmall({ classes: 2, width: 0.125 }), 'in4a_chconcat');
const network = addHead(trunk, parseHead('8,relu,2'), shape);
/** Values that a trunk could have learnt: moving statistics too are none of those that it begins with. */
const pretrained = ((): ParameterArrays => {
  const values = initialize(network, shape, { seed: 9 });
  for (const [name, { data: x }] of values.auxiliary) x.forEach((_, i) => (x[i] = (name.endsWith('var') ? 0.5 : 0) + (i % 7) / 20));
  return arraysToMXNet(values);
})();
const frozen = freeze(network, upTo(network, 'in4a_chconcat'));

function options(symbol: ModelSymbol, more: Partial<FitOptions> = {}): FitOptions {
  return spotsFit(data, { symbol, initialize: { from: pretrained }, augment: 'none', epochs: 3, device: cpu, ...more });
}

async function values(result: FitResult): Promise<Map<string, number[]>> {
  const { arguments: learnt, auxiliary } = await result.parameters();
  return new Map([...learnt, ...auxiliary].map(([name, { data: x }]) => [name, [...(x as Float32Array)]]));
}

async function trained(symbol: ModelSymbol, more: Partial<FitOptions> = {}): Promise<{ values: Map<string, number[]>; history: unknown }> {
  const result = await fit(options(symbol, more));
  const out = { values: await values(result), history: result.history.map(({ objective, validation }) => [objective, validation?.loss]) };
  result.dispose();
  return out;
}

test('training on features gives the bits of training on images', async () => {
  let computed = 0;
  const onFeatures = (done: number, total: number): void => {
    assert.is(total, 32);
    computed = done;
  };
  const cached = await trained(frozen, { callbacks: { onFeatures } });
  assert.is(computed, 32);
  const uncached = await trained(frozen, { cacheFeatures: false, callbacks: { onFeatures: () => assert.unreachable() } });
  assert.equal(cached, uncached);
  // All that learns has learnt: the features are alive.
  for (const [name, { data: first }] of pretrained.arguments) {
    if (name.endsWith('_bias')) assert.is(String(cached.values.get(name)) !== String(first), name.startsWith('head_'), name);
  }
  for (const [name, { data: first }] of pretrained.auxiliary) assert.is(String(cached.values.get(name)), String(first), name);
});

test('features are those of a batch of the same size, and the store gives back what it was given', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-features-'));
  try {
    const store = await featureCache(folder);
    let computed: number[] = [];
    const run = async (more: Partial<FitOptions> = {}) => {
      computed = [];
      return trained(frozen, { featureStore: store, callbacks: { onFeatures: (done) => computed.push(done) }, ...more });
    };
    const first = await run();
    assert.is(computed.at(-1), 32);
    assert.equal(await run(), first);
    assert.equal(computed, [], 'all of them were found');
    // A torn file is as good as none.
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    assert.is(files.length, 32);
    const [torn, spoilt] = files.map((one) => join(one.parentPath, one.name));
    truncateSync(torn, 10);
    const bytes = readFileSync(spoilt);
    bytes[5] ^= 1;
    writeFileSync(spoilt, bytes);
    assert.equal(await run(), first);
    assert.equal(computed.length > 0 && computed.at(-1), 32);
    // Another batch, another preprocessing, other weights: other features.
    await run({ batch: 4 });
    assert.is(computed.at(-1), 32);
    await run({ normalization: { mean: [100, 100, 100], deviation: [50, 50, 50], window: 0 } });
    assert.is(computed.at(-1), 32);
    const moved = { arguments: new Map(pretrained.arguments), auxiliary: new Map(pretrained.auxiliary) };
    const old = moved.arguments.get('conv_1_weight')!;
    moved.arguments.set('conv_1_weight', { ...old, data: (old.data as Float32Array<ArrayBuffer>).map((v) => v * 1.5) });
    await run({ initialize: { from: moved } });
    assert.is(computed.at(-1), 32);
    // What learns at another rate computes the same.
    await trained(scaleLearningRates(frozen, () => 0.5), { featureStore: store, callbacks: { onFeatures: () => assert.unreachable() } });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a folder that cannot be written is told of once, and the run goes on without', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-features-'));
  try {
    const file = join(folder, 'features');
    writeFileSync(file, 'no folder');
    const warnings: string[] = [];
    const store = await featureCache(file, (line) => warnings.push(line));
    assert.equal(await trained(frozen, { featureStore: store }), await trained(frozen));
    assert.equal(warnings, [`${file}: is not a folder: features are not kept for other runs`]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('nothing is cached where something is drawn before it, or nothing is frozen', async () => {
  const callbacks = { onFeatures: () => assert.unreachable() };
  await trained(frozen, { augment: 'flips', epochs: 1, callbacks });
  await trained(network, { epochs: 1, callbacks });
  const dropped = addHead(dropout(trunk, { p: 0.2, name: 'drop' }), parseHead('2'), shape);
  const { trunk: cached } = frozenPart(freeze(dropped, upTo(dropped, 'drop')))!;
  assert.equal(cached.listOutputs(), ['in4a_chconcat_output'], 'before what is random');
});

test('samples drawn by a hook, other data to judge by and predictions in a stream are on features as on images', async () => {
  const validationData = spots(16, 16, 7);
  const run = async (cacheFeatures: boolean) => {
    const result = await fit(options(frozen, {
      cacheFeatures, validationData, epochs: 2,
      eachEpoch: ({ indices }, rng) => ({ indices: Array.from(indices, () => indices[rng.int(indices.length)]) }),
    }));
    const streamed: number[] = [];
    for await (const { logits } of result.predictBatches(validationData, [0, 3, 5, 6, 9])) streamed.push(...logits);
    assert.equal(streamed, [...await result.predict(validationData, [0, 3, 5, 6, 9])]);
    const losses = result.history.map(({ objective, validation }) => [objective, validation?.loss]);
    result.dispose();
    return { streamed, losses };
  };
  assert.equal(await run(true), await run(false));
});

test('predictions keep no features of images that are none of the run', async () => {
  const other = spots(40, 16, 8);
  let reads = 0;
  const counted = { ...other, readInto: (...at: Parameters<typeof other.readInto>) => (reads++, other.readInto(...at)) };
  const everything = Array.from({ length: 80 }, (_, i) => 79 - i);
  const predicted = async (cacheFeatures: boolean): Promise<readonly number[][]> => {
    const result = await fit(options(frozen, { cacheFeatures, epochs: 1 }));
    const both: number[][] = [];
    for (const _ of [1, 2]) {
      reads = 0;
      both.push([...await result.predict(counted, everything)]);
      assert.is(reads, 80);
    }
    await rejects(() => result.predict(counted, []), DataError, /no samples to evaluate/);
    result.dispose();
    return both;
  };
  const [first, again] = await predicted(true);
  assert.equal(again, first);
  assert.equal(first, (await predicted(false))[0]);
});

test('an epoch on features costs milliseconds', async () => {
  const result = await fit(options(frozen, { epochs: 6 }));
  const [, ...later] = result.history.map(({ seconds }) => seconds);
  result.dispose();
  const slow = await fit(options(frozen, { epochs: 3, cacheFeatures: false }));
  const [, ...images] = slow.history.map(({ seconds }) => seconds);
  slow.dispose();
  assert.ok(Math.min(...later) < Math.min(...images), `${Math.min(...later)} s on features, ${Math.min(...images)} s on images`);
});

const unfreezings = [{ epoch: 2, symbol: unfreeze(frozen, 'conv_in4a*') }, { epoch: 3, symbol: unfreeze(frozen, upTo(network, 'in4a_chconcat')) }];

test('layers are unfrozen at their epochs', async () => {
  const after: Map<string, number[]>[] = [];
  const result = await fit(options(frozen, {
    unfreezings, learningRate: 0.1,
    callbacks: { onEpoch: async (_, run) => after.push(new Map([...(await run.parameters()).arguments].map(([n, a]) => [n, [...(a.data as Float32Array)]]))) },
  }));
  result.dispose();
  const changed = (name: string, epoch: number): boolean =>
    String(after[epoch - 1].get(name)) !== String(epoch === 1 ? fromMXNet(pretrained.arguments.get(name)!).data : after[epoch - 2].get(name));
  assert.equal([1, 2, 3].map((epoch) => changed('head_fc1_weight', epoch)), [true, true, true]);
  assert.equal([1, 2, 3].map((epoch) => changed('conv_in4a_3x3_weight', epoch)), [false, true, true]);
  assert.equal([1, 2, 3].map((epoch) => changed('bn_in4a_3x3_gamma', epoch)), [false, false, true]);
  assert.equal([1, 2, 3].map((epoch) => changed('conv_1_weight', epoch)), [false, false, true]);
});

test('a checkpoint has the symbol of its epoch: what is frozen then', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-checkpoint-'));
  try {
    const symbols: string[] = [];
    const file = join(folder, 'net-symbol.json');
    const read = (): void => void symbols.push(readFileSync(file, 'utf8'));
    const callbacks = [doCheckpoint(join(folder, 'net'), { saveEpoch0: true }), { onStart: read, onEpoch: read }];
    (await fit(options(frozen, { unfreezings, callbacks }))).dispose();
    const frozenIn = symbols.map((text) => {
      const symbol = readSymbol(text, { file });
      return ['conv_1_weight', 'conv_in4a_3x3_weight'].map((name) => trainingAttributes(symbol, name).frozen);
    });
    assert.equal(frozenIn, [[true, true], [true, true], [true, false], [false, false]]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a state of any epoch goes on to the same bits, on features or not', async () => {
  const states: TrainingSnapshot[] = [];
  const whole = await fit(options(frozen, { unfreezings, callbacks: { onEpoch: async (_, run) => states.push(await run.snapshot()) } }));
  const wanted = await values(whole);
  whole.dispose();
  for (const [i, resume] of states.slice(0, 2).entries()) {
    assert.is(resume.tensors.has('parameter/conv_in4a_3x3_weight'), i > 0, 'what has learnt is saved, and no more');
    const resumed = await fit(options(frozen, { unfreezings, resume, cacheFeatures: i === 0 }));
    assert.equal(await values(resumed), wanted);
    resumed.dispose();
  }
});

test('what cannot be trained is refused', async () => {
  await rejects(() => fit(options(freeze(network, () => true))), OptionError, /all layers of the network are frozen/);
  await rejects(() => fit(options(frozen, { unfreezings: [{ epoch: 1, symbol: network }] })), OptionError, /expected epochs from 2 on, ascending, got 1/);
  const [one] = unfreezings;
  await rejects(() => fit(options(frozen, { unfreezings: [one, one] })), OptionError, /expected epochs from 3 on, ascending, got 2/);
});

test.after(() => cpu.dispose());
test.run();
