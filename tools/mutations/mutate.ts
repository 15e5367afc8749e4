/** Mutations of a file: half at random bytes, half by structure. What comes of a number is always the same. */
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Field, MutatedFormat, Seed } from './format.ts';

/** A mutation is known by its format and number: these choose the seed file and all that is done to it. */
export interface Mutation {
  readonly seed: Seed;
  readonly structural: boolean;
  readonly bytes: Uint8Array;
}

export function mutation(format: MutatedFormat, number: number): Mutation {
  const stream = new PhiloxStream(number, format.name);
  const seeds = format.seeds();
  const seed = seeds[stream.int(seeds.length)];
  const structural = number % 2 === 1;
  let bytes: Uint8Array = seed.bytes.slice();
  for (let n = stream.int(3); n >= 0; n--) {
    if (!structural) {
      bytes = random(bytes, stream);
      continue;
    }
    // Later changes see the file as it was: fields of what the first made of it may be none.
    const fields = n === 0 || bytes.length === seed.bytes.length ? format.fields(seed.bytes) : [];
    bytes = fields.length === 0 || bytes.length !== seed.bytes.length ? random(bytes, stream) : byStructure(bytes, fields, stream);
  }
  if (format.repair !== undefined && stream.chance(0.8)) bytes = format.repair(bytes, seed.bytes);
  return { seed, structural, bytes };
}

function splice(bytes: Uint8Array, start: number, end: number, middle: Uint8Array): Uint8Array {
  return Uint8Array.from(Buffer.concat([bytes.subarray(0, start), middle, bytes.subarray(end)]));
}

function random(bytes: Uint8Array, stream: PhiloxStream): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(stream.int(256));
  const at = stream.int(bytes.length);
  const some = 1 + stream.int(Math.min(64, bytes.length));
  switch (stream.int(8)) {
    case 0: case 1: case 2: {
      const out = bytes.slice();
      out[at] ^= 1 << stream.int(8);
      return out;
    }
    case 3: {
      const out = bytes.slice();
      out[at] = stream.int(256);
      return out;
    }
    case 4: return bytes.slice(0, at);
    case 5: return splice(bytes, at, Math.min(bytes.length, at + some), new Uint8Array(0));
    case 6: return splice(bytes, at, at, Uint8Array.from({ length: some }, () => stream.int(256)));
    default: return splice(bytes, at, at, bytes.subarray(at, at + some));
  }
}

function byStructure(bytes: Uint8Array, fields: readonly Field[], stream: PhiloxStream): Uint8Array {
  const pick = (): Field => fields[stream.int(fields.length)];
  const field = pick();
  switch (stream.int(8)) {
    // Cut at a field, a stretch between two fields gone, or there twice.
    case 0: return bytes.slice(0, field.start);
    case 1: case 2: {
      const other = pick();
      const [start, end] = [Math.min(field.start, other.start), Math.max(field.end, other.end)];
      if (end - start > 4096) break;
      return stream.chance(0.5) ? splice(bytes, start, end, new Uint8Array(0)) : splice(bytes, end, end, bytes.subarray(start, end));
    }
    default:
  }
  return field.kind === 'text' ? splice(bytes, field.start, field.end, token(bytes, field, pick(), stream)) : integer(bytes, field, pick(), stream);
}

const tokens = [
  '0', '1', '-1', '2', '0.5', '1e2', '1e308', '1e999', '-0', '2147483647', '4294967296', '9007199254740992', '9007199254740993', '18446744073709551616',
  '""', '"\\u0000"', '"__proto__"', '"constructor"', '"F64"', '"BF16"', '"float16"', '"(3, 3)"', '"()"', '"None"', '"nan"', '"1e9"', '"-1"',
  'null', 'true', 'false', '[]', '{}', '[[]]', '[0,0]', '{"a":1}', ',', ':', ']', '}', '',
];

function token(bytes: Uint8Array, field: Field, other: Field, stream: PhiloxStream): Uint8Array {
  const text = Buffer.from(bytes.subarray(field.start, field.end)).toString('latin1');
  const number = Number(text);
  if (text !== '' && Number.isFinite(number) && stream.chance(0.5)) {
    return Buffer.from(String([number + 1, number - 1, number * 2, -number, Math.floor(number / 2), number + 0.5, number * 1e10][stream.int(7)]));
  }
  return stream.chance(0.3) ? bytes.slice(other.start, other.end) : Buffer.from(tokens[stream.int(tokens.length)]);
}

function integer(bytes: Uint8Array, field: Field, other: Field, stream: PhiloxStream): Uint8Array {
  const out = bytes.slice();
  const width = BigInt(field.end - field.start) * 8n;
  const read = ({ start, end }: Field): bigint => out.subarray(start, Math.min(end, start + 8)).reduceRight((n, byte) => n << 8n | BigInt(byte), 0n);
  const value = read(field);
  const choices = [
    value + 1n, value - 1n, value + 4n, value - 4n, value * 2n, value / 2n, 0n, 1n, 2n, -1n, 1n << (width - 1n), (1n << (width - 1n)) - 1n,
    1n << 29n, 1n << 31n, (1n << 32n) - 1n, 1n << 53n, BigInt(stream.int(40)), BigInt(stream.int(2 ** 32)), read(other),
    value ^ 1n << BigInt(stream.int(Number(width))),
  ];
  let chosen = BigInt.asUintN(Number(width), choices[stream.int(choices.length)]);
  for (let at = field.start; at < field.end; at++, chosen >>= 8n) out[at] = Number(chosen & 255n);
  return out;
}
