/** `.rec` files of images on disk, in order and by index, and their writing. Node only. */
import type * as Fs from 'node:fs';
import type * as Path from 'node:path';
import { DataError, FormatError } from '../errors.ts';
import { endsAsImage } from '../formats/image-record.ts';
import { formatIndex, parseIndex } from '../formats/record-list.ts';
import type { IndexEntry } from '../formats/record-list.ts';
import { RecordScanner, encodeRecord, recordHeader } from '../formats/recordio.ts';
import type { Damage, Scanned } from '../formats/recordio.ts';
import { fileReason } from './decode.ts';
import { importNode } from './node.ts';

const what = 'a record file';
/** Read at once where a file is read through, and of a record whose length is not known yet. */
const CHUNK = 1 << 20;
const FIRST = 1 << 16;

const indexOf = (path: string): string => `${path.replace(/\.rec$/i, '')}.idx`;

export interface OpenRecordsOptions {
  /** Bytes looked at, where there is no index and the file is read through. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The records of a file by number and by key. The places come from the `.idx` beside it; where there is none, the file is read
 * through once, keys are 0, 1, ..., and what is damaged is passed over and told in `damage`.
 */
export class RecordFile {
  readonly path: string;
  readonly keys: readonly number[];
  /** Of each record, in bytes. */
  readonly offsets: readonly number[];
  /** Stretches that are no record, where the file was read through. At least one record was lost with each. */
  readonly damage: readonly Damage[];
  /** Entries of the `.idx` that lead beyond the end: the file was cut short. */
  readonly lost: readonly IndexEntry[];
  /** The `.idx`, where there is one. */
  readonly index: string | undefined;
  readonly #fs: typeof Fs;
  readonly #fd: number;
  /** Where the record after the one at an offset begins. */
  readonly #ends = new Map<number, number>();
  #closed = false;

  private constructor(
    fs: typeof Fs, fd: number, path: string, entries: readonly IndexEntry[], damage: readonly Damage[], index?: string, lost: readonly IndexEntry[] = [],
  ) {
    this.path = path;
    this.keys = entries.map(({ key }) => key);
    this.offsets = entries.map(({ offset }) => offset);
    this.damage = damage;
    this.index = index;
    this.lost = lost;
    this.#fs = fs;
    this.#fd = fd;
    const sorted = [...this.offsets, fs.fstatSync(fd).size].sort((a, b) => a - b);
    sorted.slice(1).forEach((end, i) => this.#ends.set(sorted[i], end));
  }

  /**
   * @throws DataError where the file cannot be read or holds no record; FormatError with file and line for an index that is none,
   *   or of which every entry leads beyond the end
   */
  static async open(path: string, options: OpenRecordsOptions = {}): Promise<RecordFile> {
    const fs = await importNode<typeof Fs>('node:fs', what);
    const fd = openFile(fs, path);
    try {
      const index = indexOf(path);
      const { size } = fs.fstatSync(fd);
      if (fs.existsSync(index)) {
        const entries = parseIndex(fs.readFileSync(index, 'utf8'), { file: index });
        if (entries.length === 0) throw new DataError(`${index}: names no record`);
        const within = entries.filter(({ offset }) => offset < size);
        const lost = entries.filter(({ offset }) => offset >= size);
        if (within.length === 0) {
          throw new FormatError(`${index}: key ${lost[0].key}: offset ${lost[0].offset} is beyond the ${size} bytes of ${path}, and so are all others`);
        }
        return new RecordFile(fs, fd, path, within, [], index, lost);
      }
      const entries: IndexEntry[] = [];
      const damage: Damage[] = [];
      for await (const found of scan(fs, fd, path, size, options)) {
        if (found.kind === 'record') entries.push({ key: entries.length, offset: found.offset });
        else damage.push({ offset: found.offset, bytes: found.bytes, reason: found.reason });
      }
      if (entries.length === 0) {
        throw new DataError(`${path}: holds no record${damage.length > 0 ? `; byte ${damage[0].offset}: ${damage[0].reason}` : ''}`);
      }
      return new RecordFile(fs, fd, path, entries, damage);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  get length(): number {
    return this.keys.length;
  }

  /** When the file was last changed, and its size: what a cache knows it by. */
  stamp(): { readonly size: number; readonly mtimeMs: number } {
    const { size, mtimeMs } = this.#fs.fstatSync(this.#fd);
    return { size, mtimeMs };
  }

  /** A record's payload. @throws FormatError with file, key and byte where no whole record is there */
  read(i: number): Uint8Array {
    const offset = this.#offset(i);
    const end = this.#ends.get(offset)!;
    const scanner = new RecordScanner();
    for (let at = offset, wanted = FIRST; ; wanted *= 4) {
      const bytes = readAt(this.#fs, this.#fd, this.path, at, Math.min(wanted, end - at));
      scanner.push(bytes);
      at += bytes.length;
      if (at >= end || bytes.length === 0) scanner.end();
      const found = scanner.next();
      if (found?.kind === 'record') return found.payload;
      if (found !== undefined) throw new FormatError(`${this.path}: record ${this.keys[i]}, byte ${offset}: ${found.reason}`);
    }
  }

  /** The first bytes of a payload, at most `length`, of a record whose other bytes are not looked at. @throws as `read` */
  head(i: number, length: number): Uint8Array {
    const offset = this.#offset(i);
    const end = this.#ends.get(offset)!;
    const bytes = readAt(this.#fs, this.#fd, this.path, offset, Math.min(8 + length, end - offset));
    const header = recordHeader(bytes);
    const isLong = header?.flag === 0 && header.length > length && offset + 8 + header.length <= end;
    // What is split, short or damaged is read whole.
    return isLong ? bytes.subarray(8) : this.read(i).subarray(0, length);
  }

  /** The same records, through a handle of their own. @throws DataError where the file is gone */
  reopen(): RecordFile {
    const entries = this.keys.map((key, i) => ({ key, offset: this.offsets[i] }));
    return new RecordFile(this.#fs, openFile(this.#fs, this.path), this.path, entries, this.damage, this.index, this.lost);
  }

  close(): void {
    if (!this.#closed) this.#fs.closeSync(this.#fd);
    this.#closed = true;
  }

  #offset(i: number): number {
    if (this.#closed) throw new DataError(`${this.path}: the file is closed`);
    if (!(Number.isInteger(i) && i >= 0 && i < this.length)) throw new DataError(`${this.path}: no record ${i}; there are ${this.length}`);
    return this.offsets[i];
  }
}

/**
 * The records of a file in order, without an index, and what is no record.
 *
 * @throws DataError where the file cannot be read
 */
export async function* scanRecords(path: string, options: OpenRecordsOptions = {}): AsyncGenerator<Scanned, void, void> {
  const fs = await importNode<typeof Fs>('node:fs', what);
  const fd = openFile(fs, path);
  try {
    yield* scan(fs, fd, path, fs.fstatSync(fd).size, options);
  } finally {
    fs.closeSync(fd);
  }
}

async function* scan(
  fs: typeof Fs, fd: number, path: string, size: number, { onProgress, signal }: OpenRecordsOptions,
): AsyncGenerator<Scanned, void, void> {
  const scanner = new RecordScanner(endsAsImage);
  for (let at = 0; at < size;) {
    signal?.throwIfAborted();
    // Twice as much each time while one record is not whole yet, so that its bytes are not joined again and again.
    const bytes = readAt(fs, fd, path, at, Math.max(CHUNK, scanner.waiting));
    at = bytes.length === 0 ? size : at + bytes.length;
    scanner.push(bytes);
    if (at >= size) scanner.end();
    for (let found = scanner.next(); found !== undefined; found = scanner.next()) yield found;
    onProgress?.(at, size);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function openFile(fs: typeof Fs, path: string): number {
  try {
    const fd = fs.openSync(path, 'r');
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
  } catch (cause) {
    throw new DataError(`${path}: ${fileReason(cause)}`, { cause });
  }
  throw new DataError(`${path}: is no file`);
}

/** The bytes from `at` on; fewer than asked for at the end alone. */
function readAt(fs: typeof Fs, fd: number, path: string, at: number, length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  try {
    for (let read = 0; read < length;) {
      const got = fs.readSync(fd, out, read, length - read, at + read);
      if (got === 0) return out.subarray(0, read);
      read += got;
    }
  } catch (cause) {
    throw new DataError(`${path}: byte ${at}: ${fileReason(cause)}`, { cause });
  }
  return out;
}

/** Writes a `.rec` and its `.idx` under temporary names; `finish` gives them their own, the index last. */
export class RecordWriter {
  readonly path: string;
  readonly #fs: typeof Fs;
  readonly #fd: number;
  readonly #entries: IndexEntry[] = [];
  readonly #temporary: string;
  #offset = 0;

  private constructor(fs: typeof Fs, path: string) {
    this.path = path;
    this.#fs = fs;
    this.#temporary = `${path}.tmp-${process.pid}`;
    this.#fd = this.#guard(() => fs.openSync(this.#temporary, 'w'));
  }

  /** @throws DataError where the file cannot be made */
  static async create(path: string): Promise<RecordWriter> {
    const { dirname } = await importNode<typeof Path>('node:path', what);
    const fs = await importNode<typeof Fs>('node:fs', what);
    if (!fs.existsSync(dirname(path))) throw new DataError(`${path}: no such folder: ${dirname(path)}`);
    return new RecordWriter(fs, path);
  }

  /** @throws DataError naming the file where it cannot be written; FormatError for a payload that RecordIO cannot say */
  write(key: number, payload: Uint8Array): void {
    const record = encodeRecord(payload);
    this.#guard(() => {
      for (let written = 0; written < record.length;) written += this.#fs.writeSync(this.#fd, record, written);
    });
    this.#entries.push({ key, offset: this.#offset });
    this.#offset += record.length;
  }

  /** Flushes, and gives the files their names. @throws DataError */
  finish(): void {
    this.#guard(() => {
      this.#fs.fsyncSync(this.#fd);
      this.#fs.closeSync(this.#fd);
      const index = indexOf(this.path);
      this.#fs.writeFileSync(`${this.#temporary}.idx`, formatIndex(this.#entries), { flush: true });
      // An index of other records must not stand beside these, whenever the power goes.
      this.#fs.rmSync(index, { force: true });
      this.#fs.renameSync(this.#temporary, this.path);
      this.#fs.renameSync(`${this.#temporary}.idx`, index);
    });
  }

  /** Removes what was written. */
  abandon(): void {
    try {
      this.#fs.closeSync(this.#fd);
    } catch {
      // It was closed already.
    }
    for (const file of [this.#temporary, `${this.#temporary}.idx`]) this.#fs.rmSync(file, { force: true });
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw new DataError(`${this.path}: ${fileReason(cause).replace('to read it', 'to write it')}`, { cause });
    }
  }
}
