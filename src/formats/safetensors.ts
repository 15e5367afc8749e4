/**
 * safetensors: a 64-bit header length, a JSON header of names, dtypes, shapes and offsets, and the data.
 * Format after the specification in huggingface/safetensors' README.
 */
import { FormatError } from '../errors.ts';
import type { HostArray, HostDType } from '../nn/host-array.ts';
import { bytesOf, elementsOf, hostBytes } from '../nn/host-array.ts';
import { ByteReader } from './byte-reader.ts';

const MAX_HEADER = 100_000_000;
const codes: Readonly<Record<HostDType, string>> = {
  float64: 'F64', float32: 'F32', float16: 'F16', bfloat16: 'BF16', int64: 'I64', uint64: 'U64', int32: 'I32',
  uint32: 'U32', int16: 'I16', uint16: 'U16', int8: 'I8', uint8: 'U8', bool: 'BOOL',
};
const byCode = new Map(Object.entries(codes).map(([dtype, code]) => [code, dtype as HostDType]));

export interface SafetensorsFile {
  readonly tensors: Map<string, HostArray>;
  /** Free text by key: `__metadata__`. */
  readonly metadata: Map<string, string>;
}

/**
 * Reads a file whole.
 *
 * @throws FormatError with file, tensor and byte: a header that is no JSON object, an unknown dtype, offsets that do not
 *   fit the shape, overlap or leave a hole
 */
export function readSafetensors(bytes: Uint8Array, options: { readonly file: string }): SafetensorsFile {
  const reader: ByteReader = new ByteReader(bytes, options.file);
  const headerBytes = reader.u64('header length');
  if (headerBytes > MAX_HEADER) reader.fail('header length', `${headerBytes} is over ${MAX_HEADER}`, 0);
  const text = reader.text(headerBytes, 'header');
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    reader.fail('header', `not JSON: ${(error as Error).message}`, 8);
  }
  if (!isObject(header)) reader.fail('header', 'expected a JSON object', 8);

  const metadata = new Map<string, string>();
  const entries: { name: string; dtype: HostDType; shape: number[]; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    const what = `tensor "${name}"`;
    if (name === '__metadata__') {
      if (!isObject(value)) reader.fail('__metadata__', 'expected an object of strings', 8);
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') reader.fail(`__metadata__.${key}`, 'expected a string', 8);
        metadata.set(key, text);
      }
      continue;
    }
    if (!isObject(value)) reader.fail(what, 'expected an object', 8);
    const dtype = byCode.get(value.dtype as string);
    if (dtype === undefined) reader.fail(`${what}, dtype`, `unknown dtype ${JSON.stringify(value.dtype)}`, 8);
    const shape = value.shape;
    if (!Array.isArray(shape) || !shape.every(isCount)) {
      reader.fail(`${what}, shape`, `expected dimensions, got ${JSON.stringify(shape)}`, 8);
    }
    const offsets = value.data_offsets;
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      reader.fail(`${what}, data_offsets`, `expected [begin, end], got ${JSON.stringify(offsets)}`, 8);
    }
    const [begin, end] = offsets as [number, number];
    let size = hostBytes[dtype];
    for (const d of shape as number[]) size *= d;
    if (end - begin !== size) {
      const type = `${String(value.dtype)} [${shape.join(', ')}]`;
      reader.fail(`${what}, data_offsets`, `${end - begin} bytes for ${type}, which takes ${size}`, 8);
    }
    entries.push({ name, dtype, shape: shape as number[], begin, end });
  }

  // In the file's order, so that holes and overlaps show.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, HostArray>();
  const start = reader.offset;
  for (const { name, dtype, shape, begin, end } of entries) {
    if (begin !== reader.offset - start) {
      reader.fail(`tensor "${name}", data_offsets`, `begins at ${begin}, where ${reader.offset - start} was due`);
    }
    tensors.set(name, { shape, dtype, data: elementsOf(dtype, reader.copy(end - begin, `tensor "${name}"`)) });
  }
  if (reader.remaining > 0) reader.fail('end of file', `${reader.remaining} bytes belong to no tensor`);
  return { tensors, metadata };
}

/**
 * The bytes of a file, the same for the same tensors whatever their order: widest dtype first, then by name.
 *
 * @throws FormatError where a tensor's elements do not fill its shape, or a name is `__metadata__`
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, HostArray>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array<ArrayBuffer> {
  const order = [...tensors].sort(([a, x], [b, y]) => hostBytes[y.dtype] - hostBytes[x.dtype] || (a < b ? -1 : 1));
  const fields: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].sort(([a], [b]) => (a < b ? -1 : 1));
    fields.push(`"__metadata__":{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`);
  }
  let offset = 0;
  for (const [name, array] of order) {
    if (name === '__metadata__') throw new FormatError('a tensor cannot be named __metadata__ in a safetensors file');
    let size = 1;
    for (const d of array.shape) size *= d;
    if (size !== array.data.length) {
      throw new FormatError(`tensor "${name}": ${array.data.length} elements do not fill [${array.shape.join(', ')}]`);
    }
    const end = offset + array.data.byteLength;
    const shape = `[${array.shape.join(',')}]`;
    const entry = `{"dtype":"${codes[array.dtype]}","shape":${shape},"data_offsets":[${offset},${end}]}`;
    fields.push(`${JSON.stringify(name)}:${entry}`);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + headerBytes + offset);
  new DataView(out.buffer).setUint32(0, headerBytes, true);
  out.fill(0x20, 8, 8 + headerBytes);
  out.set(json, 8);
  let at = 8 + headerBytes;
  for (const [, array] of order) {
    out.set(bytesOf(array), at);
    at += array.data.byteLength;
  }
  return out;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
