import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { endsAsImage, packImage, unpackImage } from '../../src/formats/image-record.ts';
import { formatIndex, formatList, parseIndex, parseList } from '../../src/formats/record-list.ts';
import type { Damage, Scanned } from '../../src/formats/recordio.ts';
import { RecordScanner, readRecords, writeRecords } from '../../src/formats/recordio.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { holdsExactly } from '../support/conformance.ts';
import { throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const file = 'x.rec';
const magic = Buffer.from('0a23d7ce', 'hex');
const bytesOf = (...parts: (string | Uint8Array)[]): Uint8Array => Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part as string))));
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(Buffer.from(b));

const payloads = [
  bytesOf('whole'), bytesOf(''), bytesOf(magic), bytesOf(magic, magic, magic), bytesOf('abcd', magic, 'tail'), bytesOf('abc', magic, 'no multiple of 4'),
  bytesOf(magic, 'abcd'), bytesOf('abcd', magic), bytesOf('x'.repeat(1000), magic, 'y'),
];

test('payloads come back, those with the magic in them split and joined', () => {
  const { bytes, offsets } = writeRecords(payloads);
  const back = readRecords(bytes, { file });
  assert.is(back.length, payloads.length);
  back.forEach((payload, i) => assert.ok(same(payload, payloads[i]), `payload ${i}`));
  assert.equal(offsets.slice(0, 4), [0, 16, 24, 40]);
  // The magic is nowhere but where a record or a part begins.
  const view = new DataView(bytes.buffer);
  let found = 0;
  for (let at = 0; at < bytes.length; at += 4) if (view.getUint32(at, true) === 0xced7230a) found++;
  assert.is(found, payloads.length + 1 + 3 + 1 + 1 + 1 + 1);
});

test('in pieces of any length it is the same', () => {
  const { bytes } = writeRecords([...payloads, ...payloads]);
  bytes[bytes.length / 2 & ~3] ^= 255;
  const whole = collect(bytes, bytes.length);
  assert.ok(whole.some(({ kind }) => kind === 'damage'));
  for (const length of [1, 2, 3, 4, 5, 7, 8, 64, 1001]) assert.equal(collect(bytes, length), whole, `pieces of ${length}`);
});

function collect(bytes: Uint8Array, length: number): Scanned[] {
  const scanner = new RecordScanner();
  const out: Scanned[] = [];
  for (let at = 0; at < bytes.length; at += length) {
    scanner.push(bytes.slice(at, at + length));
    if (at + length >= bytes.length) scanner.end();
    for (let found = scanner.next(); found !== undefined; found = scanner.next()) out.push(found);
  }
  return out;
}

/** Ten records of random bytes, 30 to 139 long, none of them alike. */
const stream = new PhiloxStream(7, 'records');
const random = Array.from({ length: 10 }, () => Uint8Array.from({ length: 30 + stream.int(110) }, () => stream.int(256)));
const intact = writeRecords(random);

function survivors(bytes: Uint8Array): { kept: Uint8Array[]; damage: Damage[] } {
  const damage: Damage[] = [];
  return { kept: readRecords(bytes, { file, onDamage: (d) => damage.push(d) }), damage };
}

test('whatever becomes of one byte of a header, the other nine records are read, and none that never was', () => {
  const at = intact.offsets[4];
  let lost = 0;
  for (let byte = 0; byte < 8; byte++) {
    for (let value = 1; value < 256; value++) {
      const bytes = intact.bytes.slice();
      bytes[at + byte] ^= value;
      const { kept, damage } = survivors(bytes);
      const what = `byte ${byte} ^ ${value}: ${JSON.stringify(damage)}`;
      random.forEach((payload, i) => assert.ok(i === 4 || kept.some((k) => same(k, payload)), `record ${i} is lost; ${what}`));
      // A length within the same multiple of 4, where what is cut off was zero, cannot be told from the true one.
      const invented = kept.filter((k) => !random.some((payload) => same(k, payload)));
      assert.ok(invented.every((k) => Math.abs(k.length - random[4].length) < 4), `invented; ${what}`);
      if (kept.length === 9) {
        lost++;
        assert.is(damage.length, 1, what);
        assert.is(damage[0].offset, at, what);
        assert.is(damage[0].bytes, intact.offsets[5] - at, what);
      }
    }
  }
  assert.ok(lost > 8 * 255 - 8, `only ${lost} of ${8 * 255} were seen`);
});

test('a stretch of rubbish costs the records that it touches', () => {
  const draw = new PhiloxStream(8, 'rubbish');
  for (let round = 0; round < 300; round++) {
    const bytes = intact.bytes.slice();
    const from = draw.int(bytes.length - 60);
    const to = from + 20 + draw.int(40);
    for (let i = from; i < to; i++) bytes[i] = round % 2 === 0 ? 0 : draw.int(256);
    const { kept } = survivors(bytes);
    intact.offsets.forEach((start, i) => {
      const end = intact.offsets[i + 1] ?? bytes.length;
      // Of records whose tail or next header is rubbish nobody knows whether they are whole.
      if (end + 8 <= from || start >= to) assert.ok(kept.some((k) => same(k, random[i])), `round ${round}: record ${i}`);
    });
  }
});

test('of an image whose neighbour is rubbish its own end tells that it is whole', () => {
  const ends = [Uint8Array.of(0xff, 0xd9), Buffer.from('IEND\xaeB`\x82', 'latin1')];
  const images = random.map((bytes, i) => packImage({ labels: Float32Array.of(i), id: BigInt(i), id2: 0n, image: bytesOf(bytes, ends[i % 2]) }));
  const { bytes, offsets } = writeRecords(images);
  for (let record = 1; record < 10; record++) {
    const damaged = bytes.slice();
    damaged.fill(0xaa, offsets[record], offsets[record] + 40);
    const damage: Damage[] = [];
    const kept = readRecords(damaged, { file, isWhole: endsAsImage, onDamage: (d) => damage.push(d) });
    assert.equal(kept, images.filter((_, i) => i !== record));
    assert.equal(damage.map(({ offset }) => offset), [offsets[record]]);
    // A length that is too short is not taken for it.
    const short = bytes.slice();
    short[offsets[record] + 4] -= 12;
    assert.equal(readRecords(short, { file, isWhole: endsAsImage, onDamage: () => {} }), images.filter((_, i) => i !== record));
  }
});

test('cut at any byte: the records before are read, and without a listener it is an error with record and byte', () => {
  for (let length = 1; length < intact.bytes.length; length++) {
    const cut = intact.bytes.subarray(0, length);
    const whole = intact.offsets.filter((_, i) => (intact.offsets[i + 1] ?? intact.bytes.length) <= length).length;
    const { kept, damage } = survivors(cut);
    assert.is(kept.length, whole, `cut at ${length}`);
    assert.is(damage.length, intact.offsets.includes(length) ? 0 : 1, `cut at ${length}`);
    if (damage.length > 0) throws(() => readRecords(cut, { file }), FormatError, /^x\.rec: record \d+, byte \d+: (truncated|no magic)/);
  }
});

test('records that cannot be are refused by what is wrong', () => {
  const record = (flag: number, length: number, body: string): Buffer => {
    const head = Buffer.alloc(8);
    magic.copy(head);
    head.writeUInt32LE((flag << 29 | length) >>> 0, 4);
    return Buffer.concat([head, Buffer.from(body)]);
  };
  for (const [parts, says] of [
    [[record(5, 4, 'abcd')], /byte 0: flag 5, where a record begins/],
    [[record(2, 4, 'abcd')], /flag 2, where a record begins/],
    [[record(1, 4, 'abcd'), record(0, 4, 'abcd')], /flag 0, where part 1 is due/],
    [[record(1, 3, 'abc\0'), record(3, 4, 'abcd')], /length 3 of part 0 is no multiple of 4/],
    [[record(0, 3, 'abc!')], /multiple of 4 is not zero/],
    [[record(0, 12, 'abcd'), record(0, 4, 'abcd')], /length 12 reaches over another record/],
    [[record(0, 4, 'abcdefgh'), record(0, 4, 'abcd')], /no record follows where its length leads/],
    [[Buffer.from('no record')], /no magic number/],
  ] as [Buffer[], RegExp][]) {
    throws(() => readRecords(bytesOf(...parts), { file }), FormatError, says);
  }
});

test('image records: one label, several, ids of 64 bits, to the bit', () => {
  const nan = new Float32Array(Uint8Array.of(1, 2, 0x80, 0x7f).buffer);
  for (const record of [
    { labels: Float32Array.of(3), id: 7n, id2: 0n }, { labels: Float32Array.of(0, 0.5, -1), id: 2n ** 64n - 1n, id2: 5n },
    { labels: nan, id: 0n, id2: 0n }, { labels: Float32Array.of(2), id: 1n, id2: 0n, flag: 1 },
  ]) {
    const packed = packImage({ ...record, image: Uint8Array.of(9, 8, 7) });
    const back = unpackImage(packed, { file });
    assert.equal([back.id, back.id2, [...back.image]], [record.id, record.id2, [9, 8, 7]]);
    assert.ok(same(new Uint8Array(back.labels.buffer), new Uint8Array(record.labels.buffer)));
    assert.ok(same(packImage(back), packed));
  }
  throws(() => unpackImage(new Uint8Array(10), { file, what: 'record 3' }), FormatError, /x\.rec: record 3, id, byte 8: truncated/);
  const many = packImage({ labels: Float32Array.of(1, 2), id: 0n, id2: 0n, image: new Uint8Array(0) });
  new DataView(many.buffer).setUint32(0, 2 ** 31, true);
  throws(() => unpackImage(many, { file }), FormatError, /2147483648 labels.*truncated/);
  throws(() => packImage({ labels: new Float32Array(0), id: 0n, id2: 0n, image: new Uint8Array(0) }), FormatError, /0 labels/);
});

test('indices and lists, and what is wrong in them by line', () => {
  const index = [{ key: 4, offset: 0 }, { key: 0, offset: 1024 }];
  assert.equal(parseIndex(formatIndex(index), { file: 'x.idx' }), index);
  throws(() => parseIndex('0\t0\n1\t18\n', { file: 'x.idx' }), FormatError, /x\.idx: line 2: .*multiple of 4, got "1\\t18"/);
  throws(() => parseIndex('0\t0\n0\t16\n', { file: 'x.idx' }), FormatError, /line 2: key 0 is there twice/);
  throws(() => parseIndex('a\t0\n', { file: 'x.idx' }), FormatError, /line 1/);
  const list = [{ key: 3, labels: [1], path: 'a/b c.jpg' }, { key: 1, labels: [0.5, -2, 1e6], path: 'ü.png' }];
  assert.is(formatList(list), '3\t1.000000\ta/b c.jpg\n1\t0.500000\t-2.000000\t1000000.000000\tü.png\n');
  assert.equal(parseList(formatList(list), { file: 'x.lst' }), list);
  assert.equal(parseList('0 \t 1e-3 \t nan\t name.jpg \n\n', { file: 'x.lst' }), [{ key: 0, labels: [0.001, NaN], path: 'name.jpg' }]);
  for (const [line, says] of [['1\tpath', /line 1: expected/], ['1\tone\tpath', /line 1/], ['-1\t0\tpath', /line 1/], ['1.5\t0\tpath', /line 1/]] as const) {
    throws(() => parseList(line, { file: 'x.lst' }), FormatError, says);
  }
});

const source = 'MXNet 1.9.1, records';
const folder = shared('fixtures', 'mxnet', 'rec');
if (folder === undefined) skip("MXNet's records", noFixtures('mxnet', 'rec'));
else {
  const open = (name: string): Uint8Array => Uint8Array.from(readFileSync(`${folder}/${name}`));
  const index = (name: string) => parseIndex(readFileSync(`${folder}/${name}.idx`, 'utf8'), { file: `${name}.idx` });
  for (const name of ['plain', 'resized', 'png', 'pass', 'multi']) {
    const title = `MXNet's records ${name}: written again they are the same bytes`;
    // A folder made anew without OpenCV has no images that im2rec encoded.
    if (!existsSync(`${folder}/${name}.rec`)) {
      skip(title, noFixtures('mxnet', 'rec'));
      continue;
    }
    test(title, () => {
      const records = readRecords(open(`${name}.rec`), { file: name });
      const images = records.map((payload) => unpackImage(payload, { file: name }));
      const { bytes, offsets } = writeRecords(images.map(packImage));
      holdsExactly(source, `${name}.rec, written again`, 'bytes', bytes, open(`${name}.rec`));
      assert.is(formatIndex(offsets.map((offset, i) => ({ key: Number(images[i].id), offset }))), readFileSync(`${folder}/${name}.idx`, 'utf8'));
      const list = parseList(readFileSync(`${folder}/${name}.lst`, 'utf8'), { file: `${name}.lst` });
      assert.equal(images.map(({ labels }) => [...labels]), list.map(({ labels }) => labels));
      assert.is(formatList(list), readFileSync(`${folder}/${name}.lst`, 'utf8'));
    });
  }
  test("MXNet's split records", () => {
    const records = readRecords(open('split.rec'), { file: 'split.rec' });
    assert.equal(records.map((r) => Buffer.from(r).toString('hex')), JSON.parse(readFileSync(`${folder}/split.json`, 'utf8')));
    const { bytes, offsets } = writeRecords(records);
    holdsExactly(source, 'split.rec, written again', 'bytes', bytes, open('split.rec'));
    assert.equal(offsets, index('split').map(({ offset }) => offset));
  });
}

test.run();
