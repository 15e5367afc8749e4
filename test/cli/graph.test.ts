/** `fovea graph`: files, shapes, sums, and what is said of a bad model. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/cli/program.ts';
import { writeLayersModel, writeSafetensorsModel, writeSymbol } from '../../src/formats/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { float32Array } from '../../src/nn/host-array.ts';
import { arraysToMXNet, batchNorm, chain, fullyConnected, initialize, internals, softmaxOutput, variable } from '../../src/nn/index.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-graph-'));

async function graph(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  const code = await runProgram(['graph', ...args], { terminal, signal: new AbortController().signal });
  assert.not.match(err, /\n\s+at /, 'no stack trace');
  return { code, out, err };
}

test('a network of the zoo, as DOT, SVG, PNG, and a line a layer', async () => {
  const base = join(folder, 'small');
  const { code, out, err } = await graph('inception-bn-small', '--out', base, '--png');
  assert.is(code, 0, err);
  assert.match(out, /^inception-bn-small, data \[3, 28, 28\]/);
  assert.match(out, /conv_in3a_1x1 +Convolution +1 x 32 x 28 x 28 +3,104 +2,408,448/);
  // The counts of the literature: 1,652,826 parameters, 204.2 million multiply-adds.
  assert.match(out, /total +\d+ layers +1,652,826 +204,2\d\d,\d\d\d/);
  assert.match(readFileSync(`${base}.dot`, 'utf8'), /^digraph "inception-bn-small"/);
  assert.ok(readFileSync(`${base}.svg`, 'utf8').includes('96×28×28'));
  assert.equal([...readFileSync(`${base}.png`).subarray(1, 4)], [...Buffer.from('PNG')]);
});

test('a symbol file of one\'s own, whatever its input is called', async () => {
  const file = join(folder, 'mlp-symbol.json');
  writeFileSync(file, writeSymbol(chain('pixels', fullyConnected({ name: 'fc1', numHidden: 8 }), softmaxOutput({ name: 'softmax' }))));
  const { code, out, err } = await graph(file, '--shape', '784', '--out', join(folder, 'mlp'));
  assert.is(code, 0, err);
  assert.match(out, /^mlp, pixels \[784\]/);
  assert.match(out, /fc1 +FullyConnected +1 x 8 +6,280 +6,272/);
});

/** Keras' LeNet-like network for grey images of 28 x 28, as TensorFlow.js stores it. */
function writeKeras(path: string, input: readonly (number | null)[]): string {
  const layers = [
    { class_name: 'InputLayer', config: { name: 'input_1', batch_input_shape: input } },
    { class_name: 'Conv2D', config: { name: 'conv', filters: 4, kernel_size: [3, 3], strides: [2, 2], padding: 'same', activation: 'relu' } },
    { class_name: 'Flatten', config: { name: 'flatten' } },
    { class_name: 'Dense', config: { name: 'fc', units: 5 } },
  ];
  const shapes = { 'conv/kernel': [3, 3, 1, 4], 'conv/bias': [4], 'fc/kernel': [14 * 14 * 4, 5], 'fc/bias': [5] };
  const weights = new Map(Object.entries(shapes).map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return [name, { array: float32Array(data, shape), dtype: 'float32' }] as const;
  }));
  const { json, shards } = writeLayersModel({ topology: { model_config: { class_name: 'Sequential', config: { layers } } }, weights });
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'model.json'), json);
  for (const [name, bytes] of shards) writeFileSync(join(path, name), bytes);
  return join(path, 'model.json');
}

test('a model is drawn at the shape that it states', async () => {
  const file = writeKeras(join(folder, 'keras'), [null, 28, 28, 1]);
  const { code, out, err } = await graph(file, '--out', join(folder, 'lenet'));
  assert.is(code, 0, err);
  assert.match(out, /^model, data \[1, 28, 28\]/);
  assert.match(out, /total +\d+ layers +3,965 +/);
});

test('a model whose parameters say that it was made for another shape is not drawn', async () => {
  const network = inceptionBNSmall({ classes: 3, width: 0.25 });
  const flat = softmaxOutput(fullyConnected(internals(network).in3a_chconcat_output, { numHidden: 3, name: 'fc' }), { name: 'softmax' });
  const values = arraysToMXNet(initialize(flat, { data: [1, 3, 28, 28] }, { seed: 1 }));
  const file = join(folder, 'flat.safetensors');
  writeFileSync(file, writeSafetensorsModel(flat, values));
  const unknown = await graph(file, '--out', join(folder, 'flat'));
  assert.is(unknown.code, 2);
  assert.match(unknown.err, /flat\.safetensors: "fc_weight" has \[3, \d+\]; with data of \[3, 224, 224\] it would have \[3, \d+\]: --shape says/);
  assert.not.ok(existsSync(join(folder, 'flat.dot')));
  const grey = await graph(file, '--shape', '1,28,28', '--out', join(folder, 'flat'));
  assert.match(grey.err, /"conv_1_weight" has \[\d+, 3, 3, 3\]; with data of \[1, 28, 28\]/);
  const right = await graph(file, '--shape', '3,28,28', '--out', join(folder, 'flat'));
  assert.is(right.code, 0, right.err);
});

test('what was assumed of a file is said', async () => {
  const net = batchNorm(variable('data'), { name: 'bn' });
  const text = writeSymbol(net);
  const old = JSON.parse(text) as { nodes: { op: string; attrs?: unknown }[]; attrs?: unknown };
  delete old.attrs; // the version
  for (const node of old.nodes) if (node.op === 'BatchNorm') node.attrs = {};
  const file = join(folder, 'old-symbol.json');
  writeFileSync(file, JSON.stringify(old));
  const { code, err } = await graph(file, '--shape', '4,8,8', '--out', join(folder, 'old'));
  assert.is(code, 0, err);
  assert.match(err, /^warning: .*old-symbol\.json: 1 batch norm \("bn"\) of a file of before MXNet 0\.9/);
});

test('a symbol file by another name than -symbol.json', async () => {
  const file = join(folder, 'other.json');
  writeFileSync(file, writeSymbol(chain('data', fullyConnected({ name: 'fc1', numHidden: 8 }), softmaxOutput({ name: 'softmax' }))));
  const { code, out, err } = await graph(file, '--shape', '784', '--out', join(folder, 'other'));
  assert.is(code, 0, err);
  assert.match(out, /^other, data \[784\]/);
});

test('files that are there are replaced by --force alone', async () => {
  const base = join(folder, 'kept');
  writeFileSync(`${base}.svg`, 'mine');
  const refused = await graph('inception-bn-small', '--out', base);
  assert.is(refused.code, 2);
  assert.match(refused.err, /kept\.svg is there already: --force replaces it/);
  assert.is(readFileSync(`${base}.svg`, 'utf8'), 'mine');
  assert.not.ok(existsSync(`${base}.dot`));
  assert.is((await graph('inception-bn-small', '--out', base, '--force')).code, 0);
  assert.match(readFileSync(`${base}.svg`, 'utf8'), /^<svg|^<\?xml/);
});

test('what cannot be drawn is one line', async () => {
  const nowhere = await graph(join(folder, 'nothing-symbol.json'));
  assert.is(nowhere.code, 1);
  assert.match(nowhere.err, /nothing-symbol\.json: no such file/);
  const shape = await graph('inception-bn', '--shape', '3,x', '--out', join(folder, 'bad'));
  assert.is(shape.code, 2);
  assert.match(shape.err, /--shape: expected lengths of axes.*got "3,x"/);
  const small = await graph('inception-bn', '--shape', '3,5,5', '--out', join(folder, 'bad'));
  assert.is(small.code, 2);
  assert.match(small.err, /^error: --shape 3,5,5: layer "\w+" \(\w+\)/);
  assert.match((await graph('inception-bn', '--out', join(folder, 'no', 'where'))).err, /no such folder/);
  assert.not.ok(existsSync(join(folder, 'bad.dot')));
});

const real = shared('formats', 'mxnet', 'Inception_BN-symbol.json');
const title = 'the Inception-BN of 2015';
if (real === undefined) skip(title, 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
else {
  test(title, async () => {
    const base = join(folder, 'real');
    const { code, out, err } = await graph(real, '--out', base);
    assert.is(code, 0, err);
    assert.match(out, /total +233 layers +11,295,240 +1,987,204,096/);
    const svg = readFileSync(`${base}.svg`, 'utf8');
    assert.is([...svg.matchAll(/class="node"/g)].length, 234, 'each layer and the image');
    assert.ok(svg.includes('1024×7×7') && svg.includes('ch_concat_5b_chconcat'));
  });
}

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
