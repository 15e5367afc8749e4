import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/cli/program.ts';
import { phantomCohort, renderPhantom } from '../../src/data/phantom/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-im2rec-'));
process.env.FOVEA_CACHE = join(folder, 'cache');
test.after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

async function fovea(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  const code = await runProgram(args, { terminal, signal: new AbortController().signal });
  return { code, out, err };
}

async function refused(code: number, args: string[], pattern: RegExp): Promise<void> {
  const result = await fovea(...args);
  assert.is(result.code, code, `${args.join(' ')}: ${result.out}${result.err}`);
  assert.match(result.err, pattern);
  assert.not.match(result.err, /\n\s+at /, 'no stack trace');
}

test('help has an example', async () => {
  const { code, out } = await fovea('im2rec', '--help');
  assert.is(code, 0);
  assert.match(out, /Examples:\n {2}\$ fovea im2rec/);
});

test('photographs are listed, packed, trained on, judged and predicted', async () => {
  for (const eye of phantomCohort({ patients: 24, seed: 1 })) {
    const { pixels } = renderPhantom(eye.spec, { size: 48 });
    const name = join(at('photos'), eye.label === 1 ? 'infected' : 'healthy', `${eye.id}.png`);
    mkdirSync(join(name, '..'), { recursive: true });
    writeFileSync(name, await sharp(pixels, { raw: { width: 48, height: 48, channels: 3 } }).png().toBuffer());
  }
  writeFileSync(at('photos/healthy/broken.png'), 'no image');
  const listed = await fovea('im2rec', '--list', '--recursive', '--train-ratio', '0.8', at('eyes'), at('photos'));
  assert.is(listed.code, 0, listed.err);
  assert.is(listed.out, `healthy 0\ninfected 1\n${at('eyes_val.lst')}: 10 images\n${at('eyes_train.lst')}: 39 images\n`);
  const packed = await fovea('im2rec', '--resize', '40', '--encoding', '.png', '--num-thread', '2', at('eyes'), at('photos'));
  assert.is(packed.code, 0, packed.err);
  assert.match(packed.err, /1 image left out: healthy\/broken\.png \(neither JPEG nor PNG by its first bytes\)/);
  const counts = [...packed.out.matchAll(/_(\w+)\.rec: (\d+) records/g)].map(([, part, n]) => [part, Number(n)]);
  assert.is(counts.reduce((sum, [, n]) => sum + Number(n), 0), 48);
  assert.equal(counts.map(([part]) => part), ['train', 'val']);

  const small = ['--size', '32', '--model', 'inception-bn-small', '--width', '0.25', '--batch', '8', '--device', 'cpu', '--threads', '1'];
  const dry = await fovea('train', '--dry-run', '--data', at('eyes_train.rec'), ...small);
  assert.is(dry.code, 0, dry.err);
  assert.match(dry.out, /train +\d+ images of \d+ patients: \d+ healthy, \d+ infected/);
  const trained = await fovea('train', '--data', at('eyes_train.rec'), '--epochs', '1', ...small, '--out', at('run'));
  assert.is(trained.code, 0, trained.err);
  assert.match(trained.err, /warning: .*eyes_train\.rec: no patient column/);
  const judged = await fovea('evaluate', at('run'), '--data', at('eyes_val.rec'), '--device', 'cpu', '--threads', '1', '--out', at('judged.csv'));
  assert.is(judged.code, 0, judged.err);
  assert.match(readFileSync(at('judged.csv'), 'utf8'), /eyes_val\.rec\/\d+/);
  const said = await fovea('predict', at('run'), at('eyes_val.rec'), '--device', 'cpu', '--threads', '1');
  assert.is(said.code, 0, said.err);
  const rows = (out: string): string[] => out.match(/\.rec\/\d+,ok,(healthy|infected),[\d.]+/g) ?? [];
  assert.is(rows(said.out).length, Number(counts[1][1]));
  // Without an index records go by the ids that they bear, and what is lost is told.
  const offset = Number(readFileSync(at('eyes_val.idx'), 'utf8').split('\n')[3].split('\t')[1]);
  writeFileSync(at('bare.rec'), readFileSync(at('eyes_val.rec')).fill(0, offset, offset + 4));
  const bare = await fovea('predict', at('run'), at('bare.rec'), '--device', 'cpu', '--threads', '1');
  assert.is(bare.code, 0, bare.err);
  assert.equal(rows(bare.out), rows(said.out).filter((_, i) => i !== 3));
  assert.match(bare.out, new RegExp(`bare\\.rec, byte ${offset}"?,"?unreadable: \\d+ bytes are no record: no magic number`));
  assert.match(bare.err, /1 unreadable/);
});

test('files that are there are kept unless --force is given', async () => {
  const before = readFileSync(at('eyes_val.rec'));
  await refused(2, ['im2rec', at('eyes'), at('photos')], /eyes_train\.rec is there already: --force replaces it/);
  await refused(2, ['im2rec', '--list', at('eyes_val'), at('photos'), '--recursive'], /eyes_val\.lst is there already/);
  assert.ok(readFileSync(at('eyes_val.rec')).equals(before));
  const { code } = await fovea('im2rec', '--force', '--pass-through', at('eyes_val.lst'), at('photos'));
  assert.is(code, 0);
  assert.not.ok(readFileSync(at('eyes_val.rec')).equals(before));
});

test('labels that are not stored are told of', async () => {
  writeFileSync(at('several.lst'), readFileSync(at('eyes_val.lst'), 'utf8').replace(/\t(\S+\.png)/g, '\t7\t$1'));
  const without = await fovea('im2rec', '--pass-through', at('several'), at('photos'));
  assert.is(without.code, 0, without.err);
  assert.match(without.err, /several\.lst: lines have several labels, of which the first is stored: --pack-label stores all/);
  assert.not.match((await fovea('im2rec', '--force', '--pass-through', '--pack-label', at('several'), at('photos'))).err, /labels/);
});

test('what cannot be is refused by option', async () => {
  const pack = (...args: string[]): string[] => ['im2rec', ...args, at('eyes'), at('photos')];
  await refused(2, pack('--resize', '0'), /--resize: expected an integer from 1 to 16384, got "0"/);
  await refused(2, pack('--quality', '101'), /--quality: expected an integer from 1 to 100/);
  await refused(2, pack('--encoding', '.png', '--quality', '50'), /--quality: expected an integer from 0 to 9/);
  await refused(2, pack('--encoding', '.bmp'), /--encoding: expected one of \.jpg, \.png, got "\.bmp"/);
  await refused(2, pack('--pass-through', '--resize', '9'), /--resize does not go with --pass-through/);
  await refused(2, pack('--chunks', '2'), /--chunks is of lists: it needs --list/);
  await refused(2, pack('--list', '--resize', '9'), /--resize is of records: it does not go with --list/);
  await refused(2, pack('--list', '--train-ratio', '2'), /--train-ratio: expected a share from 0 to 1, got "2"/);
  await refused(2, pack('--list', '--train-ratio', '0.9', '--test-ratio', '0.2'), /sum to no more than 1/);
  await refused(2, pack('--color', '2'), /--color: expected one of 1, 0, -1/);
  await refused(1, ['im2rec', at('nothing'), at('photos')], /nothing\.lst: no such file: make it with fovea im2rec --list/);
  await refused(1, ['im2rec', '--list', at('nothing'), at('nowhere')], /nowhere: no such folder/);
  writeFileSync(at('bad.lst'), '0\t0\n');
  await refused(1, ['im2rec', at('bad'), at('photos')], /bad\.lst: line 1: expected a number of the image/);
  await refused(2, ['train', '--data', at('eyes_train.rec'), '--csv', 'labels.csv'], /eyes_train\.rec holds its labels/);
  assert.not.ok(existsSync(at('bad.rec')));
});

test.run();
