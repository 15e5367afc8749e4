// time limit: 240 s
/** What a model wants done to images goes with it: through training, its checkpoints, a resume, prediction, and into a next run. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, OptionError } from '../../src/errors.ts';
import { device, tensor } from '../../src/index.ts';
import {
  checkpointFiles, lessMeanColour, loadModel, readParams, toMinusOneToOne, withPreprocessing, writeSafetensorsModel,
} from '../../src/formats/index.ts';
import type { Preprocessing } from '../../src/formats/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { arraysToMXNet, createVariables, initialize } from '../../src/nn/index.ts';
import { evaluateRun, predictRun, trainRun } from '../../src/train/index.ts';
import type { RunOptions } from '../../src/train/index.ts';
import { asFlag, parseOptions } from '../../src/train/run-options.ts';
import { resolveRun } from '../../src/train/transfer.ts';
import { rejects, throws } from '../support/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-preprocessing-'));
process.env.FOVEA_CACHE = join(folder, 'cache');
const cpu = await device('cpu', { threads: 2 });
const side = 40;

const network = inceptionBN({ classes: 7, width: 0.25 });
const values = initialize(network, { data: [1, 3, side, side] }, { seed: 4 });
for (const [name, { data: x }] of values.auxiliary) x.forEach((_, i) => (x[i] = (name.endsWith('var') ? 0.5 : 0) + (i % 5) / 20));
/** First weights for inputs of this size, for a network that was trained on such has them. */
function parametersFor(deviation: number): ReturnType<typeof arraysToMXNet> {
  const parameters = arraysToMXNet(values);
  const first = parameters.arguments.get('conv_1_weight')!;
  const scaled = { ...first, data: (first.data as Float32Array).map((w) => w * deviation / 512) };
  return { ...parameters, arguments: new Map([...parameters.arguments, ['conv_1_weight', scaled]]) };
}

const meanImage = {
  shape: [3, side, side], dtype: 'float32' as const,
  data: Float32Array.from({ length: 3 * side * side }, (_, i) => 20 * Math.floor(i / (side * side)) + 4 * (i % side) + 0.25),
};
const photograph = join(folder, 'photograph.png');
const pixels = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 2654435761) >>> 24);
await sharp(pixels, { raw: { width: side, height: side, channels: 3 } }).png().toFile(photograph);

/** Puts a model into files. Returns what `--weights` is given. */
type Writer = (path: string) => string;

function writeAll(files: ReadonlyMap<string, Uint8Array>, path: string): void {
  mkdirSync(path, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
}

/** Each in the files that it comes in. */
const models: readonly { readonly name: string; readonly preprocessing: Preprocessing; readonly freeze: string; readonly write: Writer }[] = [
  {
    name: 'a mean image', preprocessing: { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage }, freeze: 'trunk',
    write(path) {
      writeAll(checkpointFiles(network, parametersFor(1), { prefix: 'net', epoch: 3 }), path);
      // As MXNet's own archives name it.
      const preprocessing = { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage };
      writeFileSync(join(path, 'mean_40.nd'), checkpointFiles(network, parametersFor(1), { prefix: 'net', epoch: 3, preprocessing }).get('net-mean.nd')!);
      return join(path, 'net-0003.params');
    },
  },
  {
    name: 'a mean colour', preprocessing: lessMeanColour, freeze: 'none',
    write(path) {
      writeAll(checkpointFiles(withPreprocessing(network, lessMeanColour), parametersFor(1), { prefix: 'net', epoch: 3 }), path);
      return join(path, 'net');
    },
  },
  {
    name: '-1 to 1', preprocessing: toMinusOneToOne, freeze: 'conv_3a*',
    write(path) {
      mkdirSync(path, { recursive: true });
      const file = join(path, 'net.safetensors');
      writeFileSync(file, writeSafetensorsModel(withPreprocessing(network, toMinusOneToOne), parametersFor(127.5)));
      return file;
    },
  },
];

const options: RunOptions = {
  data: 'phantom', patients: 16, size: side, epochs: 2, batch: 4, device: 'cpu', threads: 2, seed: 5,
  cut: 'ch_concat_3b_chconcat', head: '2', augment: 'none', lr: 0.002, keep: 'all',
};

/** Probabilities by the network of some files, fed what the preprocessing makes of the photograph, number by number. */
async function expected(prefix: string, { mean, deviation, meanImage: image }: Preprocessing): Promise<number[]> {
  const { symbol, parameters: from } = await loadModel(prefix);
  const { all } = createVariables(symbol, initialize(symbol, { data: [1, 3, side, side] }, { seed: 0, from }));
  const x = Float32Array.from(pixels, (byte, i) => {
    const c = i % 3;
    const less = image ? (image.data as Float32Array)[c * side * side + Math.floor(i / 3)] : mean[c];
    return (byte - less) / deviation[c];
  });
  const output = symbol.apply(all, tensor(x, [1, side, side, 3], 'float32'));
  const probabilities = Array.from(await output.data());
  for (const variable of all.values()) variable.dispose();
  return probabilities;
}

for (const { name, preprocessing, freeze, write } of models) {
  test(`${name}: the same in training, after a resume, in prediction, in the checkpoint and in a run from it`, async () => {
    const place = join(folder, name.replaceAll(' ', '-'));
    const weights = write(join(place, 'weights'));
    const stop = new AbortController();
    const first = await trainRun({
      options: { ...options, freeze, weights }, out: join(place, 'run'), signal: stop.signal,
      hooks: { onBatch: ({ epoch, step }) => (epoch === 2 && step === 2 ? stop.abort() : undefined) },
    });
    assert.is(first.interrupted, true);
    const { directory } = await trainRun({ resume: first.directory });
    const whole = await trainRun({ options: { ...options, freeze, weights }, out: join(place, 'whole') });
    for (const file of ['net-0002.params', 'predictions.csv', 'net-symbol.json', ...(preprocessing.meanImage ? ['net-mean.nd'] : [])]) {
      assert.ok(readFileSync(join(directory, file)).equals(readFileSync(join(whole.directory, file))), file);
    }

    // Beside the checkpoint, as any reader of MXNet's files finds it.
    const prefix = join(directory, 'net-0002.params');
    const { preprocessing: kept } = await loadModel(prefix);
    assert.equal({ ...kept, mean: [...kept!.mean], deviation: [...kept!.deviation] }, { ...preprocessing, size: [side, side] });
    if (preprocessing.meanImage) {
      const image = readParams(readFileSync(join(directory, 'net-mean.nd')), { file: 'net-mean.nd' }).get('mean_img')!;
      assert.equal(image.shape, [3, side, side]);
      assert.equal(Array.from(image.data as Float32Array), Array.from(meanImage.data));
    }

    const { predictions: [{ probabilities }] } = await predictRun({ run: directory, paths: [photograph], epoch: 2, device: 'cpu', threads: 2 });
    const wanted = await expected(prefix, preprocessing);
    wanted.forEach((p, c) => assert.ok(Math.abs(probabilities![c] - p) < 1e-5, `class ${c}: ${probabilities![c]}, expected ${p}`));
    // The others' would have given another answer.
    for (const other of models.filter((one) => one.name !== name)) {
      const [p] = await expected(prefix, other.preprocessing);
      assert.ok(Math.abs(probabilities![0] - p) > 1e-4, `${other.name} gives ${p} too`);
    }

    const next = await trainRun({ options: { ...options, weights: prefix, epochs: 1, size: undefined }, out: join(place, 'next') });
    assert.equal(next.config.normalization, whole.config.normalization);
    assert.equal(next.config.imageShape, [side, side, 3]);
  });
}

test('a run that normalises otherwise says so, and not what its weights said', async () => {
  const weights = models[1].write(join(folder, 'otherwise', 'weights'));
  const one = { ...options, weights, epochs: 1 };
  const channel = await trainRun({ options: { ...one, normalize: 'channel' }, out: join(folder, 'otherwise', 'channel') });
  const { preprocessing } = await loadModel(join(channel.directory, 'net'));
  assert.equal([preprocessing!.mean, preprocessing!.deviation], [channel.config.normalization.mean, channel.config.normalization.deviation]);
  const local = await trainRun({ options: { ...one, normalize: 'local' }, out: join(folder, 'otherwise', 'local') });
  assert.is((await loadModel(join(local.directory, 'net'))).preprocessing, undefined);
});

test('a mean image of another size is refused, before an image is read', async () => {
  const weights = models[0].write(join(folder, 'size', 'weights'));
  await rejects(() => trainRun({ options: { ...options, size: 48, weights }, out: join(folder, 'size', 'run') }), OptionError,
    /the weights' mean image has 40 x 40 pixels: size 48 does not go with it/);
});

test('weights that do not say what they want are told so by options, which the run keeps', async () => {
  const path = join(folder, 'silent');
  writeAll(checkpointFiles(network, parametersFor(1), { prefix: 'net', epoch: 3 }), path);
  const image = join(folder, 'elsewhere.nd');
  const ofMean: Preprocessing = { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage };
  writeFileSync(image, checkpointFiles(network, parametersFor(1), { prefix: 'net', epoch: 3, preprocessing: ofMean }).get('net-mean.nd')!);
  const silent: RunOptions = {
    data: 'phantom', patients: 16, size: side, epochs: 2, batch: 4, device: 'cpu', threads: 2, seed: 5, weights: join(path, 'net'),
    cut: 'ch_concat_3b_chconcat', head: '2', lr: 0.001,
  };
  await rejects(() => trainRun({ options: silent }), OptionError, /do not say what they want.*preprocess, meanImage, or normalize channel/);
  const cases: [RunOptions, Preprocessing][] = [
    [{ preprocess: '123.68,116.779,103.939' }, lessMeanColour], [{ preprocess: 'minus1to1' }, toMinusOneToOne],
    [{ preprocess: '123.675,116.28,103.53/58.395,57.12,57.375' }, { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] }],
  ];
  for (const [more, { mean, deviation }] of cases) {
    const { options, model } = await resolveRun({ ...silent, ...more });
    assert.equal(model!.normalization, { mean, deviation, window: 0 });
    assert.is(options.preprocess, more.preprocess);
  }
  for (const [k, more] of [{ preprocess: '123.68,116.779,103.939/2,2,2' }, { meanImage: image }].entries()) {
    const stop = new AbortController();
    const { directory, config } = await trainRun({
      options: { ...silent, ...more }, out: join(folder, 'told', String(k)), signal: stop.signal, hooks: { onEpoch: () => stop.abort() },
    });
    assert.equal(config.normalization, more.meanImage === undefined
      ? { mean: lessMeanColour.mean, deviation: [2, 2, 2], window: 0 } : { mean: [0, 0, 0], deviation: [1, 1, 1], window: 0, image: 'net-mean.nd' });
    assert.is(config.options.preprocess ?? config.options.meanImage, Object.values(more)[0]);
    // Weights and mean image are not needed to go on, to judge or to predict.
    const away = `${image}.away`;
    renameSync(image, away);
    const whole = await trainRun({ resume: directory });
    assert.equal(whole.config.normalization, config.normalization);
    const judged = await evaluateRun({ run: directory });
    assert.equal(judged.metrics.auc.value, whole.parts.test!.metrics.auc.value);
    assert.is((await predictRun({ run: directory, paths: [photograph] })).unreadable, 0);
    renameSync(away, image);
  }
});

test('nonsense of preprocessing is refused, and warnings write the options as the command line does', async () => {
  const weights = join(folder, 'silent', 'net');
  for (const text of ['', 'minus1', '1,2', '1,2,3,4', '1,2,x', '1,2,3/0,1,1', '1,2,3/4', '1,2,3/4,5,6/7', '1,,3'])
    throws(() => parseOptions({ weights, preprocess: text }, asFlag), OptionError, /^--preprocess: expected/);
  const refused = (given: RunOptions, message: RegExp): Promise<void> => rejects(() => resolveRun(given, asFlag), OptionError, message);
  await refused({ preprocess: 'minus1to1' }, /--preprocess is of a network that begins from weights/);
  await refused({ weights, preprocess: 'minus1to1', meanImage: 'x.nd' }, /either --preprocess or --mean-image/);
  await refused({ weights, meanImage: 'x.nd', normalize: 'local' }, /--mean-image is of what the weights want.*--normalize local/);
  await rejects(() => resolveRun({ weights, meanImage: join(folder, 'none.nd') }), DataError, /none\.nd: no such file/);
  const path = models[0].write(join(folder, 'warned'));
  const { model } = await resolveRun({ weights: path }, asFlag);
  assert.match(model!.warnings.join(), /taken for its mean image; --mean-image names another/);
  const told = await resolveRun({ weights: path, preprocess: 'minus1to1' }, asFlag);
  assert.equal(told.model!.warnings, []);
  assert.is(told.model!.normalization!.image, undefined);
});

test.after(() => {
  cpu.dispose();
  rmSync(folder, { recursive: true, force: true });
});
test.run();
