/**
 * Some thousand mutated files of every format; `node --import tsx tools/mutate.ts` does 100,000. What is mutated how, and what may come
 * of it, is in tools/mutations/.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { readParams, writeParams } from '../../src/formats/mxnet-params.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { readRecords, writeRecords } from '../../src/formats/recordio.ts';
import type { MutatedFormat } from '../../tools/mutations/format.ts';
import { formats } from '../../tools/mutations/formats.ts';
import type { Verdict } from '../../tools/mutations/judge.ts';
import { Violation, judge } from '../../tools/mutations/judge.ts';
import { params } from '../../tools/mutations/mxnet.ts';
import { mutation } from '../../tools/mutations/mutate.ts';
import { throws } from '../support/errors.ts';

const COUNT = 600;
/** Other than those that the command begins with. */
const FIRST = 1_000_000;

for (const format of formats) {
  test(`whole ${format.name}: written as they were read, every field within`, () => {
    for (const seed of format.seeds()) {
      const verdict = judge(format, { seed, structural: false, bytes: seed.bytes.slice() });
      assert.ok(verdict === 'same bytes' || (verdict === 'same value' && !seed.exact), `${seed.name}: ${verdict}`);
      for (const { start, end } of format.fields(seed.bytes)) assert.ok(start < end && end <= seed.bytes.length, seed.name);
    }
  });

  test(`mutated ${format.name}: refused with file, field and place, or written as they were read`, () => {
    const verdicts: Record<Verdict, number> = { refused: 0, 'same bytes': 0, 'same value': 0 };
    for (let number = FIRST; number < FIRST + COUNT; number++) {
      const mutated = mutation(format, number);
      try {
        verdicts[judge(format, mutated)]++;
      } catch (error) {
        assert.unreachable(`node --import tsx tools/mutate.ts --first ${number} --count 1 ${format.name}\n${(error as Error).stack}`);
      }
    }
    // Both ends are reached, or nothing was tried.
    assert.ok(verdicts.refused > COUNT / 4 && verdicts['same bytes'] + verdicts['same value'] > COUNT / 100, JSON.stringify(verdicts));
  });
}

test('a mutation follows from its number', () => {
  for (const number of [3, 4, 5]) assert.equal(mutation(params, number), mutation(params, number));
  assert.not.equal(mutation(params, 3).bytes, mutation(params, 5).bytes);
});

test('readers that are wrong are seen', () => {
  const [seed] = params.seeds();
  const whole = { seed, structural: false, bytes: seed.bytes };
  const wrong = (change: Partial<MutatedFormat>, says: RegExp): void =>
    throws(() => judge({ ...params, ...change }, { ...whole, bytes: seed.bytes.slice() }), Violation, says);
  const fail = (error: Error) => () => { throw error; };
  wrong({ read: fail(new TypeError('x is undefined')) }, /another class: TypeError/);
  wrong({ read: fail(new FormatError('something is wrong')) }, /without file, field and place/);
  wrong({ read: fail(new FormatError('mutated.params: something is wrong')) }, /without file, field and place/);
  wrong({ read: () => () => writeParams(new Map()) }, /bytes were read, 32 written/);
  wrong({ read: (bytes, file) => () => {
    const arrays = readParams(bytes, { file });
    arrays.get('arg:float32')!.data[0] = 42;
    return writeParams(arrays);
  } }, /byte \d+: \d+ was read, \d+ written/);
  wrong({ read: (bytes, file) => {
    bytes[bytes.length - 1] ^= 1;
    return params.read(bytes, file);
  } }, /changed the bytes/);
  let held: Uint8Array | undefined;
  wrong({ read: (bytes, file) => {
    held = new Uint8Array(100 << 20).fill(1);
    return params.read(bytes, file);
  } }, /bytes of memory for a file of/);
  assert.is(held?.length, 100 << 20);
  wrong({ read: (bytes, file) => {
    for (const end = performance.now() + 1100; performance.now() < end;);
    return params.read(bytes, file);
  } }, /ms for a file of \d+ bytes, twice/);
});

test('large files take at most four times their size and 64 MB', () => {
  const data = new Float32Array(6 << 20).fill(1.5);
  const large = new Map([['arg:w', { shape: [data.length], dtype: 'float32' as const, data }]]);
  const files: [string, Uint8Array, (bytes: Uint8Array, file: string) => unknown][] = [
    ['.params', writeParams(large), (bytes, file) => readParams(bytes, { file })],
    ['.safetensors', writeSafetensors(large), (bytes, file) => readSafetensors(bytes, { file })],
    ['.rec', writeRecords(Array.from({ length: 400 }, () => new Uint8Array(50_000).fill(7))).bytes, (bytes, file) => readRecords(bytes, { file })],
  ];
  for (const [name, bytes, read] of files) {
    const format: MutatedFormat = {
      name, place: /byte \d+: /, seeds: () => [], fields: () => [],
      read(given, file) {
        read(given, file);
        return () => given;
      },
    };
    const seed = { name, bytes, exact: true };
    assert.is(judge(format, { seed, structural: false, bytes }), 'same bytes');
    assert.is(judge(format, { seed, structural: true, bytes: bytes.subarray(0, bytes.length - 1) }), 'refused');
  }
});

test('the command counts, and says how a mutation is tried again', () => {
  const tool = fileURLToPath(new URL('../../tools/mutate.ts', import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', tool, '--count', '40', '.params', '.idx'], { encoding: 'utf8' });
  assert.is(status, 0, stdout);
  assert.match(stdout, /\.params +│ 20 /);
  assert.match(stdout, /numbers 0 to 19 of each format/);
  assert.is(spawnSync(process.execPath, ['--import', 'tsx', tool, '.parms'], { encoding: 'utf8' }).status, 1);
});

test.run();
