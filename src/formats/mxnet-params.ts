/**
 * MXNet's `.params` and `.nd`: a list of arrays, usually named (`arg:conv_1_weight`, `aux:bn_1_moving_mean`).
 * Layout after apache/mxnet src/ndarray/ndarray.cc (NDArray::Save, NDArray::Load). Everything is little-endian and packed.
 */
import type { Shape } from '../device/types.ts';
import { FormatError } from '../errors.ts';
import type { HostArray, HostDType } from '../nn/host-array.ts';
import { bytesOf, elementsOf, hostBytes } from '../nn/host-array.ts';
import { ByteReader } from './byte-reader.ts';

const LIST_MAGIC = 0x112;
const V1 = 0xf993fac8;
const V2 = 0xf993fac9;
const V3 = 0xf993faca;
const MAX_RANK = 32;

/** MXNet's type flags, in order. */
const dtypes: readonly HostDType[] = [
  'float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64', 'bool', 'int16', 'uint16', 'uint32', 'uint64',
  'bfloat16',
];
const storageNames: Readonly<Record<number, string>> = { [-1]: 'undefined', 1: 'row_sparse', 2: 'csr' };

/**
 * The arrays of a file by name, in the file's order. Nameless files give '0', '1', ...
 *
 * Reads dense arrays of versions 0 to 3 and every dtype; the device that an array was saved from is ignored.
 *
 * @throws FormatError with file, array and byte where the bytes are anything else
 */
export function readParams(bytes: Uint8Array, options: { readonly file: string }): Map<string, HostArray> {
  const reader: ByteReader = new ByteReader(bytes, options.file);
  const magic = reader.u64('list header');
  if (magic !== LIST_MAGIC) {
    reader.fail('list header', `0x${magic.toString(16)} is not the magic number of an array list, 0x112`, 0);
  }
  reader.u64('list header (reserved)');
  const count = reader.u64('number of arrays');
  // An array takes at least 4 bytes: a count that cannot be is refused before anything is read.
  if (count * 4 > reader.remaining) reader.fail('number of arrays', `${count} cannot fit in ${reader.remaining} bytes`);
  const arrays: HostArray[] = [];
  for (let i = 0; i < count; i++) arrays.push(readArray(reader, `array ${i} of ${count}`));
  const at = reader.offset;
  const names = reader.u64('number of names');
  if (names !== 0 && names !== count) reader.fail('number of names', `${names} names for ${count} arrays`, at);
  const out = new Map<string, HostArray>();
  for (let i = 0; i < count; i++) {
    const start = reader.offset;
    const name = names === 0 ? String(i) : reader.text(reader.u64(`name ${i}`), `name ${i}`);
    if (out.has(name)) reader.fail(`name ${i}`, `"${name}" occurs twice`, start);
    out.set(name, arrays[i]);
  }
  if (reader.remaining > 0) reader.fail('end of file', `${reader.remaining} bytes too many`);
  return out;
}

function readArray(reader: ByteReader, what: string): HostArray {
  const at = reader.offset;
  const magic = reader.u32(what);
  let shape: Shape | undefined;
  if (magic === V2 || magic === V3) {
    const storage = reader.i32(`${what}, storage type`);
    if (storage !== 0) {
      const name = storageNames[storage] ?? 'unknown';
      reader.fail(`${what}, storage type`, `${storage} (${name}): only dense arrays are read`, reader.offset - 4);
    }
    shape = readShape(reader, what, magic === V3);
  } else if (magic === V1) {
    shape = readShape(reader, what, false);
  } else {
    // Version 0 has no magic number: its first word is the rank.
    if (magic > MAX_RANK) reader.fail(what, `0x${magic.toString(16)} is neither an array's magic number nor a rank`, at);
    shape = Array.from({ length: magic }, () => reader.u32(`${what}, shape`));
    if (magic === 0) shape = undefined;
  }
  if (shape === undefined) return { shape: [], dtype: 'float32', data: new Float32Array(0) };
  reader.i32(`${what}, device type`);
  reader.i32(`${what}, device id`);
  const flag = reader.i32(`${what}, dtype`);
  const dtype = dtypes[flag];
  if (dtype === undefined) reader.fail(`${what}, dtype`, `unknown type flag ${flag}`, reader.offset - 4);
  let size = 1;
  for (const d of shape) size *= d;
  const bytes = size * hostBytes[dtype];
  const wanted = `${what}, data of ${dtype} [${shape.join(', ')}]`;
  return { shape, dtype, data: elementsOf(dtype, reader.copy(bytes, wanted)) };
}

/** Undefined for MXNet's `none`: rank 0, or -1 in version 3, where rank 0 is a scalar. */
function readShape(reader: ByteReader, what: string, numpy: boolean): Shape | undefined {
  const rank = reader.i32(`${what}, rank`);
  if (rank === (numpy ? -1 : 0)) return undefined;
  if (rank < 0 || rank > MAX_RANK) reader.fail(`${what}, rank`, `${rank} is no rank`, reader.offset - 4);
  return Array.from({ length: rank }, () => reader.dimension(`${what}, shape`));
}

/**
 * The bytes of a file, the same for the same arrays in the same order. A map gives a named file, an array a nameless one.
 * Version 2, but version 3 for scalars and for shapes with a zero, which version 2 cannot say.
 *
 * @throws FormatError where an array's elements do not fill its shape
 */
export function writeParams(
  arrays: ReadonlyMap<string, HostArray> | readonly HostArray[],
): Uint8Array<ArrayBuffer> {
  const named = !Array.isArray(arrays);
  const entries: [string, HostArray][] = named
    ? [...(arrays as ReadonlyMap<string, HostArray>)]
    : (arrays as readonly HostArray[]).map((a, i) => [String(i), a]);
  const names = named ? entries.map(([name]) => new TextEncoder().encode(name)) : [];
  let bytes = 8 * 4;
  for (const name of names) bytes += 8 + name.length;
  for (const [name, a] of entries) bytes += headerBytes(name, a) + a.data.byteLength;

  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  let at = 0;
  const u32 = (value: number): void => {
    view.setUint32(at, value, true);
    at += 4;
  };
  const u64 = (value: number): void => {
    u32(value % 2 ** 32);
    u32(Math.floor(value / 2 ** 32));
  };
  u64(LIST_MAGIC);
  u64(0);
  u64(entries.length);
  for (const [, a] of entries) {
    u32(needsV3(a) ? V3 : V2);
    u32(0);
    u32(a.shape.length);
    if (isNone(a)) continue;
    for (const d of a.shape) u64(d);
    u32(1); // cpu
    u32(0);
    u32(dtypes.indexOf(a.dtype));
    out.set(bytesOf(a), at);
    at += a.data.byteLength;
  }
  u64(names.length);
  for (const name of names) {
    u64(name.length);
    out.set(name, at);
    at += name.length;
  }
  return out;
}

function isNone(a: HostArray): boolean {
  return a.shape.length === 0 && a.data.length === 0;
}

function needsV3(a: HostArray): boolean {
  return !isNone(a) && (a.shape.length === 0 || a.shape.includes(0));
}

function headerBytes(name: string, a: HostArray): number {
  if (isNone(a)) return 12;
  let size = 1;
  for (const d of a.shape) size *= d;
  if (size !== a.data.length) {
    throw new FormatError(`array "${name}": ${a.data.length} elements do not fill shape [${a.shape.join(', ')}]`);
  }
  return 12 + 8 * a.shape.length + 12;
}

/** A checkpoint's arrays: what is learned, and what is kept beside it (moving statistics). */
export interface Checkpoint {
  readonly arguments: Map<string, HostArray>;
  readonly auxiliary: Map<string, HostArray>;
}

/**
 * The `arg:` and `aux:` arrays of a checkpoint.
 *
 * @throws FormatError where a name has neither prefix
 */
export function splitCheckpoint(arrays: ReadonlyMap<string, HostArray>, options: { readonly file: string }): Checkpoint {
  const out: Checkpoint = { arguments: new Map(), auxiliary: new Map() };
  for (const [name, array] of arrays) {
    if (name.startsWith('arg:')) out.arguments.set(name.slice(4), array);
    else if (name.startsWith('aux:')) out.auxiliary.set(name.slice(4), array);
    else throw new FormatError(`${options.file}: array "${name}": expected a name that begins with arg: or aux:`);
  }
  return out;
}

/** The arrays of a checkpoint under their prefixed names, arguments first. */
export function joinCheckpoint(checkpoint: Checkpoint): Map<string, HostArray> {
  const out = new Map<string, HostArray>();
  for (const [name, array] of checkpoint.arguments) out.set(`arg:${name}`, array);
  for (const [name, array] of checkpoint.auxiliary) out.set(`aux:${name}`, array);
  return out;
}

/** The files of a checkpoint, as MXNet names them: `PREFIX-symbol.json` and, of an epoch, `PREFIX-0007.params`. */
export function checkpointNames(prefix: string, epoch: number): { readonly symbol: string; readonly params: string } {
  return { symbol: `${prefix}-symbol.json`, params: `${prefix}-${String(epoch).padStart(4, '0')}.params` };
}
