import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cacheImages } from '../../src/data/cache.ts';
import { decodeImage } from '../../src/data/decode.ts';
import { openFolder } from '../../src/data/folder.ts';
import { listImages, packImages } from '../../src/data/im2rec.ts';
import { RecordFile, RecordWriter, scanRecords } from '../../src/data/record-file.ts';
import { imageOf, openRecords } from '../../src/data/records.ts';
import { DataError, FormatError, OptionError } from '../../src/errors.ts';
import { packImage, unpackImage } from '../../src/formats/image-record.ts';
import { formatList } from '../../src/formats/record-list.ts';
import { readParams } from '../../src/formats/mxnet-params.ts';
import { holds, holdsExactly } from '../support/conformance.ts';
import { rejects, throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const root = mkdtempSync(join(tmpdir(), 'fovea-records-'));
test.after(() => rmSync(root, { recursive: true }));

/** A picture of one grey, so that what comes out says which went in. */
const grey = (value: number) => sharp(Buffer.alloc(12 * 8 * 3, value), { raw: { width: 12, height: 8, channels: 3 } });
const png = async (value: number): Promise<Uint8Array> => Uint8Array.from(await grey(value).png().toBuffer());

async function write(name: string, labels: readonly (readonly number[])[]): Promise<string> {
  const path = join(root, name);
  const writer = await RecordWriter.create(path);
  for (const [i, all] of labels.entries()) {
    const image = await png(20 * (i + 1));
    writer.write(100 + i, packImage({ labels: Float32Array.from(all), id: BigInt(100 + i), id2: 0n, image }));
  }
  writer.finish();
  return path;
}

function damage(path: string, at: number, bytes: number): void {
  const content = readFileSync(path);
  content.fill(0xaa, at, at + bytes);
  writeFileSync(path, content);
}

test('by index, by order, and by order without an index: the same records', async () => {
  const path = await write('same.rec', [[0], [1], [0], [1]]);
  const indexed = await RecordFile.open(path);
  assert.equal(indexed.keys, [100, 101, 102, 103]);
  const inOrder: Uint8Array[] = [];
  for await (const found of scanRecords(path)) {
    assert.is(found.kind, 'record');
    if (found.kind === 'record') inOrder.push(found.payload);
  }
  rmSync(join(root, 'same.idx'));
  const scanned = await RecordFile.open(path);
  assert.equal(scanned.offsets, indexed.offsets);
  assert.equal(scanned.keys, [0, 1, 2, 3]);
  for (let i = 0; i < 4; i++) {
    assert.equal(indexed.read(i), inOrder[i]);
    assert.equal(scanned.read(i), inOrder[i]);
    for (const length of [0, 24, inOrder[i].length, 1e6]) assert.equal(indexed.head(i, length), inOrder[i].subarray(0, length), `head of ${length}`);
  }
  assert.is(unpackImage(indexed.read(2), { file: path }).id, 102n);
  throws(() => indexed.read(4), DataError, /no record 4; there are 4/);
  indexed.close();
  throws(() => indexed.read(0), DataError, /closed/);
  scanned.close();
});

test('records of several megabytes, and split ones, by index', async () => {
  const path = join(root, 'large.rec');
  const writer = await RecordWriter.create(path);
  const payloads = [3 << 20, 100, 5 << 20].map((length, k) => {
    const payload = Uint8Array.from({ length }, (_, i) => (i * 7 + k) % 251);
    payload.set([0x0a, 0x23, 0xd7, 0xce], 32 * (k + 1));
    return payload;
  });
  payloads.forEach((payload, key) => writer.write(key, payload));
  writer.finish();
  const file = await RecordFile.open(path);
  payloads.forEach((payload, i) => assert.ok(Buffer.from(file.read(i)).equals(Buffer.from(payload)), `record ${i}`));
  assert.equal(file.head(0, 200), payloads[0].subarray(0, 200));
  file.close();
  let count = 0;
  for await (const found of scanRecords(path)) count += Number(found.kind === 'record' && Buffer.from(found.payload).equals(Buffer.from(payloads[count])));
  assert.is(count, 3);
});

test('a damaged record is passed over and counted, by index and without', async () => {
  const path = await write('damaged.rec', [[0], [1], [0], [1], [0]]);
  const { offsets } = await open(path);
  damage(path, offsets[2], 60);
  const listing = await openRecords(path);
  assert.equal(listing.ids, ['damaged.rec/100', 'damaged.rec/101', 'damaged.rec/103', 'damaged.rec/104']);
  assert.equal(listing.rejected, [{ file: 'damaged.rec/102', reason: `record 102, byte ${offsets[2]}: no magic number` }]);
  rmSync(join(root, 'damaged.idx'));
  const without = await openRecords(path);
  assert.equal(without.ids, listing.ids);
  assert.equal([...without.labels], [0, 1, 1, 0]);
  assert.equal(without.rejected, [{
    file: `damaged.rec, byte ${offsets[2]}`, reason: `${offsets[3] - offsets[2]} bytes are no record: no magic number`,
  }]);
  const file = await RecordFile.open(path);
  assert.equal(file.damage, [{ offset: offsets[2], bytes: offsets[3] - offsets[2], reason: 'no magic number' }]);
  file.close();
});

async function open(path: string): Promise<{ offsets: readonly number[] }> {
  const file = await RecordFile.open(path);
  file.close();
  return file;
}

test('images go through the cache as those of a folder do; one that is damaged there is left out', async () => {
  const path = await write('cached.rec', [[0], [1], [0], [1]]);
  const { offsets } = await open(path);
  damage(path, offsets[1] + 60, 8);
  const listing = await openRecords(path);
  assert.is(listing.length, 4);
  const data = await cacheImages(listing, { size: 8, fit: 'stretch', cacheDir: join(root, 'cache') });
  assert.equal(data.ids, ['cached.rec/100', 'cached.rec/102', 'cached.rec/103']);
  assert.is(data.rejected.length, 1);
  assert.is(data.rejected[0].file, 'cached.rec/101');
  const pixels = new Uint8Array(8 * 8 * 3);
  data.readInto(2, pixels);
  assert.ok(pixels.every((value) => value === 80));
  data.close();
  let rendered = 0;
  (await cacheImages(listing, { size: 8, fit: 'stretch', cacheDir: join(root, 'cache'), onProgress: () => rendered++ })).close();
  assert.is(rendered, 0, 'the second time nothing is decoded');
});

test('a file that was cut short beside its index: what is beyond its end is told as lost', async () => {
  const path = await write('cut.rec', [[0], [1], [0], [1]]);
  const { offsets } = await open(path);
  truncateSync(path, offsets[2] + 40);
  const listing = await openRecords(path);
  assert.equal(listing.ids, ['cut.rec/100', 'cut.rec/101']);
  assert.equal(listing.rejected.map(({ file }) => file), ['cut.rec/103', 'cut.rec/102']);
  assert.match(listing.rejected[0].reason, /byte \d+ is beyond the end: the file was cut short/);
  const file = await RecordFile.open(path);
  assert.equal(file.lost, [{ key: 103, offset: offsets[3] }]);
  file.close();
});

test('labels: of one column, of an expression, of one of several', async () => {
  const path = await write('labels.rec', [[0, 3], [1, 0], [2, 1], [0, 4]]);
  const first = await openRecords(path);
  assert.equal(first.classes, ['0', '1', '2']);
  assert.match(first.warnings.join('\n'), /several labels \(label, label_1\): the first is taken/);
  assert.match(first.warnings.join('\n'), /each image counts as a patient of its own/);
  const second = await openRecords(path, { columns: { label: 'label_1' } });
  assert.equal([...second.labels], [3, 0, 1, 4]);
  const infected = await openRecords(path, { positive: 'label >= 1 and label_1 < 1 or record == 103', exclude: ['102'] });
  assert.equal(infected.classes, ['healthy', 'infected']);
  assert.equal([...infected.labels], [0, 1, 1]);
  assert.equal(infected.rejected, [{ file: 'labels.rec/102', reason: 'excluded by option' }]);
  const patients = await openRecords(path, { columns: { label: 'label', patient: 'label_1' } });
  assert.equal(patients.patients, ['3', '0', '1', '4']);
  await rejects(() => openRecords(path, { columns: { label: 'grade' } }), OptionError, /no column 'grade' for label; columns: record, id, id2, label, label_1/);
  await rejects(() => openRecords(path, { table: 'labels.csv' }), OptionError, /labels\.rec holds its labels/);
  await rejects(() => openRecords(path, { exclude: ['7'] }), OptionError, /no image '7'/);
  const odd = await openRecords(await write('odd.rec', [[0.5], [1], [0], [-1]]));
  assert.equal(odd.ids, ['odd.rec/101', 'odd.rec/102']);
  assert.match(odd.rejected[0].reason, /label 0\.5 is no class/);
});

test('labels of a list take the place of those that records bear; who is in one alone is told', async () => {
  const path = await write('relabelled.rec', [[0], [1], [0], [1]]);
  const list = join(root, 'relabelled.lst');
  writeFileSync(list, formatList([
    { key: 103, labels: [0, 3], path: 'd.png' }, { key: 101, labels: [0, 1], path: 'b.png' }, { key: 100, labels: [1, 2], path: 'a.png' },
    { key: 900, labels: [1, 1], path: 'z.png' },
  ]));
  const listing = await openRecords(path, { table: list });
  assert.equal(listing.ids, ['relabelled.rec/100', 'relabelled.rec/101', 'relabelled.rec/103']);
  assert.equal([...listing.labels], [1, 0, 0]);
  assert.equal(listing.rejected.map(({ file, reason }) => `${file}: ${reason}`), [`relabelled.rec/102: image 102 is not in ${list}`]);
  assert.is(listing.labelSource, `column 'label' of ${list}`);
  assert.ok(listing.warnings.some((text) => text === `1 of the 4 images of ${list} are not in ${path}`), listing.warnings.join('\n'));
  // Its columns are there for expressions, its images are still those of their records.
  const expressed = await openRecords(path, { table: list, positive: "label_1 >= 2 and path != 'd.png'" });
  assert.equal([...expressed.labels], [1, 0, 0]);
  const reader = await listing.images.open();
  const pixels = await sharp(await reader.read(2)).raw().toBuffer();
  assert.is(pixels[0], 80);
  reader.close();
  await rejects(() => openRecords(path, { table: join(root, 'labels.csv') }), OptionError, /a CSV .*labels\.csv.* does not go with it, only a \.lst/);
  await rejects(() => openFolder(root, { table: list }), OptionError, /takes a CSV: a \.lst .* goes with a \.rec/);
  await rejects(() => openRecords(path, { table: join(root, 'none.lst') }), DataError, /none\.lst: /);
  // A label that is no number is none to an expression either, whatever that asks of it.
  writeFileSync(list, '100\tnan\ta.png\n101\t1\tb.png\n102\t0\tc.png\n103\t-inf\td.png\n');
  for (const options of [{}, { positive: 'label != 0' }]) {
    const some = await openRecords(path, { table: list, ...options });
    assert.equal([...some.labels], [1, 0]);
    assert.equal(some.rejected.map(({ file }) => file), ['relabelled.rec/100', 'relabelled.rec/103'], JSON.stringify(some.rejected));
  }
  writeFileSync(list, '101\tb.png\n');
  await rejects(() => openRecords(path, { table: list }), FormatError, /relabelled\.lst: line 1: expected/);
});

test('parts of a file: each record in one of them, whole runs but for the last', async () => {
  const path = await write('parts.rec', Array.from({ length: 7 }, (_, i) => [i % 2]));
  const idsOf = async (index: number, count: number): Promise<string[]> =>
    [...(await openRecords(path, { part: { index, count } })).ids].map((id) => id.slice(-3));
  assert.equal([await idsOf(0, 3), await idsOf(1, 3), await idsOf(2, 3)], [['100', '101', '102'], ['103', '104', '105'], ['106']]);
  assert.equal(await idsOf(0, 1), ['100', '101', '102', '103', '104', '105', '106']);
  rmSync(join(root, 'parts.idx'));
  assert.equal(await idsOf(1, 2), ['104', '105', '106'], 'by their ids also without an index');
  damage(path, (await RecordFile.open(path)).offsets[5] + 2, 4);
  const told = await Promise.all([0, 1].map(async (part) => (await openRecords(path, { part: { index: part, count: 2 } })).rejected.length));
  assert.equal(told, [0, 1], 'what is damaged is told once');
  for (const part of [{ index: 3, count: 3 }, { index: -1, count: 2 }, { index: 0, count: 0 }, { index: 0.5, count: 2 }]) {
    await rejects(() => openRecords(path, { part }), OptionError, /part: expected an index from 0 to below a count, got index/);
  }
  await rejects(() => openRecords(path, { part: { index: 7, count: 8 } }), DataError, /parts\.rec/);
});

test('files that are none: the file, and what is wrong with it', async () => {
  await rejects(() => RecordFile.open(join(root, 'none.rec')), DataError, /none\.rec: no such file/);
  mkdirSync(join(root, 'folder.rec'));
  await rejects(() => RecordFile.open(join(root, 'folder.rec')), DataError, /folder\.rec: is (no file|a folder)/);
  writeFileSync(join(root, 'text.rec'), 'this is text');
  await rejects(() => RecordFile.open(join(root, 'text.rec')), DataError, /text\.rec: holds no record; byte 0: no magic number/);
  const path = await write('beyond.rec', [[0], [1]]);
  writeFileSync(join(root, 'beyond.idx'), '0\t99992\n1\t99996\n');
  await rejects(() => RecordFile.open(path), FormatError, /beyond\.idx: key 0: offset 99992 is beyond the \d+ bytes.*all others/);
  writeFileSync(join(root, 'beyond.idx'), '0\t0\n1\t16\n');
  const wrong = await openRecords(path).catch((error: unknown) => error as Error);
  assert.instance(wrong, DataError);
  assert.match((wrong as Error).message, /no usable images/);
  await rejects(() => RecordWriter.create(join(root, 'nowhere', 'x.rec')), DataError, /no such folder/);
});

async function put(folder: string, files: readonly string[]): Promise<string> {
  for (const [i, name] of files.entries()) {
    const path = join(root, folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, name.endsWith('.txt') ? 'text' : await (name.endsWith('.png') ? grey(10 * i).png() : grey(10 * i).jpeg()).toBuffer());
  }
  return join(root, folder);
}

test('lists: order, classes by folder, chunks and ratios', async () => {
  const folder = await put('lists', ['z.jpg', 'a.PNG', 'b/2.jpg', 'b/10.jpeg', 'b/c/1.jpg', 'note.txt', ...Array.from({ length: 18 }, (_, i) => `d/${i}.jpg`)]);
  const flat = await listImages(folder, { shuffle: false });
  assert.equal(flat.lists, [{ suffix: '', entries: [{ key: 0, labels: [0], path: 'a.PNG' }, { key: 1, labels: [0], path: 'z.jpg' }] }]);
  const deep = await listImages(folder, { recursive: true, shuffle: false });
  assert.equal(deep.classes, ['.', 'b', 'b/c', 'd']);
  assert.is(formatList(deep.lists[0].entries.slice(0, 5)),
    '0\t0.000000\ta.PNG\n1\t0.000000\tz.jpg\n2\t1.000000\tb/10.jpeg\n3\t1.000000\tb/2.jpg\n4\t2.000000\tb/c/1.jpg\n');
  const parts = await listImages(folder, { recursive: true, chunks: 2, trainRatio: 0.7, testRatio: 0.2 });
  assert.equal(parts.lists.map(({ suffix, entries }) => [suffix, entries.length]), [
    ['_0_test', 2], ['_0_val', 2], ['_0_train', 8], ['_1_test', 2], ['_1_val', 1], ['_1_train', 8],
  ]);
  const keys = parts.lists.flatMap(({ entries }) => entries.map(({ key }) => key));
  assert.equal([...keys].sort((a, b) => a - b), Array.from({ length: 23 }, (_, i) => i));
  assert.not.equal(keys, [...keys].sort((a, b) => a - b));
  assert.not.equal((await listImages(folder, { recursive: true, seed: 1 })).lists, (await listImages(folder, { recursive: true })).lists);
  await rejects(() => listImages(folder, { trainRatio: 0.8, testRatio: 0.3 }), OptionError, /sum to no more than 1/);
  await rejects(() => listImages(join(root, 'nowhere')), DataError, /nowhere: no such folder/);
  await rejects(() => listImages(folder, { exts: ['.bmp'] }), DataError, /no \.bmp files; those in folders below/);
});

test('packing: in the order of the list, bad files left out by name, sizes as MXNet\'s', async () => {
  const folder = await put('pack', ['0.jpg', '1.png', '2.jpg', '3.jpg']);
  writeFileSync(join(folder, '2.jpg'), 'no image');
  writeFileSync(join(folder, 'wide.png'), await sharp(Buffer.alloc(50 * 31 * 4, 200), { raw: { width: 50, height: 31, channels: 4 } }).png().toBuffer());
  const text = '3\t1\t3.jpg\n2\t0\t2.jpg\n9\t1\t7\twide.png\n5\t0\tgone.jpg\n1\t0\t1.png\n';
  const out = join(root, 'packed.rec');
  const progress: number[] = [];
  const { records, rejected } = await packImages({ text, file: 'packed.lst' }, folder, out, {
    resize: 20, encoding: '.png', packLabel: true, onProgress: (done) => progress.push(done),
  });
  assert.is(records, 3);
  assert.equal(rejected, [
    { file: '2.jpg', reason: 'neither JPEG nor PNG by its first bytes' }, { file: 'gone.jpg', reason: 'no such file' },
  ]);
  assert.equal(progress, [1, 2, 3, 4, 5]);
  const file = await RecordFile.open(out);
  assert.equal(file.keys, [3, 9, 1]);
  const wide = await decodeImage(imageOf(file, 1, 'wide'));
  assert.equal([wide.height, wide.width, wide.original.format], [20, 32, 'png']);
  assert.equal([...unpackImage(file.read(1), { file: out }).labels], [1, 7]);
  file.close();
  const cropped = join(root, 'cropped.rec');
  await packImages({ text: '0\t0\twide.png\n', file: 'x.lst' }, folder, cropped, { centerCrop: true, quality: 80, color: 0 });
  const grey = await RecordFile.open(cropped);
  const meta = await sharp(imageOf(grey, 0, 'wide')).metadata();
  assert.equal([meta.width, meta.height, meta.channels, meta.format], [31, 31, 1, 'jpeg']);
  grey.close();
  const none = join(root, 'none2.rec');
  await rejects(() => packImages({ text: '0\t0\tgone.jpg\n', file: 'x.lst' }, folder, none, {}), DataError, /none of 1 images can be read; gone\.jpg/);
  await rejects(() => packImages({ text: '0\tgone.jpg\n', file: 'x.lst' }, folder, none, {}), FormatError, /x\.lst: line 1/);
  await rejects(() => packImages({ text, file: 'x.lst' }, folder, out, { quality: 50, encoding: '.png' }), OptionError, /quality: expected 0 to 9 for \.png/);
  await rejects(() => RecordFile.open(none), DataError, /no such file/);
});

test('a folder and its records are the same data', async () => {
  const folder = await put('twice', ['healthy/0.png', 'healthy/1.png', 'infected/2.png', 'infected/3.png']);
  const { lists: [{ entries }] } = await listImages(folder, { recursive: true, shuffle: false });
  const out = join(root, 'twice.rec');
  await packImages({ text: formatList(entries), file: 'twice.lst' }, folder, out, { passThrough: true });
  const options = { size: 8, cacheDir: join(root, 'cache') };
  const a = await cacheImages(await openFolder(folder), options);
  const b = await cacheImages(await openRecords(out), options);
  assert.equal(a.labels, b.labels);
  assert.equal(a.classes, b.classes);
  for (let i = 0; i < 4; i++) {
    const [x, y] = [new Uint8Array(192), new Uint8Array(192)];
    a.readInto(i, x);
    b.readInto(i, y);
    assert.equal(x, y);
  }
  a.close();
  b.close();
});

const fixtures = shared('fixtures', 'mxnet', 'rec');
if (fixtures === undefined) skip("MXNet's records and its im2rec", noFixtures('mxnet', 'rec'));
else {
  const source = 'MXNet 1.9.1, records';
  // A folder made anew without OpenCV has no images that im2rec encoded.
  const there = (name: string): boolean => existsSync(join(fixtures, `${name}.rec`));
  for (const name of ['plain', 'resized', 'png'].filter((one) => !there(one))) {
    skip(`MXNet's records ${name} and their pixels`, noFixtures('mxnet', 'rec'));
  }
  for (const name of ['resized', 'png', 'pass'].filter(there)) {
    test(`the pixels of MXNet's records ${name}`, async () => {
      const want = readParams(Uint8Array.from(readFileSync(join(fixtures, `${name}-pixels.params`))), { file: name });
      const file = await RecordFile.open(join(fixtures, `${name}.rec`));
      assert.is(file.length, want.size);
      for (const [i, key] of file.keys.entries()) {
        const { data, height, width } = await decodeImage(imageOf(file, i, name));
        const { shape, data: pixels } = want.get(String(key))!;
        assert.equal([height, width, 3], [...shape]);
        const errors = Array.from(data, (value, k) => Math.abs(value - Number(pixels[k])));
        const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
        const most = errors.reduce((a, b) => Math.max(a, b), 0);
        const common = { source, fixture: `${name}.rec, pixels`, runner: 'host' };
        // PNG exactly; decoders of JPEG may differ by less than a grey level in the mean, 16 at most.
        const jpeg = imageOf(file, i, name)[0] === 0xff;
        holds({ ...common, measure: `grey levels in the mean, ${jpeg ? 'JPEG' : 'PNG'}`, error: mean, tolerance: jpeg ? 1 : 0 }, `${key}`);
        holds({ ...common, measure: `grey levels, ${jpeg ? 'JPEG' : 'PNG'}`, error: most, tolerance: jpeg ? 16 : 0 }, `${key}`);
      }
      file.close();
    });
  }
  test('lists and records from the same images are those of MXNet\'s im2rec', async () => {
    const images = join(fixtures, 'images');
    const { lists, classes } = await listImages(images, { recursive: true });
    assert.equal(classes, ['a', 'b']);
    assert.is(formatList(lists[0].entries), readFileSync(join(fixtures, 'pass.lst'), 'utf8'));
    for (const [name, options] of [['pass', { passThrough: true }], ['multi', { passThrough: true, packLabel: true }]] as const) {
      const file = `${name}.lst`;
      await packImages({ text: readFileSync(join(fixtures, file), 'utf8'), file }, images, join(root, `${name}.rec`), options);
      for (const end of ['rec', 'idx']) {
        const [ours, theirs] = [root, fixtures].map((at) => readFileSync(join(at, `${name}.${end}`)));
        holdsExactly(source, `${name}.${end}, by fovea im2rec`, 'bytes', ours, theirs);
      }
    }
    for (const [name, options, most] of [
      ['plain', {}, 0.01], ['resized', { resize: 64, centerCrop: true, quality: 90 }, 3], ['png', { resize: 48, encoding: '.png' }, 3],
    ] as const) {
      if (!there(name)) continue;
      const file = `${name}.lst`;
      assert.is(formatList(lists[0].entries), readFileSync(join(fixtures, file), 'utf8'));
      await packImages({ text: readFileSync(join(fixtures, file), 'utf8'), file }, images, join(root, `${name}.rec`), options);
      const [ours, theirs] = await Promise.all([RecordFile.open(join(root, `${name}.rec`)), RecordFile.open(join(fixtures, `${name}.rec`))]);
      assert.equal(ours.keys, theirs.keys);
      for (let i = 0; i < ours.length; i++) {
        const [a, b] = await Promise.all([decodeImage(imageOf(ours, i, name)), decodeImage(imageOf(theirs, i, name))]);
        assert.equal([a.height, a.width], [b.height, b.width]);
        const mean = a.data.reduce((sum, value, k) => sum + Math.abs(value - b.data[k]), 0) / a.data.length;
        // OpenCV's resizing looks at four pixels, ours at all that an output pixel covers.
        assert.ok(mean < most, `${name} ${ours.keys[i]}: ${mean}`);
      }
      ours.close();
      theirs.close();
    }
  });
}

test.run();
