/** Every file of the given fixtures has a test that reads it: none lies there unseen. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

/** Files, the tests (or what they share) that read them, and the words by which these name them. */
const readers: readonly (readonly [files: RegExp, reader: string, words: readonly string[]])[] = [
  [/^mxnet\/ops\/index\.json$/, 'support/op-fixtures.ts', ['index.json']],
  [/^mxnet\/ops\/[^/]+\/(in|out)\.params$/, 'support/op-fixtures.ts', ['/in.params', '/out.params']],
  [/^mxnet\/ops\/[^/]+\/symbol\.json$/, 'support/op-fixtures.ts', ['/symbol.json']],
  [/^mxnet\/ops\/[^/]+\/symbol\.json$/, 'formats/mxnet-symbol.test.ts', ['/symbol.json']],
  [/^mxnet\/nets\/inception-bn-2016-(forward|step|symbol)\.json$/, 'nn/mxnet-nets.test.ts',
    ['inception-bn-2016-forward.json', 'inception-bn-2016-step.json', 'inception-bn-2016-symbol.json']],
  [/^mxnet\/nets\/inception-bn-2015-forward\.json$/, 'nn/mxnet-nets.test.ts', ['inception-bn-2015-forward.json']],
  [/^mxnet\/nets\/(save_000800|symbol_(lenet|resnet|googlenet|inception-v3)-cpp)-forward\.json$/, 'nn/mxnet-nets.test.ts',
    ['save_000800', 'symbol_lenet-cpp', 'symbol_resnet-cpp', 'symbol_googlenet-cpp', 'symbol_inception-v3-cpp']],
  [/^mxnet\/train\/(symbol\.json|(start|batches)\.params)$/, 'optim/mxnet-training.test.ts', ['/symbol.json', '/start.params', '/batches.params']],
  [/^mxnet\/train\/(sgd(_momentum_wd|_clip|_schedule)?|adam(_wd)?)\.params$/, 'optim/mxnet-training.test.ts',
    ["'sgd', 'sgd_momentum_wd', 'sgd_clip', 'sgd_schedule', 'adam', 'adam_wd'"]],
  [/^mxnet\/train\/report\.json$/, 'optim/mxnet-training.test.ts', ['/report.json']],
  [/^mxnet\/train\/report\.json$/, 'optim/schedules.test.ts', ['report.json']],
  [/^mxnet\/files\/(v[0-3]|dtypes|special|sparse)\.params$/, 'formats/mxnet-params.test.ts',
    ['v0.params', 'v1.params', 'v2.params', 'v3.params', 'dtypes.params', 'special.params', 'sparse.params']],
  [/^mxnet\/files\/(nameless\.nd|values\.json)$/, 'formats/mxnet-params.test.ts', ['nameless.nd', 'values.json']],
  [/^mxnet\/rec\/(plain|resized|png|pass|multi)\.(rec|idx|lst)$/, 'formats/recordio.test.ts', ["'plain', 'resized', 'png', 'pass', 'multi'"]],
  [/^mxnet\/rec\/split\.(rec|idx|json)$/, 'formats/recordio.test.ts', ['split.rec', "'split'", 'split.json']],
  [/^mxnet\/rec\/(resized|png|pass)-pixels\.params$/, 'data/records.test.ts', ["'resized', 'png', 'pass'", '-pixels.params']],
  [/^mxnet\/rec\/images\/[ab]\/\d+\.(jpg|png)$/, 'data/records.test.ts', ["'images'"]],
  [/^torch\/(torchvision|timm)-inception_v3\.json$/, 'formats/torch-inception.test.ts', ['torchvision-inception_v3', 'timm-inception_v3']],
  [/^torch\/kinds\.(safetensors|json)$/, 'formats/safetensors.test.ts', ['kinds.safetensors', 'kinds.json']],
];
/** What says how they were made. */
const about = /^(mxnet|torch)\/(SOURCE\.md|make\.py)$/;

const folder = shared('fixtures');
const titles = ['every file of the fixtures is read by a test', 'every reader names what it reads'];
const tests = fileURLToPath(new URL('..', import.meta.url));

if (folder === undefined) skip(titles[0], noFixtures('mxnet', 'ops'));
else {
  test(titles[0], () => {
    const files = readdirSync(folder, { encoding: 'utf8', recursive: true }).filter((file) => statSync(join(folder, file)).isFile())
      .map((file) => file.replaceAll('\\', '/'));
    assert.ok(files.length > 0);
    const unseen = files.filter((file) => !about.test(file) && !readers.some(([pattern]) => pattern.test(file)));
    assert.equal(unseen, []);
  });
}

test(titles[1], () => {
  for (const [, reader, words] of readers) {
    const text = readFileSync(join(tests, reader), 'utf8');
    assert.equal(words.filter((word) => !text.includes(word)), [], reader);
  }
});

test.run();
