import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { cacheImages } from '../../src/data/cache.ts';
import { classCounts } from '../../src/data/dataset.ts';
import { openFolder } from '../../src/data/folder.ts';
import { describeRejected } from '../../src/data/listing.ts';
import { kFold, splitByPatient } from '../../src/data/split.ts';
import { DataError, OptionError } from '../../src/errors.ts';
import { skip } from '../support/skip.ts';
import { shared } from '../support/shared.ts';

const root = mkdtempSync(join(tmpdir(), 'fovea-folder-'));
const cacheDir = join(root, '.cache');
test.after(() => rmSync(root, { recursive: true }));

/** A plain 8 x 8 picture of one grey. */
const grey = (value: number) => sharp(Buffer.alloc(192, value), { raw: { width: 8, height: 8, channels: 3 } });

async function put(folder: string, files: Record<string, number | string>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content
      : await (name.endsWith('.png') ? grey(content).png() : grey(content).jpeg()).toBuffer());
  }
  return join(root, folder);
}
async function rejects(promise: Promise<unknown>, type: typeof DataError | typeof OptionError, pattern: RegExp) {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, type, (error as Error).stack);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`no error for ${pattern}`);
}

test('a CSV with usual columns; files with and without extension', async () => {
  const folder = await put('usual', {
    'images/a.jpg': 10, 'images/b.PNG.png': 20, 'images/sub/c.jpeg': 30, 'images/d.jpg': 40,
    'labels.csv': 'image,patient,eye,dr,split\na,p1,L,0,train\nb.PNG.png,p1,R,1,train\nsub/c.jpeg,p2,L,1,test\n',
  });
  const listing = await openFolder(folder);
  assert.equal(listing.ids, ['images/a.jpg', 'images/b.PNG.png', 'images/sub/c.jpeg']);
  assert.equal([...listing.labels], [0, 1, 1]);
  assert.equal(listing.classes, ['healthy', 'infected']);
  assert.equal(listing.patients, ['p1', 'p1', 'p2']);
  assert.equal(listing.splits, ['train', 'train', 'test']);
  assert.is(listing.labelSource, "column 'dr'");
  assert.is(listing.warnings.length, 1);
  assert.match(listing.warnings[0], /1 images are named by no row.*images\/d\.jpg/);
});

test('an expression in place of a label; rows without its columns are left out by name', async () => {
  const folder = await put('expression', {
    'a.jpg': 1, 'b.jpg': 2, 'c.jpg': 3, 'd.jpg': 4,
    'grades.csv': 'file,grade,dme\na.jpg,0,0\nb.jpg,1,1\nc.jpg,,0\nd.jpg,severe,0\n',
  });
  const listing = await openFolder(folder, { positive: 'grade >= 2 or dme >= 1' });
  assert.equal([...listing.labels], [0, 1]);
  assert.equal(listing.rejected, [
    { file: 'c.jpg', reason: "no label: 'grade' is empty" },
    { file: 'd.jpg', reason: "'severe' is not a number (columns used: grade, dme)" }]);
  assert.ok(listing.warnings.some((warning) => /no patient column: each image counts as a patient/.test(warning)));
  assert.equal(listing.patients, listing.ids);
  await rejects(openFolder(folder, { positive: 'graed >= 2' }), OptionError, /'graed'; did you mean 'grade'\?/);
  await rejects(openFolder(folder, { positive: 'grade > 1', columns: { label: 'dme' } }), OptionError, /not both/);
  await rejects(openFolder(folder, { columns: { label: 'dmee' } }), OptionError, /did you mean 'dme'/);
});

test('class names, grades and chosen classes', async () => {
  const folder = await put('classes', {
    'a.jpg': 1, 'b.jpg': 2, 'c.jpg': 3,
    'labels.csv': 'image,label,level\na,infected,0\nb,Normal,2\nc,infected,3\n',
  });
  const named = await openFolder(folder);
  assert.equal(named.classes, ['Normal', 'infected']);
  assert.equal([...named.labels], [1, 0, 1]);
  const graded = await openFolder(folder, { columns: { label: 'level' } });
  assert.equal(graded.classes, ['0', '1', '2', '3']);
  assert.equal(classCounts(graded), [1, 0, 1, 1]);
  await rejects(openFolder(folder, { classes: ['healthy', 'infected'] }), OptionError, /'Normal' is none of the classes/);
  await rejects(openFolder(folder, { columns: { label: 'level' }, classes: ['a', 'b'] }), OptionError, /label 3, but 2/);
});

test('missing, doubled and ambiguous files are named and counted', async () => {
  const folder = await put('troubled', {
    'x/a.jpg': 1, 'y/a.jpg': 2, 'y/b.jpg': 3,
    'labels.csv': 'image,label\na,0\nb,1\nb.jpg,1\ny/b,0\nx/a.jpg,0\nghost,1\n,1\n',
  });
  const listing = await openFolder(folder);
  assert.equal(listing.ids, ['y/b.jpg', 'x/a.jpg']);
  assert.equal(listing.rejected, [
    { file: 'a', reason: 'ambiguous: x/a.jpg, y/a.jpg' },
    { file: 'b.jpg', reason: 'listed twice' },
    { file: 'y/b', reason: 'listed twice, labelled 1 and 0' },
    { file: 'ghost', reason: 'no such file' },
    { file: '(unnamed)', reason: "no file name in column 'image'" }]);
  assert.is(describeRejected(listing.rejected, 1), '5 images left out: a (ambiguous: x/a.jpg, y/a.jpg) and 4 more');
  assert.is(describeRejected([]), '');
});

test('class folders, with and without a split above them', async () => {
  const plain = await put('plain', { 'healthy/a.jpg': 1, 'infected/b.jpg': 2, 'infected/c.png': 3, 'stray.jpg': 4 });
  const listing = await openFolder(plain);
  assert.equal(listing.classes, ['healthy', 'infected']);
  assert.equal([...listing.labels], [0, 1, 1]);
  assert.is(listing.splits, undefined);
  assert.equal(listing.rejected, [{ file: 'stray.jpg', reason: 'in no class folder' }]);
  const split = await openFolder(await put('parts', {
    'train/Apple/a.jpg': 1, 'train/normal/b.jpg': 2, 'val/Apple/c.jpg': 3, 'test/normal/d.jpg': 4 }));
  assert.equal(split.classes, ['normal', 'Apple']);
  assert.equal(split.splits, ['test', 'train', 'train', 'val']);
  assert.equal([...splitByPatient(split).test], [0]);
  await rejects(openFolder(plain, { positive: 'grade > 1' }), OptionError, /no CSV for the columns/);
});

test('duplicates and exclusion by name', async () => {
  const folder = await put('copies', {
    'a.jpg': 1, 'b.jpg': 2, 'c.jpg': 3, 'd.jpg': 4, 'labels.csv': 'image,dr,group\na,0,g\nb,1,\nc,0,g\nd,1,\n' });
  const listing = await openFolder(folder, { duplicates: [['b', 'c.jpg']], exclude: ['d'] });
  assert.equal(listing.groups, ['g', 'g', 'g']);
  assert.equal(listing.rejected, [{ file: 'd.jpg', reason: 'excluded by option' }]);
  await rejects(openFolder(folder, { exclude: ['z'] }), OptionError, /no image 'z'/);
  await rejects(openFolder(folder, { duplicates: [['y', 'z']] }), OptionError, /none of the duplicates y, z/);
});

test('a folder that cannot be used is one clear error', async () => {
  await rejects(openFolder(join(root, 'nowhere')), DataError, /nowhere: no such folder/);
  await rejects(openFolder(await put('bare', { 'a.jpg': 1 })), DataError, /no CSV, and no JPEG or PNG files in folders/);
  await rejects(openFolder(await put('two', { 'a.csv': 'x\n', 'b.csv': 'x\n' })), DataError, /several tables \(a\.csv, b/);
  await rejects(openFolder(await put('nolabel', { 'a.csv': 'image,age\nx,1\n' })), DataError, /no label column/);
  await rejects(openFolder(await put('nofile', { 'a.csv': 'age,dr\n1,1\n' })), DataError, /no column names the image/);
  await rejects(openFolder(await put('ghosts', { 'a.csv': 'image,dr\nx,1\n' })), DataError, /no usable images; 1 image left/);
});

test('the cache holds each image once; corrupt ones are named; it is found again', async () => {
  const folder = await put('cached', {
    'a.png': 10, 'bad.jpg': 'no image', 'b.png': 20, 'c.png': 30, 'empty.png': '',
    'labels.csv': 'image,patient,dr\na,p,0\nbad,p,1\nb,q,1\nc,r,0\nempty,r,1\nmissing,s,1\n',
  });
  const listing = await openFolder(folder);
  const progress: number[] = [];
  const data = await cacheImages(listing, { size: 4, cacheDir, onProgress: (done) => progress.push(done) });
  assert.equal(progress, [1, 2, 3, 4, 5]);
  assert.equal(data.ids, ['a.png', 'b.png', 'c.png']);
  assert.equal([...data.labels], [0, 1, 0]);
  assert.equal(data.patients, ['p', 'q', 'r']);
  assert.equal(data.shape, [4, 4, 3]);
  assert.is(data.simulated, false);
  assert.equal(data.rejected, [
    { file: 'missing', reason: 'no such file' },
    { file: 'bad.jpg', reason: 'neither JPEG nor PNG by its first bytes' },
    { file: 'empty.png', reason: 'the file is empty' }]);
  const target = new Uint8Array(48 * 3);
  [2, 0, 1].forEach((index, k) => data.readInto(index, target, k * 48));
  assert.equal([target[0], target[47], target[48], target[143]], [30, 30, 10, 20]);
  assert.throws(() => data.readInto(3, target), /no sample 3; there are 3/);
  assert.throws(() => data.readInto(0, target, 100), /does not fit/);
  data.close();
  assert.throws(() => data.readInto(0, target), /closed/);

  const again = await cacheImages(listing, { size: 4, cacheDir, onProgress: () => assert.unreachable() });
  assert.equal(again.rejected, data.rejected);
  again.close();
  const larger = await cacheImages(listing, { size: 5, cacheDir });
  assert.is.not(larger.cacheFile, data.cacheFile);
  larger.close();
  utimesSync(join(folder, 'a.png'), 1, 1);
  const touched = await cacheImages(listing, { size: 4, cacheDir });
  assert.is.not(touched.cacheFile, data.cacheFile);
  touched.close();
});

test('a torn cache is made anew; an interrupted one leaves nothing', async () => {
  const folder = await put('torn', { 'healthy/a.png': 10, 'infected/b.png': 20 });
  const listing = await openFolder(folder);
  const dir = join(root, '.torn');
  const first = await cacheImages(listing, { size: 4, cacheDir: dir });
  first.close();
  const name = first.cacheFile;
  truncateSync(name, 50);
  (await cacheImages(listing, { size: 4, cacheDir: dir })).close();
  assert.is(statSync(name).size, 96);
  writeFileSync(name.replace('.bytes', '.json'), '{"format":');
  (await cacheImages(listing, { size: 4, cacheDir: dir })).close();
  assert.is(readdirSync(dir).length, 2);
  const abort = new AbortController();
  try {
    await cacheImages(listing, { size: 6, cacheDir: dir, signal: abort.signal, onProgress: () => abort.abort() });
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, 'AbortError');
  }
  assert.is(readdirSync(dir).length, 2);
  writeFileSync(join(root, 'file'), '');
  await rejects(cacheImages(listing, { size: 4, cacheDir: join(root, 'file', 'x') }), DataError, /cache of images in/);
});

test('nothing readable at all is an error', async () => {
  const listing = await openFolder(await put('unreadable', { 'healthy/a.png': 'x', 'infected/b.png': 'y' }));
  await rejects(cacheImages(listing, { size: 4, cacheDir }), DataError, /none of 2 images can be read; healthy\/a\.png/);
  await rejects(cacheImages(listing, { size: 0, cacheDir }), OptionError, /size/);
});

/** A test that needs a folder, or its name and the reason where the folder is absent. */
function declare(name: string, folder: string | undefined, reason: string, body: () => Promise<void>): void {
  if (folder === undefined) skip(name, reason);
  else test(name, body);
}

const idrid = shared('data', 'idrid');
declare('IDRiD: counts, split and duplicates', idrid, 'no data/idrid in the shared folder (FOVEA_SHARED)', async () => {
  const duplicates = [['test_064', 'train_118'], ['train_028', 'train_327'], ['train_045', 'train_333'],
    ['train_073', 'train_375'], ['train_079', 'train_279']];
  const listing = await openFolder(idrid as string, { positive: 'dr_grade >= 1', duplicates });
  assert.is(listing.length, 455);
  assert.equal(classCounts(listing), [118, 337]);
  assert.equal(listing.rejected, []);
  const split = splitByPatient(listing, { ratios: { validation: 0 } });
  assert.equal([split.train.length, split.test.length], [374, 80]);
  assert.match(split.warnings[0], /1 images left out of training.*train_118/);
  for (const { train, validation } of kFold(listing, { indices: split.train })) {
    for (const [a, b] of duplicates.slice(1)) {
      const sides = [a, b].map((id) => train.includes(listing.ids.indexOf(`images/${id}.jpg`)));
      assert.is(sides[0], sides[1]);
    }
    assert.is(train.length + validation.length, 374);
  }
  const dropped = await openFolder(idrid as string, { duplicates, exclude: ['test_064'] });
  const rest = splitByPatient(dropped, { ratios: { validation: 0 } });
  assert.equal([rest.train.length, rest.test.length, rest.warnings.length], [375, 79, 0]);
});

const rahim = shared('data', 'rahim');
declare('rahim: 300 patients, both eyes', rahim, 'no data/rahim in the shared folder (FOVEA_SHARED)', async () => {
  const listing = await openFolder(rahim as string);
  assert.equal(classCounts(listing), [276, 324]);
  assert.is(new Set(listing.patients).size, 300);
  const split = splitByPatient(listing);
  const sides = [split.train, split.validation, split.test].map((part) => new Set([...part].map((i) => listing.patients[i])));
  assert.equal(sides.map((side) => side.size), [210, 45, 45]);
  assert.is(new Set(sides.flatMap((side) => [...side])).size, 300);
  const graded = await openFolder(rahim as string, { positive: 'dr_grade >= 2' });
  assert.is(graded.length + graded.rejected.length, 600);
  assert.ok(graded.rejected.every(({ reason }) => reason === "no label: 'dr_grade' is empty"));
  assert.ok(graded.rejected.length > 0);
});

test.run();
