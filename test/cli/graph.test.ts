/** `fovea graph`: files, shapes, sums, and what is said of a bad model. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/cli/program.ts';
import { writeSymbol } from '../../src/formats/index.ts';
import { chain, fullyConnected, softmaxOutput } from '../../src/nn/index.ts';
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
  assert.match((await graph('inception-bn', '--shape', '3,5,5', '--out', join(folder, 'bad'))).err, /layer "\w+" \(\w+\)/);
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
