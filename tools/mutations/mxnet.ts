/** MXNet's `.params`, `-symbol.json`, `.rec`, `.idx` and `.lst`. */
import { packImage, unpackImage } from '../../src/formats/image-record.ts';
import { readParams, writeParams } from '../../src/formats/mxnet-params.ts';
import { readSymbol, writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import { formatIndex, formatList, parseIndex, parseList } from '../../src/formats/record-list.ts';
import { readRecords, writeRecords } from '../../src/formats/recordio.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { activation, batchNorm, chain, convolution, dropout, fullyConnected, pooling, softmaxOutput } from '../../src/nn/index.ts';
import type { HostArray, HostDType } from '../../src/nn/host-array.ts';
import { elementsOf, hostBytes } from '../../src/nn/host-array.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { FieldList, jsonFields } from './format.ts';
import type { Field, MutatedFormat, Seed } from './format.ts';

const V1 = 0xf993fac8;
const V2 = 0xf993fac9;
const V3 = 0xf993faca;
const dtypes: HostDType[] = [
  'float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64', 'bool', 'int16', 'uint16', 'uint32', 'uint64', 'bfloat16',
];
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
/** Seeds are made once. */
const once = (make: () => readonly Seed[]): (() => readonly Seed[]) => {
  let made: readonly Seed[] | undefined;
  return () => (made ??= make());
};

export function someArray(dtype: HostDType, shape: readonly number[], name: string): HostArray {
  const stream = new PhiloxStream(1, name);
  const size = shape.reduce((n, d) => n * d, 1);
  return { shape, dtype, data: elementsOf(dtype, Uint8Array.from({ length: size * hostBytes[dtype] }, () => stream.int(256)).buffer) };
}

/** The arrays of a file of version 2 in versions 0 and 1, which are written nowhere else any more. */
function older(version: 0 | 1, arrays: ReadonlyMap<string, HostArray>): Uint8Array {
  const words: (readonly [bytes: 4 | 8, value: number] | Uint8Array)[] = [[8, 0x112], [8, 0], [8, arrays.size]];
  for (const { shape, dtype, data } of arrays.values()) {
    if (version === 1) words.push([4, V1]);
    words.push([4, shape.length], ...shape.map((d) => [version === 1 ? 8 : 4, d] as const), [4, 1], [4, 0], [4, dtypes.indexOf(dtype)]);
    words.push(new Uint8Array(data.buffer));
  }
  words.push([8, arrays.size]);
  for (const name of arrays.keys()) words.push([8, encode(name).length], encode(name));
  return Uint8Array.from(Buffer.concat(words.map((word) => {
    if (word instanceof Uint8Array) return Buffer.from(word);
    const out = Buffer.alloc(word[0]);
    out.writeUInt32LE(word[1]);
    return out;
  })));
}

export const params: MutatedFormat = {
  name: '.params',
  place: /, byte \d+: /,
  seeds: once(() => {
    const every = new Map(dtypes.map((dtype) => [`arg:${dtype}`, someArray(dtype, [2, 3], dtype)]));
    const few = new Map([
      ['arg:conv_weight', someArray('float32', [4, 3, 3, 2], 'conv')], ['arg:fc_bias', someArray('float16', [7], 'fc')],
      ['aux:ünïcode_moving_mean', someArray('float64', [1, 5], 'mean')],
    ]);
    const odd = new Map([
      ['scalar', someArray('float32', [], 'scalar')], ['empty', someArray('int32', [0, 3], 'empty')],
      ['none', { shape: [], dtype: 'float32', data: new Float32Array(0) } satisfies HostArray], ['w', someArray('uint8', [3, 2], 'w')],
    ]);
    return [
      { name: 'every dtype', bytes: writeParams(every), exact: true }, { name: 'few', bytes: writeParams(few), exact: true },
      { name: 'nameless', bytes: writeParams([...few.values()]), exact: true }, { name: 'scalar, empty, none', bytes: writeParams(odd), exact: false },
      { name: 'version 0', bytes: older(0, few), exact: false }, { name: 'version 1', bytes: older(1, few), exact: false },
      { name: 'no arrays', bytes: writeParams(new Map()), exact: true },
    ];
  }),
  fields(bytes) {
    const list = new FieldList(bytes);
    list.take('version', 8);
    list.take('ignored', 8);
    for (let n = list.take('count', 8); n > 0; n--) {
      const word = list.take('version', 4);
      const newer = word === V2 || word === V3;
      if (newer) list.take('flag', 4);
      const rank = newer || word === V1 ? list.take('length', 4) : word;
      if (rank === 0 && word !== V3) continue;
      const shape = Array.from({ length: rank }, () => list.take('dim', newer || word === V1 ? 8 : 4));
      list.take('ignored', 4);
      list.take('ignored', 4);
      list.skip(hostBytes[dtypes[list.take('dtype', 4)]] * shape.reduce((n, d) => n * d, 1));
    }
    for (let n = list.take('count', 8); n > 0; n--) list.skip(list.take('length', 8));
    return list.fields;
  },
  read(bytes, file) {
    const arrays = readParams(bytes, { file });
    // A nameless list is a list: its numbers are not written.
    const nameless = [...arrays.keys()].every((name, i) => name === String(i)) && !isNamed(bytes);
    return () => writeParams(nameless ? [...arrays.values()] : arrays);
  },
};

/** Whether a readable file ends with the names of its arrays '0', '1', ... */
function isNamed(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && bytes.subarray(-8).some((byte) => byte !== 0);
}

export const symbol: MutatedFormat = {
  name: '-symbol.json',
  place: /^(nodes|heads|arg_nodes|not JSON|expected a JSON object|layer "|variable|operator|the symbol)/,
  seeds: once(() => {
    const mlp = chain('data', fullyConnected({ name: 'fc1', numHidden: 8, lrMult: 0.5 }), activation({ actType: 'relu', name: 'act' }),
      dropout({ p: 0.5, name: 'drop' }), fullyConnected({ name: 'fc2', numHidden: 2 }), softmaxOutput({ name: 'softmax' }));
    const convolutional = chain('data', convolution({ name: 'conv', kernel: [3, 3], numFilter: 4, pad: [1, 1] }), batchNorm({ name: 'bn', eps: 1e-4 }),
      pooling({ name: 'pool', kernel: [2, 2], stride: [2, 2], poolType: 'max' }));
    // As MXNet wrote it in 2015: other spellings, no auxiliary variables, entries of two.
    const old = JSON.parse(writeSymbol(convolutional)) as { nodes: { name: string; attrs?: object; param?: object; inputs: number[][] }[] };
    const kept = old.nodes.filter(({ name }) => !/moving_/.test(name));
    const place = new Map(kept.map((node, i) => [old.nodes.indexOf(node), i]));
    const nodes = kept.map(({ attrs = {}, inputs, ...node }) => ({
      ...node, param: attrs, inputs: inputs.filter(([i]) => place.has(i)).map(([i, output]) => [place.get(i), output]), backward_source_id: -1,
    }));
    const variables = nodes.flatMap((node, i) => ('op' in node && node.op === 'null' ? [i] : []));
    const legacy = JSON.stringify({ nodes, arg_nodes: variables, heads: [[nodes.length - 1, 0]] });
    return [['mlp', writeSymbol(mlp)], ['convolutional', writeSymbol(convolutional)], ['legacy', legacy],
      ['inception', writeSymbol(inceptionBNSmall({ width: 0.25 }))]].map(([name, text]) => ({ name, bytes: encode(text), exact: false }));
  }),
  fields: (bytes) => jsonFields(bytes),
  read(bytes, file) {
    const read = readSymbol(decode(bytes), { file });
    return () => encode(writeSymbol(read));
  },
};

const magic = Uint8Array.of(0x0a, 0x23, 0xd7, 0xce);

function recordSeeds(): Uint8Array[][] {
  const stream = new PhiloxStream(2, 'records');
  const bytes = (): Uint8Array => Uint8Array.from({ length: stream.int(60) }, () => stream.int(256));
  const piece = (): Uint8Array => (stream.chance(0.4) ? magic : bytes());
  const split = Array.from({ length: 6 }, () => Uint8Array.from(Buffer.concat(Array.from({ length: stream.int(6) }, piece))));
  return [Array.from({ length: 5 }, bytes), split];
}

/** Header of each record and part. */
function recordFields(bytes: Uint8Array): Field[] {
  const list = new FieldList(bytes);
  while (list.at < bytes.length) {
    list.take('flag', 4);
    list.skip(Math.ceil(list.take('length', 4) % 2 ** 29 / 4) * 4);
  }
  return list.fields;
}

export const records: MutatedFormat = {
  name: '.rec',
  place: /^record \d+, byte \d+: /,
  seeds: once(() => recordSeeds().map((payloads, i) => ({ name: i === 0 ? 'whole' : 'split', bytes: writeRecords(payloads).bytes, exact: true }))),
  fields: recordFields,
  read(bytes, file) {
    // A reader that passes over damage accounts for every byte.
    let told = 0;
    const kept = readRecords(bytes, { file, onDamage: (damage) => (told += damage.bytes) });
    told += writeRecords(kept).bytes.length;
    if (told !== bytes.length) throw new Error(`${told} of ${bytes.length} bytes were accounted for`);
    const payloads = readRecords(bytes, { file });
    return () => writeRecords(payloads).bytes;
  },
};

export const imageRecords: MutatedFormat = {
  name: '-images.rec',
  place: /^record \d+(, [\w ]+)?, byte \d+: /,
  seeds: once(() => [[1], [3], [1, 4, 2]].map((counts, k) => {
    const payloads = Array.from({ length: 4 }, (_, i) => {
      const count = counts[i % counts.length];
      const image = Uint8Array.of(0xff, 0xd8, 0xff, k, i, ...Array.from({ length: 9 + i }, (_, b) => b * 37 % 256), 0xff, 0xd9);
      return packImage({ labels: Float32Array.from({ length: count }, (_, l) => l / 2 - i), id: BigInt(i), id2: 0n, image });
    });
    return { name: `${counts.join(', ')} labels`, bytes: writeRecords(payloads).bytes, exact: true };
  })),
  fields(bytes) {
    return recordFields(bytes).flatMap((field, i, all) => {
      if (field.kind !== 'length') return [field];
      const header = new FieldList(bytes, field.end);
      if ((all[i + 1]?.start ?? bytes.length) - header.at < 24) return [field];
      const flag = header.take('count', 4);
      // The label of the header counts only where no labels follow.
      header.take(flag === 0 ? 'value' : 'ignored', 4);
      header.take('value', 8);
      header.take('value', 8);
      return [field, ...header.fields];
    });
  },
  read(bytes, file) {
    const images = readRecords(bytes, { file }).map((payload, i) => unpackImage(payload, { file, what: `record ${i}` }));
    return () => writeRecords(images.map(packImage)).bytes;
  },
};

/** Words and line ends of a text. */
function wordFields(bytes: Uint8Array): Field[] {
  return [...Buffer.from(bytes).toString('latin1').matchAll(/[^\t\n]+|\t|\n/g)]
    .map((match) => ({ kind: 'text', start: match.index, end: match.index + match[0].length }));
}

const listOf = (name: string, text: string, again: (text: string, file: string) => () => string): MutatedFormat => ({
  name, place: /^line \d+: /, fields: wordFields,
  seeds: once(() => [{ name: 'list', bytes: encode(text), exact: false }]),
  read(bytes, file) {
    const write = again(decode(bytes), file);
    return () => encode(write());
  },
});

export const index = listOf('.idx', '0\t0\n4\t5220\n7\t10576\n12\t14152\n', (text, file) => {
  const entries = parseIndex(text, { file });
  return () => formatIndex(entries);
});

export const list = listOf('.lst', '3\t1.000000\ta/1.jpg\n1\t0.500000\t-2.000000\tb/ü 2.png\n2\t0.000000\tc.jpeg\n', (text, file) => {
  const entries = parseList(text, { file });
  return () => formatList(entries);
});
