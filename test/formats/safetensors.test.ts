import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { toFloat32 } from '../../src/nn/host-array.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { holdsExactly } from '../support/conformance.ts';
import { throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const file = 'state.safetensors';
const tensors = new Map<string, HostArray>([
  ['momentum/conv_1_weight', { shape: [2, 3], dtype: 'float32', data: Float32Array.of(0, -0, NaN, 1e-45, -Infinity, 3) }],
  ['step', { shape: [], dtype: 'int32', data: Int32Array.of(-7) }],
  ['__proto__', { shape: [2], dtype: 'int64', data: BigInt64Array.of(-1n, 2n ** 62n) }],
  ['pixels', { shape: [3], dtype: 'uint8', data: Uint8Array.of(1, 2, 255) }],
  ['empty', { shape: [0, 4], dtype: 'float32', data: new Float32Array(0) }],
]);
const metadata = new Map([['format', 'fovea-1'], ['note', 'quotes " and \\ and ü']]);

test('tensors and metadata come back bit for bit', () => {
  const bytes = writeSafetensors(tensors, metadata);
  const back = readSafetensors(bytes, { file });
  assert.equal(new Set(back.tensors.keys()), new Set(tensors.keys()));
  for (const [name, want] of tensors) {
    const got = back.tensors.get(name)!;
    assert.equal([...got.shape], [...want.shape], name);
    assert.is(got.dtype, want.dtype, name);
    assert.ok(Buffer.from(got.data.buffer).equals(Buffer.from(want.data.buffer)), name);
  }
  assert.equal(back.metadata, metadata);
  assert.equal(writeSafetensors(back.tensors, back.metadata), bytes);
});

test('the bytes do not depend on the order of the tensors', () => {
  assert.equal(writeSafetensors(new Map([...tensors].reverse()), metadata), writeSafetensors(tensors, metadata));
});

test('elements are aligned in the file', () => {
  const bytes = writeSafetensors(tensors, metadata);
  const start = 8 + new DataView(bytes.buffer).getUint32(0, true);
  assert.is(start % 8, 0);
  const header = JSON.parse(Buffer.from(bytes.subarray(8, start)).toString()) as Record<string, { dtype: string; data_offsets: number[] }>;
  assert.is(header.step.data_offsets[0] % 4, 0);
});

test('cut at any byte: a FormatError', () => {
  const bytes = writeSafetensors(tensors, metadata);
  for (let length = 0; length < bytes.length; length++) {
    throws(() => readSafetensors(bytes.subarray(0, length), { file }), FormatError, /^state\.safetensors: /);
  }
});

function withHeader(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + dataBytes);
  new DataView(out.buffer).setUint32(0, json.length, true);
  out.set(json, 8);
  return out;
}

for (const [what, header, bytes, says] of [
  ['an overlap', {
    a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] }, b: { dtype: 'F32', shape: [1], data_offsets: [4, 8] },
  }, 8, /"b".*begins at 4, where 8/],
  ['a hole', { a: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, 8, /"a".*begins at 4, where 0/],
  ['bytes of no tensor', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 8, /4 bytes belong to no tensor/],
  ['offsets that do not fit the shape', { a: { dtype: 'F32', shape: [3], data_offsets: [0, 8] } }, 8, /"a".*takes 12/],
  ['an unknown dtype', { a: { dtype: 'F31', shape: [1], data_offsets: [0, 4] } }, 4, /"a", dtype.*F31/],
  ['a negative dimension', { a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4, /"a", shape/],
  ['a list for a header', [], 0, /expected a JSON object/],
  ['metadata that is no text', { __metadata__: { a: 1 } }, 0, /__metadata__\.a/],
] as const) {
  test(`${what} is refused`, () => throws(() => readSafetensors(withHeader(header, bytes), { file }), FormatError, says));
}

test('mutated at random: a FormatError, or tensors that are written and read again the same', () => {
  const bytes = writeSafetensors(tensors, metadata);
  const stream = new PhiloxStream(5, 'mutations');
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const mutated = bytes.slice();
    for (let n = stream.int(3); n >= 0; n--) mutated[stream.int(mutated.length)] ^= 1 << stream.int(8);
    try {
      const back = readSafetensors(mutated, { file });
      const again = readSafetensors(writeSafetensors(back.tensors, back.metadata), { file });
      assert.is(again.tensors.size, back.tensors.size);
    } catch (error) {
      assert.instance(error, FormatError, `round ${round}: ${String((error as Error).stack)}`);
      refused++;
    }
  }
  assert.ok(refused > 1000, `only ${refused} of 3000 were refused`);
});

const kinds = shared('fixtures', 'torch', 'kinds.safetensors');
if (kinds === undefined) {
  skip('a file of the safetensors package: every dtype', noFixtures('torch', 'torch'));
} else {
  test('a file of the safetensors package: every dtype', () => {
    const { tensors: read, metadata: notes } = readSafetensors(readFileSync(kinds), { file: kinds });
    const eighths = { shape: [3, 4], values: Array.from({ length: 12 }, (_, i) => i / 8) };
    const row = (...values: number[]): typeof eighths => ({ shape: [values.length], values });
    // What is in the given file; one made anew has its values beside it.
    const described = shared('fixtures', 'torch', 'kinds.json');
    const want: { metadata: object; tensors: Record<string, typeof eighths> } = described !== undefined
      ? JSON.parse(readFileSync(described, 'utf8')) as typeof want
      : {
          metadata: { format: 'pt', made: 'fixture' },
          tensors: {
            f32: eighths, f16: eighths, bf16: eighths, f64: eighths, i64: row(0, 1, 2, 3, 4), u8: row(0, 1, 2, 3, 4, 5, 6), bool: row(1, 0),
            scalar: { shape: [], values: [2.5] }, empty: { shape: [0, 3], values: [] },
          },
        };
    assert.equal(Object.fromEntries(notes), want.metadata);
    assert.equal([...read.keys()].sort(), Object.keys(want.tensors).sort());
    assert.equal(['f16', 'bf16', 'f64', 'i64', 'u8', 'bool'].map((name) => read.get(name)!.dtype),
      ['float16', 'bfloat16', 'float64', 'int64', 'uint8', 'bool']);
    for (const [name, { shape, values }] of Object.entries(want.tensors)) {
      assert.equal([...read.get(name)!.shape], shape, name);
      holdsExactly('The safetensors package', `kinds.safetensors, ${name}`, 'values', toFloat32(read.get(name)!).data as Float32Array, values);
    }
    const again = readSafetensors(writeSafetensors(read, notes), { file: 'again' });
    for (const [name, array] of read) assert.ok(Buffer.from(again.tensors.get(name)!.data.buffer).equals(Buffer.from(array.data.buffer)), name);
  });
}

test.run();
