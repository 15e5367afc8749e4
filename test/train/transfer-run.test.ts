// time limit: 240 s
/** Runs that begin from weights: what they leave, and that they go on as if nothing had been. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/cli/program.ts';
import { DataError, FormatError, OptionError } from '../../src/errors.ts';
import { joinCheckpoint, readParams, readSymbol, writeParams, writeSymbol } from '../../src/formats/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { arraysToMXNet, initialize, trainingAttributes } from '../../src/nn/index.ts';
import { attributesOf } from '../../src/nn/symbol-graph.ts';
import { withPreprocessing } from '../../src/formats/preprocessing.ts';
import { checkRun, dryRun, evaluateRun, predictRun, trainRun } from '../../src/train/index.ts';
import type { RunOptions, TrainRunResult } from '../../src/train/index.ts';
import { nameOf, resolveRun, stagesOf, transferNetwork } from '../../src/train/transfer.ts';
import type { ResolvedRun } from '../../src/train/transfer.ts';
import { rejects, throws } from '../support/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-transfer-'));
process.env.FOVEA_CACHE = join(folder, 'cache');

/** A checkpoint of MXNet's: a narrow Inception-BN of 7 classes, with its own preprocessing and a size. */
const prefix = join(folder, 'narrow');
const weights = `${prefix}-0003.params`;
const symbol = withPreprocessing(inceptionBN({ classes: 7, width: 0.25 }), { mean: [120, 110, 100], deviation: [50, 60, 70], size: [40, 40] });
const values = initialize(symbol, { data: [1, 3, 40, 40] }, { seed: 4 });
for (const [name, { data: x }] of values.auxiliary) x.forEach((_, i) => (x[i] = (name.endsWith('var') ? 0.5 : 0) + (i % 5) / 20));
writeFileSync(`${prefix}-symbol.json`, writeSymbol(symbol));
writeFileSync(weights, writeParams(joinCheckpoint(arraysToMXNet(values))));

const base: RunOptions = {
  data: 'phantom', patients: 16, epochs: 3, batch: 4, device: 'cpu', threads: 2, seed: 5, weights, cut: 'ch_concat_3b_chconcat', head: '8,relu,2',
};

function train(name: string, more: RunOptions = {}): Promise<TrainRunResult> {
  return trainRun({ options: { ...base, ...more }, out: join(folder, name) });
}

function params(run: string, file: string): Map<string, readonly number[]> {
  const path = join(run, file);
  return new Map([...readParams(readFileSync(path), { file: path })].map(([name, { data: x }]) => [name, Array.from(x as Float32Array)]));
}

test('a run from weights leaves the network whole, and says where it comes from', async () => {
  const { directory, config, best } = await train('run');
  assert.is(config.name, 'narrow');
  assert.is(config.transfer!.cut, 'ch_concat_3b_chconcat');
  assert.match(config.transfer!.sha256, /^[0-9a-f]{64}$/);
  assert.equal(config.imageShape, [40, 40, 3]);
  assert.equal(config.normalization, { mean: [120, 110, 100], deviation: [50, 60, 70], window: 0 });
  assert.is(config.parameters, 8 * 80 + 8 + 2 * 8 + 2);
  const saved = readSymbol(readFileSync(join(directory, 'narrow-symbol.json'), 'utf8'), { file: 'narrow-symbol.json' });
  assert.is(trainingAttributes(saved, 'conv_1_weight').frozen, true);
  assert.is(trainingAttributes(saved, 'head_fc1_weight').frozen, false);
  const before = params(directory, 'narrow-0000.params');
  const after = params(directory, `narrow-${String(best!.epoch).padStart(4, '0')}.params`);
  assert.equal([...after.keys()].sort(), [...before.keys()].sort());
  for (const [name, numbers] of after) {
    if (name.startsWith('arg:head_')) assert.not.equal(numbers, before.get(name), name);
    else assert.equal(numbers, before.get(name), name);
  }
});

test('cached features or not: the same bits; the cache is found again', async () => {
  const cached = join(folder, 'run');
  const counts: number[] = [];
  const { directory } = await trainRun({
    options: { ...base, cacheFeatures: 'off' }, out: join(folder, 'off'), hooks: { onFeatures: (_, total) => counts.push(total) },
  });
  assert.equal(counts, []);
  const again = await trainRun({ options: base, out: join(folder, 'again'), hooks: { onFeatures: (done) => counts.push(done) } });
  assert.equal(counts, [], 'all were found');
  for (const file of readdirSync(cached).filter((name) => /\.(params|safetensors)$/.test(name) || name === 'predictions.csv')) {
    assert.ok(readFileSync(join(cached, file)).equals(readFileSync(join(directory, file))), file);
    assert.ok(readFileSync(join(cached, file)).equals(readFileSync(join(again.directory, file))), file);
  }
});

test('a dry run times what a run does: features where all before the head is frozen, images from the unfreezing on', async () => {
  const options: RunOptions = { ...base, epochs: 5, unfreeze: 'all@4', augment: 'none' };
  const plan = await dryRun(options);
  const [onFeatures, onImages] = plan.stages;
  assert.equal(plan.stages.map(({ first, last }) => [first, last]), [[1, 3], [4, 5]]);
  const [{ samples }, validation] = plan.parts;
  assert.is(onFeatures.features!.images, samples + validation.samples);
  assert.ok(onFeatures.features!.seconds > 0);
  assert.is(onImages.features, undefined);
  assert.is(plan.parameters, 8 * 80 + 8 + 2 * 8 + 2);
  const total = onFeatures.features!.seconds + onFeatures.seconds + onImages.seconds;
  assert.ok(Math.abs(plan.seconds - total) < 1e-9);
  assert.is((await dryRun({ ...base, cacheFeatures: 'off' })).stages[0].features, undefined);
  await rejects(() => dryRun({ ...base, batch: 64 }), OptionError, /a batch of 64 is larger than the \d+ samples/);
});

test('steps on features are timed on features, others on images', async () => {
  // Steps of tenths of a millisecond beside ones of whole: what else the machine does may spoil a look, but not each.
  const looks: string[] = [];
  for (let i = 0; i < 5; i++) {
    const [onFeatures, onImages] = (await dryRun({ ...base, epochs: 5, unfreeze: 'all@4', augment: 'none' })).stages;
    const [alone] = (await dryRun({ ...base, cacheFeatures: 'off' })).stages;
    if (3 * onFeatures.stepSeconds < Math.min(onImages.stepSeconds, alone.stepSeconds)) return;
    looks.push(`${onFeatures.stepSeconds} s on features, ${onImages.stepSeconds} s on images, ${alone.stepSeconds} s where none are kept`);
  }
  assert.unreachable(looks.join('; '));
});

test('the command line says so', async () => {
  let out = '';
  const terminal = { out: (text: string) => void (out += text), err: () => {}, watched: false };
  const words = ['--patients', '16', '--epochs', '3', '--batch', '4', '--device', 'cpu', '--threads', '2', '--weights', weights, '--cut', base.cut!];
  const plan = ['train', '--dry-run', ...words, '--unfreeze', 'all@3', '--augment', 'none'];
  assert.is(await runProgram(plan, { terminal, signal: new AbortController().signal }), 0);
  assert.match(out, /^time +features of \d+ images, once, unless they are kept from before: 0:\d\d$/m);
  assert.match(out, /^ +epochs 1 to 2: 0\.\d{4} s a step on features of frozen layers, [\d.]+ images\/s$/m);
  assert.match(out, /^ +epochs 3 to 3: 0\.\d{3} s a step, [\d.]+ images\/s; 3 epochs of \d+ steps: 0:\d\d, and the preparation/m);
});

test('its own network judges and predicts', async () => {
  const run = join(folder, 'run');
  const judged = await evaluateRun({ run });
  const { parts } = JSON.parse(readFileSync(join(run, 'results.json'), 'utf8')) as { parts: { test: { metrics: { auc: { value: number } } } } };
  assert.is(judged.metrics.auc.value, parts.test.metrics.auc.value);
  const picture = join(folder, 'grey.png');
  const { default: sharp } = await import('sharp');
  await sharp({ create: { width: 50, height: 50, channels: 3, background: '#777' } }).png().toFile(picture);
  const { predictions } = await predictRun({ run, paths: [picture] });
  assert.ok(Math.abs(predictions[0].probabilities!.reduce((a, b) => a + b) - 1) < 1e-5);
});

test('a run that unfreezes, interrupted anywhere, goes on to the same bits', async () => {
  const options: RunOptions = { unfreeze: 'ch_concat_3b_chconcat@2,all@3', augment: 'none', layerDecay: 0.5, lr: 0.05, keep: 'all' };
  const whole = await train('whole', options);
  assert.is(whole.history.length, 3);
  const [second, third] = [params(whole.directory, 'narrow-0002.params'), params(whole.directory, 'narrow-0003.params')];
  const before = params(whole.directory, 'narrow-0000.params');
  assert.not.equal(second.get('arg:conv_3b_1x1_weight'), before.get('arg:conv_3b_1x1_weight'));
  assert.not.ok(second.has('arg:conv_3a_1x1_weight'), 'frozen still');
  assert.not.equal(third.get('arg:conv_1_weight'), before.get('arg:conv_1_weight'));
  assert.equal(third.get('aux:bn_1_moving_mean'), before.get('aux:bn_1_moving_mean'), 'statistics stay');
  for (const [k, at] of [[1, 2], [1, 6], [2, 1], [2, 4], [3, 2]].entries()) {
    const stop = new AbortController();
    const name = `stopped-${k}`;
    const first = await trainRun({
      options: { ...base, ...options }, out: join(folder, name), signal: stop.signal,
      hooks: { onBatch: ({ epoch, step, steps }) => (epoch === at[0] && step === Math.min(at[1], steps) ? stop.abort() : undefined) },
    });
    assert.is(first.interrupted, true);
    await trainRun({ resume: first.directory });
    for (const file of readdirSync(whole.directory).filter((n) => /\.params$/.test(n) || n === 'predictions.csv')) {
      assert.ok(readFileSync(join(whole.directory, file)).equals(readFileSync(join(first.directory, file))), `${name}: ${file}`);
    }
    const last = readdirSync(whole.directory).filter((n) => n.endsWith('.safetensors')).sort().at(-1)!;
    assert.ok(readFileSync(join(whole.directory, last)).equals(readFileSync(join(first.directory, last))), `${name}: ${last}`);
  }
});

test('rates fall by block, from the head to the image', async () => {
  const { options, model } = await resolveRun({ ...base, freeze: 'none', layerDecay: 0.5 });
  const network = transferNetwork(model!, options, ['healthy', 'infected'], [40, 40, 3]);
  const { symbol: first } = stagesOf(network, options);
  const rates = ['head_fc2_weight', 'head_fc1_bias', 'conv_3b_1x1_weight', 'bn_3a_proj_gamma', 'conv_2_weight', 'conv_2_red_weight', 'conv_1_weight']
    .map((name) => trainingAttributes(first, name).lrMult);
  assert.equal(rates, [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]);
  assert.equal(writeSymbol(stagesOf({ ...network, symbol: first }, options).symbol), writeSymbol(first), 'the same again');
});

test("a batch norm of 2015 that states nothing is read as the option has it, and the warning names the option", async () => {
  const named = (name: string): object => ({ op: 'null', param: {}, name, inputs: [], backward_source_id: -1 });
  writeFileSync(join(folder, 'old-symbol.json'), JSON.stringify({
    nodes: [named('data'), named('bn_gamma'), named('bn_beta'),
      { op: 'BatchNorm', param: {}, name: 'bn', inputs: [[0, 0], [1, 0], [2, 0]], backward_source_id: -1 }],
    arg_nodes: [0, 1, 2], heads: [[3, 0]],
  }));
  const ones = { shape: [3], dtype: 'float32' as const, data: Float32Array.of(1, 1, 1) };
  const old = join(folder, 'old-0000.params');
  writeFileSync(old, writeParams(new Map(['arg:bn_gamma', 'arg:bn_beta', 'aux:bn_moving_mean', 'aux:bn_moving_var'].map((name) => [name, ones]))));
  const epsilon = (run: ResolvedRun): unknown => attributesOf(run.model!.symbol.node('bn')).eps;
  const asNow = await resolveRun({ ...base, weights: old });
  assert.is(epsilon(asNow), 1e-3);
  assert.match(asNow.model!.warnings.join(), /In 2015 .* eps 1e-10.*--batch-norm-defaults 2015/);
  const asThen = await resolveRun({ ...base, weights: old, batchNormDefaults: '2015' });
  assert.is(epsilon(asThen), 1e-10);
  assert.not.match(asThen.model!.warnings.join(), /2015/);
});

test('a run from the checkpoint of such a run begins with its trunk and a head of its own', async () => {
  const first = await train('first', { epochs: 1 });
  const checkpoint = join(first.directory, 'narrow-0001.params');
  const [initial, learnt] = ['narrow-0000.params', 'narrow-0001.params'].map((file) => params(first.directory, file));
  for (const [name, cut] of [['same', base.cut], ['other', 'ch_concat_3a_chconcat']] as const) {
    const second = await train(`second-${name}`, { weights: checkpoint, cut, epochs: 1 });
    const begun = params(second.directory, 'narrow-0000.params');
    assert.equal(begun.get('arg:conv_2_weight'), learnt.get('arg:conv_2_weight'));
    assert.not.equal(begun.get('arg:head_fc2_weight'), learnt.get('arg:head_fc2_weight'), name);
    assert.equal(begun.get('arg:head_fc2_weight'), initial.get('arg:head_fc2_weight'), 'of the same seed, as new as the first');
  }
});

test('to unfreeze from a parameter on is to unfreeze from its layer on', async () => {
  const { options, model } = await resolveRun(base);
  const network = transferNetwork(model!, options, ['healthy', 'infected'], [40, 40, 3]);
  const later = (unfreeze: string) => stagesOf(network, { ...options, unfreeze }).unfreezings[0].symbol;
  const symbol = later('conv_3b_1x1_weight@2');
  assert.is(trainingAttributes(symbol, 'conv_3b_1x1_weight').frozen, false);
  assert.is(trainingAttributes(symbol, 'conv_3a_1x1_weight').frozen, true);
  assert.is(writeSymbol(symbol), writeSymbol(later('conv_3b_1x1@2')));
  assert.is(writeSymbol(later('bn_3b_1x1_moving_mean@2')), writeSymbol(symbol));
  throws(() => later('data@2'), OptionError, /unfreeze "data@2": "data" is an input of the network: expected a layer/);
  throws(() => later('softmax_label@2'), OptionError, /"softmax_label" is an input/);
});

test('what does not go together is refused', async () => {
  await rejects(() => resolveRun({ weights, model: 'inception-bn' }), OptionError, /model does not go with weights/);
  await rejects(() => resolveRun({ cut: 'fc1' }), OptionError, /cut is of a network that begins from weights: it needs weights/);
  await rejects(() => resolveRun({ weights, freeze: 'none', unfreeze: 'all@2' }), OptionError,
    /unfreeze all@2 does not go with freeze none: nothing is frozen/);
  await rejects(() => resolveRun({ weights, layerDecay: 0.7 }), OptionError, /layerDecay 0\.7 changes nothing where all of the trunk is frozen/);
  await rejects(() => resolveRun({ weights, batchNorm: 'batch' }), OptionError, /batchNorm batch changes nothing where all of the trunk is frozen/);
  await rejects(() => resolveRun({ weights: join(folder, 'none-0001.params') }), DataError, /no such file/);
  await rejects(() => resolveRun({ ...base, sha256: '0'.repeat(64) }), DataError, /SHA-256 is [0-9a-f]{64}, expected 0{64}/);
  const { options, model } = await resolveRun(base);
  const build = (more: RunOptions): unknown => stagesOf(transferNetwork(model!, { ...options, ...more }, ['a', 'b'], [40, 40, 3]), { ...options, ...more });
  throws(() => build({ cut: 'ch_concat_3b_chcnocat' }), OptionError, /no layer "ch_concat_3b_chcnocat" to cut at; did you mean "ch_concat_3b_chconcat"/);
  throws(() => build({ head: '8,relu,3' }), OptionError, /head 8,relu,3: ends in 3, where there are 2 classes \(a, b\)/);
  throws(() => transferNetwork(model!, { ...options, cut: 'ch_concat_4e_chconcat' }, ['a', 'b'], [4, 4, 3]),
    OptionError, /^size 4: images of this size do not fit the network: layer "/);
  throws(() => build({ freeze: 'conv_9' }), OptionError, /no layer "conv_9"/);
  throws(() => build({ freeze: 'conv_9*' }), OptionError, /no layer begins with "conv_9"/);
  throws(() => build({ unfreeze: 'conv_9@2' }), OptionError, /no layer "conv_9"/);
  const short = new Map([...model!.parameters.arguments].filter(([name]) => name !== 'conv_2_weight'));
  throws(() => transferNetwork({ symbol: model!.symbol, parameters: { ...model!.parameters, arguments: short } }, options, ['a', 'b'], [40, 40, 3]),
    FormatError, /1 parameters of the network are not there: conv_2_weight/);
  await rejects(() => train('wide', { unfreeze: 'all@1' }), OptionError, /unfreeze "all@1": expected epochs from 2 on, ascending, got 1/);
  await rejects(() => train('wide', { unfreeze: 'ch_concat_3b_chconcat@3,all@3' }), OptionError, /"all@3": expected epochs from 4 on, ascending, got 3/);
  await rejects(() => train('wide', { unfreeze: 'all@9' }), OptionError, /unfreeze "all@9": epoch 9 never comes: epochs is 3/);
  assert.not.ok(existsSync(join(folder, 'wide')));
});

test('a typo in the layers or the head is refused before an image is prepared', async () => {
  const hooks = { onData: () => assert.unreachable('images are prepared') };
  const typos: [RunOptions, RegExp][] = [
    [{ cut: 'ch_concat_3b_chcnocat' }, /no layer "ch_concat_3b_chcnocat"/], [{ head: '8,relu,3' }, /ends in 3, where there are 2 classes/],
    [{ freeze: 'conv_9' }, /no layer "conv_9"/], [{ unfreeze: 'conv_9@2' }, /no layer "conv_9"/], [{ unfreeze: 'all@1' }, /epochs from 2 on/],
  ];
  // A seed that no other test has images of.
  for (const [more, message] of typos) await rejects(() => trainRun({ options: { ...base, seed: 77, ...more }, hooks }), OptionError, message);
  await rejects(() => checkRun({ options: { ...base, seed: 77, cut: 'conv_9' }, hooks }), OptionError, /no layer "conv_9"/);
});

test('weights of oblong images are trained on squares, and it is said', async () => {
  const oblong = withPreprocessing(symbol, { mean: [120, 110, 100], deviation: [50, 60, 70], size: [40, 60] });
  writeFileSync(join(folder, 'oblong-symbol.json'), writeSymbol(oblong));
  writeFileSync(join(folder, 'oblong-0000.params'), writeParams(joinCheckpoint(arraysToMXNet(values))));
  const { options, model } = await resolveRun({ ...base, weights: join(folder, 'oblong') });
  assert.is(options.size, 40);
  assert.match(model!.warnings.join('\n'), /oblong-0000\.params is of images of 40 x 60 pixels; here they are squares, of 40 unless size says otherwise/);
  assert.equal((await resolveRun(base)).model!.warnings, []);
});

test("a hash of the parameters alone is taken, and said to be that; what is recorded is the model's", async () => {
  const alone = createHash('sha256').update(readFileSync(weights)).digest('hex');
  const whole = createHash('sha256').update(readFileSync(weights)).update(readFileSync(`${prefix}-symbol.json`)).digest('hex');
  const { options, model } = await resolveRun({ ...base, sha256: alone });
  assert.is(options.sha256, whole);
  assert.match(model!.warnings.join('\n'), new RegExp(`sha256 is that of .*narrow-0003\\.params alone; with symbol and mean image it is ${whole}`));
  assert.not.match((await resolveRun({ ...base, sha256: whole })).model!.warnings.join('\n'), /alone/);
});

test('a run is called by the path of an address, not by what follows it', () => {
  assert.is(nameOf('https://example.org/a/m.safetensors?download=true#x'), 'm');
  assert.is(nameOf('https://example.org/v3/model.json?x=/y.json'), 'v3');
  assert.is(nameOf('folder/net-0039.params'), 'net');
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
