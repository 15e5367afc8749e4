/** One door for every format: what a path stands for, what travels with a model, what is refused and how. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, FormatError, OptionError } from '../../src/errors.ts';
import { checkpointFiles } from '../../src/formats/mxnet-checkpoint.ts';
import { loadModel } from '../../src/formats/load-model.ts';
import type { LoadedModel } from '../../src/formats/load-model.ts';
import type { ModelFiles } from '../../src/formats/model-files.ts';
import type { Checkpoint } from '../../src/formats/mxnet-params.ts';
import { writeParams } from '../../src/formats/mxnet-params.ts';
import type { Preprocessing } from '../../src/formats/preprocessing.ts';
import { lessMeanColour, toMinusOneToOne, withPreprocessing } from '../../src/formats/preprocessing.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { writeSafetensorsModel } from '../../src/formats/safetensors-model.ts';
import { inceptionBNSmall, inceptionV3 } from '../../src/models/index.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { arraysToMXNet, fullyConnected, initialize, internals, sameNetwork, variable } from '../../src/nn/index.ts';
import { rejects, throws } from '../support/errors.ts';
import { paramsFile } from '../support/mxnet.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

/** Files in memory, as a browser may have them. */
function inMemory(given: Iterable<readonly [string, Uint8Array]>, folder = ''): ModelFiles {
  const files = new Map([...given].map(([name, bytes]) => [folder + name, bytes]));
  return {
    async read(path) {
      const bytes = files.get(path);
      if (bytes === undefined) throw new DataError(`${path}: no such file`);
      return bytes;
    },
    list: async (path) => [...files.keys()].filter((name) => name.startsWith(path)).map((name) => name.slice(path.length)),
  };
}

const network = inceptionBNSmall({ classes: 3, width: 0.25 });
const parameters = arraysToMXNet(initialize(network, { data: [1, 3, 28, 28] }, { seed: 4 }));
const meanImage: HostArray = { shape: [3, 2, 2], dtype: 'float32', data: Float32Array.from({ length: 12 }, (_, i) => 100 + i / 8) };

function same(got: Checkpoint, want: Checkpoint): void {
  for (const kind of ['arguments', 'auxiliary'] as const) {
    assert.equal(new Set(got[kind].keys()), new Set(want[kind].keys()));
    for (const [name, array] of want[kind]) {
      const other = got[kind].get(name)!;
      assert.equal([...other.shape], [...array.shape], name);
      assert.ok(Buffer.from(other.data.buffer).equals(Buffer.from(array.data.buffer)), name);
    }
  }
}

test('an MXNet checkpoint by its prefix, its symbol or its parameters; the last epoch, or the one asked for', async () => {
  const first = checkpointFiles(network, parameters, { prefix: 'net', epoch: 2 });
  const changed = { ...parameters, arguments: new Map([
    ...parameters.arguments, ['fc1_bias', { ...parameters.arguments.get('fc1_bias')!, data: Float32Array.of(1, 2, 3) }]]) };
  const last = checkpointFiles(network, changed as Checkpoint, { prefix: 'net', epoch: 12 });
  const files = inMemory([...first, ...last, ...checkpointFiles(network, parameters, { prefix: 'net-other', epoch: 99 })], 'folder/');
  for (const path of ['folder/net', 'folder/net-symbol.json', 'folder/net-0012.params']) {
    const got = await loadModel(path, { files });
    assert.ok(sameNetwork(got.symbol, network));
    same(got.parameters, changed as Checkpoint);
    assert.is(got.preprocessing, undefined);
    assert.equal(got.warnings, []);
  }
  same((await loadModel('folder/net-0002.params', { files })).parameters, parameters);
  same((await loadModel('folder/net', { files, epoch: 2 })).parameters, parameters);
  await rejects(() => loadModel('folder/net', { files, epoch: 3 }), DataError, /folder\/net-0003\.params: no such file/);
  await rejects(() => loadModel('folder/nest', { files }), DataError, /folder\/nest: no model.*nest-symbol\.json/);
});

test("a symbol of MXNet's that is called otherwise is known by its nodes", async () => {
  const stored = checkpointFiles(network, parameters, { prefix: 'net', epoch: 2 });
  const files = inMemory([...stored].map(([name, bytes]) => [name.replace('net-symbol', 'net'), bytes]));
  const got = await loadModel('net.json', { files });
  assert.ok(sameNetwork(got.symbol, network));
  same(got.parameters, parameters);
  const alone = inMemory([['net.json', stored.get('net-symbol.json')!], ['keras.json', new TextEncoder().encode('{"modelTopology": 3}')]]);
  await rejects(() => loadModel('net.json', { files: alone }), DataError, /net-%04d\.params: no such file; the symbol's parameters belong there/);
  await rejects(() => loadModel('keras.json', { files: alone }), FormatError, /keras\.json.*modelTopology/);
});

for (const name of ['save_000800', 'symbol_inception-bn-cpp', 'symbol_mlp-cpp']) {
  const file = shared('formats', 'mxnet', `${name}.json`);
  if (file === undefined) skip(`MXNet's ${name}.json`, 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
  else {
    test(`MXNet's ${name}.json is read as a symbol, whose parameters are missed`, () =>
      rejects(() => loadModel(file), DataError, new RegExp(`${name}-%04d\\.params: no such file`)));
  }
}

const [r, g, b] = toMinusOneToOne.mean;
const savers: readonly [string, (symbol: typeof network, preprocessing?: Preprocessing) => Promise<LoadedModel>][] = [
  ['an MXNet checkpoint', (symbol, preprocessing) =>
    loadModel('net', { files: inMemory(checkpointFiles(symbol, parameters, { prefix: 'net', epoch: 1, preprocessing })) })],
  ['a safetensors file', (symbol, preprocessing) =>
    loadModel('net.safetensors', { files: inMemory([['net.safetensors', writeSafetensorsModel(symbol, parameters, { preprocessing })]]) })],
];
for (const [title, through] of savers) {
  test(`${title} comes back bit for bit, and its preprocessing with it`, async () => {
    const bare = await through(network);
    assert.ok(sameNetwork(bare.symbol, network));
    same(bare.parameters, parameters);
    assert.is(bare.preprocessing, undefined);
    const scaled = await through(withPreprocessing(network, { ...toMinusOneToOne, size: [28, 30] }));
    assert.equal(scaled.preprocessing, { mean: [r, g, b], deviation: [127.5, 127.5, 127.5], size: [28, 30] });
    assert.equal((await through(withPreprocessing(network, lessMeanColour))).preprocessing, lessMeanColour);
    // What a model was loaded with is what is written, whatever its symbol says.
    for (const preprocessing of [lessMeanColour, { ...toMinusOneToOne, size: [28, 30] as const }, { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage }]) {
      const first = await through(network, preprocessing);
      assert.equal(first.preprocessing, preprocessing);
      assert.equal((await through(withPreprocessing(network, lessMeanColour), first.preprocessing)).preprocessing, preprocessing);
    }
    const nameless = fullyConnected(variable('pixels'), { numHidden: 2, name: 'fc' });
    await rejects(async () => through(nameless, lessMeanColour), OptionError, /preprocessing stands with the input data; the network has pixels/);
  });
}

test('preprocessing stays with a network that is cut and extended', async () => {
  const cut = internals(withPreprocessing(network, lessMeanColour)).global_pool_output;
  const extended = fullyConnected(cut, { numHidden: 2, name: 'fc_new' });
  const values = arraysToMXNet(initialize(extended, { data: [1, 3, 28, 28] }, { seed: 1, from: parameters }));
  const files = inMemory(checkpointFiles(extended, values, { prefix: 'new', epoch: 1 }));
  assert.equal((await loadModel('new', { files })).preprocessing, lessMeanColour);
});

test("a file of PyTorch's names has no words for preprocessing but what it is read with", async () => {
  const symbol = inceptionV3({ variant: 'torchvision', classes: 2 });
  const none: Checkpoint = { arguments: new Map([['fc1_weight', { shape: [2, 2048], dtype: 'float32', data: new Float32Array(4096) }]]), auxiliary: new Map() };
  throws(() => writeSafetensorsModel(symbol, none, { names: 'pytorch', preprocessing: lessMeanColour }), OptionError, /no words for preprocessing/);
  throws(() => writeSafetensorsModel(symbol, none, { names: 'pytorch', preprocessing: { ...toMinusOneToOne, size: [299, 299] } }), OptionError, /has no value/);
});

test('what is no mean image of colours is refused with file and array', async () => {
  const stored = checkpointFiles(network, parameters, { prefix: 'net', epoch: 1 });
  const small = { shape: [3, 2, 2], dtype: 'uint8' as const, data: new Uint8Array(12) };
  for (const image of [{ ...meanImage, shape: [12] }, { ...meanImage, shape: [1, 4, 3] }, small]) {
    const expected = String.raw`expected float32 \[3, height, width\], got ${image.dtype} \[${image.shape.join(', ')}\]`;
    const nd = writeParams(new Map([['mean_img', image]]));
    await rejects(() => loadModel('net', { files: inMemory([...stored, ['net-mean.nd', nd]]) }), FormatError,
      new RegExp(`^net-mean\\.nd: array "mean_img": ${expected}`));
    const { tensors, metadata } = readSafetensors(writeSafetensorsModel(network, parameters), { file: 'net' });
    const bytes = writeSafetensors(new Map([...tensors, ['mean_img', image]]), metadata);
    await rejects(() => loadModel('net.safetensors', { files: inMemory([['net.safetensors', bytes]]) }), FormatError,
      new RegExp(`^net\\.safetensors: tensor "mean_img": ${expected}`));
  }
});

test('the mean image beside a checkpoint is its own; another is named by an option', async () => {
  const stored = checkpointFiles(network, parameters, { prefix: 'net', epoch: 39 });
  const nd = writeParams(new Map([['mean_img', meanImage]]));
  const beside = await loadModel('net', { files: inMemory([...stored, ['mean_224.nd', nd]]) });
  assert.equal(beside.preprocessing?.meanImage, meanImage);
  assert.match(beside.warnings.join(), /mean_224\.nd, beside the checkpoint.*option meanImage/);
  const two = inMemory([...stored, ['mean_224.nd', nd], ['mean_299.nd', nd]]);
  assert.is((await loadModel('net', { files: two })).preprocessing, undefined);
  assert.equal((await loadModel('net', { files: two, meanImage: 'mean_299.nd' })).preprocessing?.meanImage, meanImage);
  const wrong = writeParams(new Map([['mean_img', { ...meanImage, shape: [12] }]]));
  await rejects(() => loadModel('net', { files: inMemory([...stored, ['mean.nd', wrong]]) }), FormatError, /^mean\.nd: array "mean_img": expected float32/);
});

test('formats that are not read are refused with the line that converts them', async () => {
  const files = inMemory([]);
  await rejects(() => loadModel('a/net.h5', { files }), FormatError, /a\/net\.h5: .*tensorflowjs_converter --input_format keras a\/net\.h5 a\/net$/);
  await rejects(() => loadModel('net.keras', { files }), FormatError, /--input_format keras_keras net\.keras net$/);
  for (const path of ['net.pth', 'net.pt'])
    await rejects(() => loadModel(path, { files }), FormatError, /python -c ".*torch\.load\('net\.pth?'.*'net\.safetensors'\)"$/);
  await rejects(() => loadModel("it's here.h5", { files }), FormatError, /keras 'it'\\''s here\.h5' 'it'\\''s here'$/);
});

test('safetensors of an unknown network, and metadata of another format, are refused', async () => {
  const own = writeSafetensorsModel(network, parameters);
  const other = new TextDecoder('latin1').decode(own).replace('fovea-model-1', 'fovea-model-9');
  const bytes = Uint8Array.from(other, (c) => c.charCodeAt(0));
  await rejects(() => loadModel('n.safetensors', { files: inMemory([['n.safetensors', bytes]]) }), FormatError,
    /format: expected "fovea-model-1", got "fovea-model-9"/);
});

const real = shared('formats', 'mxnet');
if (real === undefined) {
  skip('the Inception-BN of 2015 with its mean image', 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
} else {
  test('the Inception-BN of 2015 with its mean image', async () => {
    // Its parameters are not ours to keep: others of the same names stand in.
    const path = `${real}/Inception_BN`;
    await rejects(() => loadModel(path), DataError, /Inception_BN-%04d\.params: no such file/);
    const image = paramsFile(`${real}/mean_224.nd`).get('mean_img')!;
    assert.equal([...image.shape], [3, 224, 224]);
  });
}

test.run();
