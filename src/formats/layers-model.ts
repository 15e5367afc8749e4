/**
 * The layers model of TensorFlow.js: `model.json` with Keras' topology and a manifest of weights, and the weights' bytes in shards,
 * quantised or not. After tensorflow/tfjs tfjs-core/src/io/types.ts and io_utils.ts (decodeWeights). What stands in the file is kept
 * as it stands; `dequantize` makes floats of it.
 */
import { fromHalfBits } from '../device/half.ts';
import { FormatError } from '../errors.ts';
import type { HostArray, HostDType } from '../nn/host-array.ts';
import { bytesOf, elementsOf, hostBytes } from '../nn/host-array.ts';
import { Fields } from './fields.ts';

/** value = element * scale + minimum. */
export interface Quantization {
  readonly scale: number;
  readonly minimum: number;
}

export interface StoredWeight {
  /** As the file has it: Keras' axes (HWIO), quantised elements as integers, float16 as bits. */
  readonly array: HostArray;
  /** What it is when loaded. */
  readonly dtype: string;
  readonly quantization?: Quantization;
}

export interface LayersModel {
  /** `modelTopology`. */
  readonly topology: unknown;
  /** By name, in the manifest's order. */
  readonly weights: Map<string, StoredWeight>;
}

const storedTypes: readonly HostDType[] = ['float32', 'float16', 'int32', 'uint8', 'uint16', 'bool'];

/**
 * Reads a model.
 *
 * @param json the text of `model.json`
 * @param readShard the bytes of a file that the manifest names, which lies beside it
 * @throws FormatError with file and field for what is no layers model (a graph model, for one), and for shards that are too short or long
 */
export async function readLayersModel(
  json: string, readShard: (name: string) => Promise<Uint8Array>, { file }: { readonly file: string },
): Promise<LayersModel> {
  const root = Fields.parse(json, file);
  if (root.text('format', 'layers-model') !== 'layers-model') {
    throw new FormatError(`${root.at('format')}: "${root.text('format')}" is not read, only layers-model: ` +
      'convert again with --output_format tfjs_layers_model');
  }
  if (!root.has('modelTopology')) root.fail('modelTopology', "Keras' topology");
  const weights = new Map<string, StoredWeight>();
  for (const group of root.has('weightsManifest') ? root.objects('weightsManifest') : []) {
    const paths = group.list('paths').map((path, i) => {
      // What a model names lies beside it: no path out of its folder.
      if (typeof path !== 'string' || !/^[^/\\]+$/.test(path) || path === '..' || path === '.') group.fail(`paths[${i}]`, 'the name of a file beside it');
      return path as string;
    });
    const bytes = new Shards(paths, readShard, file);
    for (const entry of group.objects('weights')) {
      const name = entry.text('name');
      if (weights.has(name)) throw new FormatError(`${entry.at('name')}: "${name}" occurs twice`);
      weights.set(name, await readWeight(entry, bytes));
    }
    await bytes.end();
  }
  return { topology: root.raw('modelTopology'), weights };
}

async function readWeight(entry: Fields, bytes: Shards): Promise<StoredWeight> {
  const dtype = entry.text('dtype');
  const shape = entry.counts('shape');
  const quantized = entry.has('quantization') ? entry.object('quantization') : undefined;
  const stored = (quantized ?? entry).text('dtype') as HostDType;
  const allowed = quantized === undefined ? storedTypes : storedTypes.filter((t) => ['uint8', 'uint16', 'float16'].includes(t));
  if (!allowed.includes(stored)) (quantized ?? entry).fail('dtype', `one of ${allowed.join(', ')}`);
  const size = shape.reduce((n, d) => n * d, hostBytes[stored]);
  const array = { shape, dtype: stored, data: elementsOf(stored, await bytes.take(size, `"${entry.text('name')}", ${stored} [${shape.join(', ')}]`)) };
  if (quantized === undefined || stored === 'float16') return { array, dtype };
  return { array, dtype, quantization: { scale: quantized.number('scale'), minimum: quantized.number('min') } };
}

/** The bytes of a group's shards, one after another, each let go of when it is used up. */
class Shards {
  readonly #paths: readonly string[];
  readonly #read: (name: string) => Promise<Uint8Array>;
  readonly #file: string;
  #next = 0;
  #rest: Uint8Array = new Uint8Array(0);
  /** Bytes taken of the group. */
  #taken = 0;

  constructor(paths: readonly string[], read: (name: string) => Promise<Uint8Array>, file: string) {
    this.#paths = paths;
    this.#read = read;
    this.#file = file;
  }

  /** A copy of the next bytes. Nothing is allocated for bytes that are not there. */
  async take(size: number, what: string): Promise<ArrayBuffer> {
    const parts: Uint8Array[] = [];
    let missing = size;
    while (missing > 0) {
      if (this.#rest.length === 0) {
        if (this.#next === this.#paths.length) {
          throw new FormatError(`${this.#file}: weights ${what}, byte ${this.#taken} of ${this.#paths.join(', ') || 'no shard'}: ` +
            `truncated: ${size} bytes wanted, ${size - missing} left`);
        }
        this.#rest = await this.#read(this.#paths[this.#next++]);
        continue;
      }
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    const out = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    this.#taken += size;
    return out.buffer;
  }

  async end(): Promise<void> {
    let left = this.#rest.length;
    while (this.#next < this.#paths.length) left += (await this.#read(this.#paths[this.#next++])).length;
    if (left > 0) throw new FormatError(`${this.#file}: weightsManifest: ${left} bytes of ${this.#paths.join(', ')} belong to no weight`);
  }
}

/** The values as float32, in the file's axes. */
export function dequantize({ array, quantization, dtype }: StoredWeight): HostArray {
  const { shape } = array;
  if (array.dtype === 'float16') return { shape, dtype: 'float32', data: fromHalfBits(array.data as Uint16Array, 'float16') };
  if (quantization === undefined) {
    return array.dtype === 'float32' ? array : { shape, dtype: 'float32', data: Float32Array.from(array.data as Uint8Array) };
  }
  const { scale, minimum } = quantization;
  const whole = dtype === 'int32';
  const from = array.data as Uint8Array;
  const data = new Float32Array(from.length);
  for (let i = 0; i < data.length; i++) data[i] = whole ? Math.round(from[i] * scale + minimum) : from[i] * scale + minimum;
  return { shape, dtype: 'float32', data };
}

/** The files of a model: `model.json` and one shard, with each weight as it is stored. */
export function writeLayersModel({ topology, weights }: LayersModel): { readonly json: string; readonly shards: ReadonlyMap<string, Uint8Array<ArrayBuffer>> } {
  const name = 'group1-shard1of1.bin';
  let size = 0;
  const entries = [...weights].map(([key, { array, dtype, quantization }]) => {
    size += array.data.byteLength;
    const shape = array.shape;
    const stored = quantization !== undefined ? { dtype: array.dtype, scale: quantization.scale, min: quantization.minimum }
      : array.dtype === 'float16' && dtype !== 'float16' ? { dtype: 'float16', original_dtype: dtype }
        : undefined;
    return { name: key, shape, dtype, ...(stored === undefined ? {} : { quantization: stored }) };
  });
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { array } of weights.values()) {
    bytes.set(bytesOf(array), at);
    at += array.data.byteLength;
  }
  const json = {
    format: 'layers-model', generatedBy: 'fovea', convertedBy: null, modelTopology: topology, weightsManifest: [{ paths: [name], weights: entries }],
  };
  return { json: JSON.stringify(json), shards: new Map([[name, bytes]]) };
}
