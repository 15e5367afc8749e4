import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { checkpointNames, joinCheckpoint, readParams, splitCheckpoint, writeParams } from '../../src/formats/mxnet-params.ts';
import type { HostArray, HostDType } from '../../src/nn/host-array.ts';
import { elementsOf, hostBytes } from '../../src/nn/host-array.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { holdsExactly } from '../support/conformance.ts';
import { throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const file = 'x.params';

function random(dtype: HostDType, shape: number[], name: string): HostArray {
  const stream = new PhiloxStream(3, name);
  const size = shape.reduce((n, d) => n * d, 1);
  const bytes = Uint8Array.from({ length: size * hostBytes[dtype] }, () => stream.int(256));
  return { shape, dtype, data: elementsOf(dtype, bytes.buffer) };
}

/** Bits, so that NaNs compare too. */
function same(a: HostArray, b: HostArray, what: string): void {
  assert.equal([...a.shape], [...b.shape], what);
  assert.is(a.dtype, b.dtype, what);
  assert.ok(Buffer.from(a.data.buffer).equals(Buffer.from(b.data.buffer)), `${what}: the bits differ`);
}

const every: HostDType[] = [
  'float32', 'float64', 'float16', 'bfloat16', 'bool', 'uint8', 'int8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64',
];
const sample = new Map<string, HostArray>([
  ...every.map((dtype): [string, HostArray] => [`arg:${dtype}`, random(dtype, [3, 5], dtype)]),
  ['arg:conv_weight', random('float32', [4, 3, 3, 2], 'conv')],
  ['aux:ünïcode_moving_mean', random('float32', [7], 'aux')],
  ['arg:scalar', random('float32', [], 'scalar')],
  ['arg:empty', random('float32', [0, 3], 'empty')],
  ['arg:none', { shape: [], dtype: 'float32', data: new Float32Array(0) }],
]);

test('every dtype, scalars, empty arrays and none come back bit for bit, in order', () => {
  const bytes = writeParams(sample);
  const back = readParams(bytes, { file });
  assert.equal([...back.keys()], [...sample.keys()]);
  for (const [name, array] of sample) same(back.get(name)!, array, name);
  assert.equal(writeParams(back), bytes);
});

test('a nameless list', () => {
  const arrays = [random('float32', [2, 3], 'a'), random('uint8', [4], 'b')];
  const back = readParams(writeParams(arrays), { file });
  assert.equal([...back.keys()], ['0', '1']);
  arrays.forEach((array, i) => same(back.get(String(i))!, array, String(i)));
});

test('arg: and aux: are told apart', () => {
  const parts = splitCheckpoint(sample, { file });
  assert.is(parts.auxiliary.size, 1);
  assert.is(parts.arguments.size, sample.size - 1);
  assert.equal(new Set(joinCheckpoint(parts).keys()), new Set(sample.keys()));
  throws(() => splitCheckpoint(new Map([['w', random('float32', [1], 'w')]]), { file }), FormatError, /x\.params.*"w".*arg:/);
});

test('cut at any byte: a FormatError that names file and byte', () => {
  const bytes = writeParams(new Map([...sample].slice(0, 3)));
  for (let length = 0; length < bytes.length; length++) {
    throws(() => readParams(bytes.subarray(0, length), { file }), FormatError, /^x\.params: .+, byte \d+: /);
  }
  throws(() => readParams(new Uint8Array([...bytes, 0]), { file }), FormatError, /1 bytes too many/);
});

test('mutated at random: a FormatError, or arrays that are written and read again the same', () => {
  const bytes = writeParams(new Map([...sample].slice(0, 4)));
  const stream = new PhiloxStream(11, 'mutations');
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    const mutated = bytes.slice();
    // Half of them in the headers, where the structure is.
    for (let n = stream.int(3); n >= 0; n--) {
      const at = stream.chance(0.5) ? stream.int(60) : stream.int(mutated.length);
      mutated[at] = stream.chance(0.5) ? stream.int(256) : mutated[at] ^ (1 << stream.int(8));
    }
    try {
      const arrays = readParams(mutated, { file });
      const again = readParams(writeParams(arrays), { file });
      for (const [name, array] of arrays) same(again.get(name)!, array, `round ${round}`);
    } catch (error) {
      assert.instance(error, FormatError, `round ${round}: ${String((error as Error).stack)}`);
      refused++;
    }
  }
  assert.ok(refused > 1000, `only ${refused} of 4000 were refused`);
});

test('a count that cannot be is refused before memory is asked for', () => {
  const bytes = writeParams(new Map([['arg:w', random('float32', [2, 2], 'w')]]));
  const view = new DataView(bytes.buffer);
  view.setUint32(16, 0xffffffff, true);
  throws(() => readParams(bytes, { file }), FormatError, /number of arrays.*cannot fit/);
  const dims = writeParams(new Map([['arg:w', random('float32', [2, 2], 'w')]]));
  new DataView(dims.buffer).setUint32(36, 0x7fffffff, true);
  throws(() => readParams(dims, { file }), FormatError, /array 0 of 1.*truncated/);
});

const folder = shared('fixtures', 'mxnet', 'files');
const names = ['v0.params', 'v1.params', 'v2.params', 'nameless.nd', 'v3.params', 'dtypes.params', 'special.params', 'sparse.params'];
if (folder === undefined) {
  for (const name of names) skip(`MXNet's file ${name}`, noFixtures('mxnet', 'files'));
} else {
  const open = (name: string): Uint8Array => readFileSync(`${folder}/${name}`);
  const values = JSON.parse(readFileSync(`${folder}/values.json`, 'utf8')) as {
    arrays: Record<string, { shape: number[]; values: number[] }>; dtypes: { shape: number[]; values: number[] };
    'v3.params': { scalar: number; empty: number[]; w: string };
  };
  const exact = (fixture: string, got: ArrayLike<number>, want: ArrayLike<number>, what = 'values'): void =>
    holdsExactly('MXNet 1.9.1, files', fixture, what, got, want);
  for (const name of names.slice(0, 4)) {
    test(`MXNet's file ${name}`, () => {
      const arrays = readParams(open(name), { file: name });
      const want = Object.entries(values.arrays);
      assert.is(arrays.size, want.length);
      want.forEach(([key, { shape, values: numbers }], i) => {
        const got = arrays.get(name === 'nameless.nd' ? String(i) : key)!;
        assert.equal([...got.shape], shape, key);
        exact(name, got.data as Float32Array, numbers);
      });
      if (name === 'v2.params') exact(`${name}, written again`, writeParams(arrays), open(name), 'bytes');
    });
  }
  test("MXNet's file v3.params", () => {
    const arrays = readParams(open('v3.params'), { file: 'v3.params' });
    const { scalar, empty, w } = values['v3.params'];
    assert.equal([...arrays.get('scalar')!.shape], []);
    exact('v3.params', arrays.get('scalar')!.data as Float32Array, [scalar]);
    assert.equal([...arrays.get('empty')!.shape], empty);
    exact('v3.params', arrays.get('w')!.data as Float32Array, values.arrays[w].values);
  });
  test("MXNet's file dtypes.params", () => {
    const arrays = readParams(open('dtypes.params'), { file: 'dtypes.params' });
    assert.is(arrays.size, 7);
    for (const [dtype, array] of arrays) {
      assert.is(array.dtype, dtype);
      assert.equal([...array.shape], values.dtypes.shape);
      // Half floats are kept as bits; those of 0 to 99 are exact, and checked by value here.
      const numbers = Array.from(array.data as ArrayLike<number | bigint>, Number);
      exact('dtypes.params', dtype === 'float16' ? numbers.map(half) : numbers, values.dtypes.values);
    }
    exact('dtypes.params, written again', writeParams(arrays), open('dtypes.params'), 'bytes');
  });
  test("MXNet's file special.params", () => {
    const { data } = readParams(open('special.params'), { file: 'special.params' }).get('v')!;
    const want = Float32Array.of(0, -0, Infinity, -Infinity, NaN, 1e-45, 3.4028235e38);
    exact('special.params', data as Float32Array, want);
  });
  test("MXNet's file sparse.params", () => {
    throws(() => readParams(open('sparse.params'), { file: 'sparse.params' }), FormatError, /sparse\.params.*(row_sparse|csr).*dense/);
  });
}

const real = shared('formats', 'mxnet');
if (real === undefined) skip("MXNet's files of 2015 to 2017", 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
else {
  test('a mean image of 2015 and a nameless list, both of version 0', () => {
    const mean = readParams(readFileSync(`${real}/mean_224.nd`), { file: 'mean_224.nd' });
    assert.equal([...mean.keys()], ['mean_img']);
    const { shape, data } = mean.get('mean_img')!;
    assert.equal([...shape], [3, 224, 224]);
    const channel = (c: number): number => (data as Float32Array).subarray(c * 224 * 224, (c + 1) * 224 * 224).reduce((a, b) => a + b, 0) / (224 * 224);
    assert.equal([0, 1, 2].map((c) => channel(c).toFixed(2)), ['123.16', '115.74', '102.70']);
    const list = readParams(readFileSync(`${real}/legacy_ndarray.v0`), { file: 'legacy_ndarray.v0' });
    assert.equal([...list.keys()], ['0', '1', '2', '3', '4', '5']);
    for (const array of list.values()) assert.equal([array.dtype, [...array.shape]], ['float32', [128]]);
    for (const [file, arrays] of [['mean', mean], ['list', [...list.values()]]] as const) {
      const again = readParams(writeParams(arrays), { file });
      for (const [name, array] of again) same(array, Array.isArray(arrays) ? arrays[Number(name)] : (arrays as typeof mean).get(name)!, name);
    }
  });
}

test('a checkpoint\'s files are named as MXNet names them', () => {
  assert.equal(checkpointNames('runs/eyes', 7), { symbol: 'runs/eyes-symbol.json', params: 'runs/eyes-0007.params' });
  assert.is(checkpointNames('eyes', 12345).params, 'eyes-12345.params');
});

function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  return exponent === 0 ? (bits & 1023) * 2 ** -24 : (1 + (bits & 1023) / 1024) * 2 ** (exponent - 15);
}

test.run();
