/**
 * Files in both directions, with MXNet itself: what Fovea writes it reads to the same values, what it writes from a seed Fovea reads.
 * Needs Python with mxnet; FOVEA_SEED chooses another seed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeImage } from '../../src/data/decode.ts';
import { RecordFile, RecordWriter } from '../../src/data/record-file.ts';
import { imageOf } from '../../src/data/records.ts';
import { packImage, unpackImage } from '../../src/formats/image-record.ts';
import { readParams, writeParams } from '../../src/formats/mxnet-params.ts';
import { readRecords } from '../../src/formats/recordio.ts';
import type { HostArray, HostDType } from '../../src/nn/host-array.ts';
import { bytesOf, elementsOf, hostBytes } from '../../src/nn/host-array.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { holds } from '../support/conformance.ts';
import { mxnetPython } from '../support/python.ts';
import { skip } from '../support/skip.ts';

interface Said {
  readonly [array: string]: { readonly dtype: string; readonly shape: number[]; readonly sha256: string };
}
interface SaidRecords {
  readonly order: string[];
  readonly index: Record<string, string>;
  readonly images?: Record<string, { flag: number; labels: number[]; id: number; id2: number; shape: number[]; sha256: string }>;
  readonly iterated?: [label: number, sha256: string][];
}

const { python, absent } = mxnetPython();
const seed = Number(process.env.FOVEA_SEED ?? 1);
const script = fileURLToPath(new URL('../../tools/oracles/mxnet_files.py', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'fovea-mxnet-'));
test.after(() => rmSync(root, { recursive: true }));

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const [wrote, read] = ['MXNet 1.9.1 on files that Fovea wrote', 'MXNet 1.9.1, files'];

/** What two readers say of one thing is the same, digests of all bytes among it. */
function agree(source: string, fixture: string, ours: unknown, theirs: unknown): void {
  assert.equal(ours, theirs, fixture);
  holds({ source, fixture, measure: 'arrays or records that differ', error: 0, tolerance: 0, runner: 'host' }, fixture);
}

function oracle(...args: string[]): Record<string, unknown> {
  const { status, stdout, stderr } = spawnSync(python!, [script, ...args], { encoding: 'utf8', maxBuffer: 1 << 26 });
  assert.is(status, 0, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

const stream = new PhiloxStream(seed, 'files');
const bytes = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, () => stream.int(256));
const mxnetDTypes: HostDType[] = ['float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64', 'bool'];

function ours(folder: string): Map<string, HostArray> {
  const arrays = new Map<string, HostArray>(mxnetDTypes.map((dtype) => {
    const shape = Array.from({ length: 1 + stream.int(4) }, () => 1 + stream.int(5));
    const size = shape.reduce((n, d) => n * d, 1);
    const data = dtype === 'bool' ? bytes(size).map((b) => b & 1) : bytes(size * hostBytes[dtype]);
    return [`${stream.chance(0.5) ? 'arg' : 'aux'}:${dtype}`, { shape, dtype, data: elementsOf(dtype, data.buffer) }];
  }));
  writeFileSync(join(folder, 'ours.params'), writeParams(arrays));
  return arrays;
}

async function records(folder: string, name: string, payloads: readonly Uint8Array[]): Promise<void> {
  const writer = await RecordWriter.create(join(folder, name));
  payloads.forEach((payload, key) => writer.write(key, payload));
  writer.finish();
}

const names = ['MXNet reads what Fovea wrote', 'Fovea reads what MXNet wrote'];
if (python === undefined) {
  for (const name of names) skip(name, absent);
} else {
  test(names[0], async () => {
    const folder = join(root, 'ours');
    mkdirSync(folder);
    const arrays = ours(folder);
    const magic = Uint8Array.of(0x0a, 0x23, 0xd7, 0xce);
    const split = Array.from({ length: 30 }, () => Uint8Array.from(Buffer.concat(
      Array.from({ length: stream.int(8) }, () => (stream.chance(0.5) ? magic : bytes(stream.int(30)))))));
    await records(folder, 'split.rec', split);
    const picture = (): Promise<Buffer> => sharp(bytes(9 * 11 * 3), { raw: { width: 11, height: 9, channels: 3 } }).png().toBuffer();
    const heads = Array.from({ length: 8 }, (_, i) => ({ labels: Float32Array.of(i % 3), id: BigInt(i), id2: 0n }));
    const one = await Promise.all(heads.map(async (head) => packImage({ ...head, image: await picture() })));
    await records(folder, 'images-one.rec', one);
    const labels = Float32Array.of(1, -0.5, 1e-3);
    const several = await Promise.all(heads.map(async (head) => packImage({ ...head, labels, image: await picture() })));
    await records(folder, 'images-several.rec', several);

    const said = oracle('read', folder);
    const params = said['ours.params'] as Said;
    assert.equal(Object.keys(params).sort(), [...arrays.keys()].sort());
    for (const [name, array] of arrays) {
      agree(wrote, 'parameters of every dtype', params[name], { dtype: array.dtype, shape: [...array.shape], sha256: sha(bytesOf(array)) });
    }
    for (const [name, payloads] of [['split.rec', split], ['images-one.rec', one], ['images-several.rec', several]] as const) {
      const { order, index } = said[name] as SaidRecords;
      agree(wrote, `${name}, in order`, order, payloads.map(sha));
      agree(wrote, `${name}, by index`, index, Object.fromEntries(payloads.map((payload, key) => [key, sha(payload)])));
    }
    for (const [name, payloads] of [['images-one.rec', one], ['images-several.rec', several]] as const) {
      const { images, iterated } = said[name] as SaidRecords;
      const pixels: string[] = [];
      for (const [key, payload] of payloads.entries()) {
        const record = unpackImage(payload, { file: name });
        const { data, height, width } = await decodeImage(record.image);
        pixels.push(sha(data));
        agree(wrote, `${name}, header and pixels`, images![key], {
          flag: record.flag, labels: [...record.labels], id: key, id2: 0, shape: [height, width, 3], sha256: sha(data),
        });
      }
      if (name === 'images-one.rec') agree(wrote, `${name}, by the training iterator`, iterated, pixels.map((pixel, i) => [i % 3, pixel]));
    }
  });

  test(names[1], async () => {
    const folder = join(root, 'theirs');
    const said = oracle('make', folder, '--seed', String(seed));
    for (const file of ['dtypes.params', 'list.params']) {
      const back = readParams(Uint8Array.from(readFileSync(join(folder, file))), { file });
      for (const [name, { dtype, shape, sha256 }] of Object.entries(said[file] as Said)) {
        const array = back.get(name)!;
        agree(read, `${file} of this seed`, [array.dtype, [...array.shape], sha(bytesOf(array))], [dtype, shape, sha256]);
      }
    }
    for (const file of ['split.rec', 'images-one.rec', 'images-several.rec']) {
      const { order, images } = said[file] as SaidRecords;
      agree(read, `${file} of this seed, in order`, readRecords(Uint8Array.from(readFileSync(join(folder, file))), { file }).map(sha), order);
      const opened = await RecordFile.open(join(folder, file));
      for (const [i, key] of opened.keys.entries()) {
        agree(read, `${file} of this seed, by index`, sha(opened.read(i)), order[i]);
        if (images === undefined) continue;
        const { labels, id } = unpackImage(opened.read(i), { file });
        const { data } = await decodeImage(imageOf(opened, i, file));
        agree(read, `${file} of this seed, labels and pixels`, [[...labels], Number(id), sha(data)],
          [images[key].labels, images[key].id, images[key].sha256]);
      }
      opened.close();
    }
  });
}

test.run();
