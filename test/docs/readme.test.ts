// time limit: 240 s
/** What README.md shows is run as it stands there: its examples of TypeScript, and its commands that begin from weights. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/cli/program.ts';
import { checkpointFiles, loadModel, withPreprocessing, writeLayersModel } from '../../src/formats/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { arraysToMXNet, float32Array, initialize } from '../../src/nn/index.ts';
import type { HostArray } from '../../src/nn/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'fovea-readme-'));
process.env.FOVEA_CACHE = join(folder, 'cache');

/** The package's parts as they lie in the sources. */
function source(specifier: string): string {
  const part = specifier.split('/')[1];
  return pathToFileURL(join(root, 'src', part ?? '', 'index.ts')).href;
}

/** The first example of TypeScript under a heading. */
function exampleOf(heading: string): string {
  const code = new RegExp(`## ${heading}[\\s\\S]*?\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  if (code === undefined) throw new Error(`README.md has no example under "${heading}"`);
  return code;
}

/** What an example prints, run in a folder. @param more code after it */
function run(code: string, cwd: string, more = ''): string {
  // Beside the sources, where its imports' own packages are found.
  mkdirSync(join(root, '.cache'), { recursive: true });
  const place = mkdtempSync(join(root, '.cache', 'readme-'));
  try {
    const file = join(place, 'example.mts');
    writeFileSync(file, code.replace(/from '(fovea[^']*)'/g, (_, specifier: string) => `from '${source(specifier)}'`) + more);
    const tsx = import.meta.resolve('tsx');
    return execFileSync(process.execPath, ['--import', tsx, file], { cwd, encoding: 'utf8', timeout: 150_000 });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

test('the library example trains', () => {
  const code = exampleOf('As a library');
  assert.ok(code.trim().split('\n').length <= 36, 'the example is to stay at some thirty lines');
  const output = run(code, folder);
  const losses = [...output.matchAll(/step (\d+): loss ([\d.]+)/g)].map((m) => Number(m[2]));
  assert.is(losses.length, 4, output);
  assert.ok(losses[3] < losses[0] && losses[3] < 0.1, `losses ${losses}`);
});

/** A layers model with the names of Keras' Inception v3 and its size, but a convolution for each block. */
function writeKerasModel(path: string): void {
  const layers: object[] = [{ class_name: 'InputLayer', config: { name: 'input_1', batch_input_shape: [null, 299, 299, 3] } }];
  const weights = new Map<string, { array: HostArray; dtype: string }>();
  const add = (name: string, shape: number[]): void => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((i * 7) % 11 - 5) / 10);
    weights.set(name, { array: float32Array(data, shape), dtype: 'float32' });
  };
  for (let i = 0; i <= 10; i++) {
    const name = `mixed${i}`;
    layers.push({
      class_name: 'Conv2D',
      config: { name, filters: 4, kernel_size: [1, 1], strides: i < 5 ? [2, 2] : [1, 1], padding: 'valid', activation: 'relu' },
    });
    add(`${name}/kernel`, [1, 1, i === 0 ? 3 : 4, 4]);
    add(`${name}/bias`, [4]);
  }
  layers.push({ class_name: 'GlobalAveragePooling2D', config: { name: 'avg_pool' } });
  layers.push({ class_name: 'Dense', config: { name: 'predictions', units: 5 } });
  add('predictions/kernel', [4, 5]);
  add('predictions/bias', [5]);
  const { json, shards } = writeLayersModel({ topology: { model_config: { class_name: 'Sequential', config: { layers } } }, weights });
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'model.json'), json);
  for (const [name, bytes] of shards) writeFileSync(join(path, name), bytes);
}

test('the example of pretrained models loads a file, cuts it and exports it', async () => {
  writeKerasModel(join(folder, 'weights/inception-v3'));
  const more = `
console.log(JSON.stringify({
  sha256, outputs: trunk.listOutputs(), onnx: onnx.length, file: file.length, mean: preprocessing?.mean, warnings: warnings.length,
}));`;
  const said = JSON.parse(run(exampleOf('Pretrained models'), folder, more)) as Record<string, unknown>;
  assert.match(said.sha256 as string, /^[0-9a-f]{64}$/);
  assert.equal(said.outputs, ['mixed5_output']);
  assert.equal(said.mean, [127.5, 127.5, 127.5]);
  assert.is(said.warnings, 1, 'that the preprocessing is assumed');
  assert.ok((said.onnx as number) > 1000);
  assert.ok((said.file as number) > 1000);
});

test('its command that trains from weights does', async () => {
  const commands = /```sh\n([\s\S]*?)```/g;
  const lines = [...readme.matchAll(commands)].flatMap(([, block]) => block.split('\n')).filter((line) => /train .*--weights/.test(line));
  assert.is(lines.length, 1, lines.join('\n'));
  const [program, ...words] = lines[0].replace(/ +#.*/, '').split(' ').slice(1);
  assert.equal([program, words[0]], ['fovea', 'train']);
  // The file of the article by its name and its layers, narrow and untrained; a folder of photographs for each class.
  const size = 40;
  const preprocessing = { mean: [124, 117, 104], deviation: [1, 1, 1], size: [size, size] as const };
  const symbol = withPreprocessing(inceptionBN({ classes: 1000, width: 0.25 }), preprocessing);
  const parameters = arraysToMXNet(initialize(symbol, { data: [1, 3, size, size] }, { seed: 2 }));
  const files = checkpointFiles(symbol, parameters, { prefix: 'Inception_BN', epoch: 39 });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  for (const [c, name] of ['healthy', 'infected'].entries()) {
    mkdirSync(join(folder, 'photographs', name), { recursive: true });
    for (let i = 0; i < 12; i++) {
      const background = { r: 80 + 60 * c + i, g: 60 + i, b: 30 };
      await sharp({ create: { width: 48, height: 48, channels: 3, background } }).png().toFile(join(folder, 'photographs', name, `${i}.png`));
    }
  }
  let [out, err] = ['', ''];
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  const quick = ['--epochs', '2', '--batch', '4', '--device', 'cpu', '--threads', '2', '--lr', '0.001', '--out', 'run'];
  const before = process.cwd();
  process.chdir(folder);
  try {
    assert.is(await runProgram([...words, ...quick], { terminal, signal: new AbortController().signal }), 0, err);
  } finally {
    process.chdir(before);
  }
  assert.match(out, /^epoch 2\/2 \| train loss/m);
  const { symbol: trained } = await loadModel(join(folder, 'run', 'Inception_BN'));
  const { outputs } = trained.inferShape({ data: [1, 3, size, size] });
  assert.equal([...outputs.values()], [[1, 2]]);
  const head = trained.listArguments().filter((name) => name.startsWith('head_'));
  assert.equal(head, ['head_fc1_weight', 'head_fc1_bias', 'head_fc2_weight', 'head_fc2_bias']);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
