/**
 * RecordIO, MXNet's and dmlc's container: records one after another, each behind a magic number that occurs nowhere else on
 * a multiple of 4, so that a reader finds its way again after damage.
 * Layout after dmlc-core include/dmlc/recordio.h and src/recordio.cc: u32 magic, u32 flag << 29 | length, the payload, zeros up to a
 * multiple of 4. Where the magic stands in a payload on a multiple of 4 it is dropped and the record split there: flag 0 is
 * a whole record, 1 its first part, 2 a middle one, 3 the last.
 */
import { FormatError } from '../errors.ts';

const MAGIC = 0xced7230a;
const magicBytes = Uint8Array.of(0x0a, 0x23, 0xd7, 0xce);
const HEADER = 8;
const MAX_LENGTH = 2 ** 29;

const padded = (length: number): number => Math.ceil(length / 4) * 4;

/** The first place of the magic in [from, to) that is a multiple of 4 bytes away from `from`; -1 for none. */
function findMagic(bytes: Uint8Array, from: number, to: number): number {
  for (let at = bytes.indexOf(magicBytes[0], from); at >= 0 && at + 4 <= to; at = bytes.indexOf(magicBytes[0], at + 1)) {
    if ((at - from) % 4 === 0 && isMagic(bytes, at)) return at;
  }
  return -1;
}

function isMagic(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === magicBytes[0] && bytes[at + 1] === magicBytes[1] && bytes[at + 2] === magicBytes[2] && bytes[at + 3] === magicBytes[3];
}

/** The header of a record or part of one that begins with the first byte; undefined where there is no magic, or no 8 bytes. */
export function recordHeader(bytes: Uint8Array): { readonly flag: number; readonly length: number } | undefined {
  return bytes.length >= HEADER && isMagic(bytes, 0) ? headerAt(bytes, 0) : undefined;
}

/** The word after the magic. */
function headerAt(bytes: Uint8Array, at: number): { readonly flag: number; readonly length: number } {
  const word = (bytes[at + 4] | bytes[at + 5] << 8 | bytes[at + 6] << 16 | bytes[at + 7] << 24) >>> 0;
  return { flag: word >>> 29, length: word % MAX_LENGTH };
}

/**
 * A record as a file holds it, split where it must be.
 *
 * @throws FormatError for a payload with 2^29 bytes or more between two places of the magic
 */
export function encodeRecord(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts: [start: number, end: number][] = [];
  let start = 0;
  for (let at = findMagic(payload, 0, payload.length); at >= 0; at = findMagic(payload, start, payload.length)) {
    parts.push([start, at]);
    start = at + 4;
  }
  parts.push([start, payload.length]);
  const out = new Uint8Array(parts.reduce((n, [from, to]) => n + HEADER + padded(to - from), 0));
  const view = new DataView(out.buffer);
  let at = 0;
  parts.forEach(([from, to], i) => {
    if (to - from >= MAX_LENGTH) throw new FormatError(`a record of ${to - from} bytes: below ${MAX_LENGTH} is what RecordIO can say`);
    const last = i === parts.length - 1;
    const flag = parts.length === 1 ? 0 : i === 0 ? 1 : last ? 3 : 2;
    view.setUint32(at, MAGIC, true);
    view.setUint32(at + 4, (flag << 29 | (to - from)) >>> 0, true);
    out.set(payload.subarray(from, to), at + HEADER);
    at += HEADER + padded(to - from);
  });
  return out;
}

/** A stretch of a file that is no whole record. At least one record is lost with it. */
export interface Damage {
  readonly offset: number;
  readonly bytes: number;
  readonly reason: string;
}

export type Scanned =
  | { readonly kind: 'record'; readonly offset: number; readonly payload: Uint8Array }
  | ({ readonly kind: 'damage' } & Damage);

/** A record, or the reason why there is none; undefined where more bytes are needed to tell. */
type Parsed = { readonly payload: Uint8Array; readonly end: number } | { readonly problem: string } | undefined;

/**
 * Finds the records in bytes that arrive in pieces of any length.
 *
 * A record counts only where it is whole: its parts follow each other as their flags say, what fills up to a multiple of 4 is
 * zero, no magic stands within a part, and the next record or the end follows it. Where the next record is not there, one of
 * the two is damaged: this one is given where the other's length still leads to a record, or where it is whole by `isWhole`.
 */
export class RecordScanner {
  readonly #isWhole: (payload: Uint8Array) => boolean;
  #window: Uint8Array = new Uint8Array(0);
  /** Place in the file of the window's first byte: a multiple of 4. */
  #base = 0;
  /** Place in the window up to which all is told: a multiple of 4, or the end. */
  #at = 0;
  #ended = false;
  /** Where what is being skipped began, and why. */
  #lost: { readonly offset: number; readonly reason: string } | undefined;

  /** @param isWhole says of payloads of a known kind whether they are whole; by default of none */
  constructor(isWhole: (payload: Uint8Array) => boolean = () => false) {
    this.#isWhole = isWhole;
  }

  /** Bytes that wait for more. */
  get waiting(): number {
    return this.#window.length - this.#at;
  }

  /** Adds the file's next bytes. They must not change while payloads are in use, which are views of them where possible. */
  push(bytes: Uint8Array): void {
    const rest = this.#window.subarray(this.#at);
    this.#base += this.#at;
    this.#at = 0;
    if (rest.length === 0) {
      this.#window = bytes;
      return;
    }
    this.#window = new Uint8Array(rest.length + bytes.length);
    this.#window.set(rest);
    this.#window.set(bytes, rest.length);
  }

  /** Says that no bytes follow. */
  end(): void {
    this.#ended = true;
  }

  /** What comes next; undefined where bytes are missing or, after `end`, all is told. */
  next(): Scanned | undefined {
    if (this.#lost === undefined) {
      if (this.waiting === 0) return undefined;
      const parsed = this.#parse(this.#at);
      if (parsed === undefined) return undefined;
      const offset = this.#base + this.#at;
      if ('payload' in parsed) {
        this.#at = parsed.end;
        return { kind: 'record', offset, payload: parsed.payload };
      }
      this.#lost = { offset, reason: parsed.problem };
      this.#at = Math.min(this.#at + 4, this.#window.length);
    }
    return this.#resynchronise(this.#lost);
  }

  #resynchronise({ offset, reason }: { readonly offset: number; readonly reason: string }): Scanned | undefined {
    const bytes = this.#window;
    const head = this.#findHead(this.#at, bytes.length);
    if (head === undefined && !this.#ended) {
      this.#at = Math.max(this.#at, (bytes.length - 7) & ~3);
      return undefined;
    }
    this.#at = head ?? bytes.length;
    this.#lost = undefined;
    return { kind: 'damage', offset, bytes: this.#base + this.#at - offset, reason };
  }

  /** The first place in [from, to) where a record may begin. */
  #findHead(from: number, to: number): number | undefined {
    for (let at = findMagic(this.#window, from, to); at >= 0; at = findMagic(this.#window, at + 4, to)) {
      if (at + HEADER > this.#window.length) return this.#ended ? undefined : at;
      if (headerAt(this.#window, at).flag <= 1) return at;
    }
    return undefined;
  }

  #parse(start: number): Parsed {
    const bytes = this.#window;
    const parts: Uint8Array[] = [];
    for (let at = start; ;) {
      const part = this.#parsePart(at, parts.length);
      if (part === undefined || 'problem' in part) return part;
      parts.push(bytes.subarray(at + HEADER, at + HEADER + part.length));
      at += HEADER + padded(part.length);
      if (part.flag === 1 || part.flag === 2) continue;
      const whole = this.#isFollowed(at);
      if (whole === undefined) return undefined;
      const payload = parts.length === 1 ? parts[0] : join(parts);
      if (!whole && !this.#isWhole(payload)) return { problem: 'no record follows where its length leads' };
      return { payload, end: at };
    }
  }

  #parsePart(at: number, index: number): { readonly flag: number; readonly length: number } | { readonly problem: string } | undefined {
    const bytes = this.#window;
    if (at + HEADER > bytes.length) {
      const left = bytes.length - at;
      return this.#ended ? { problem: `truncated: ${HEADER} bytes of a header wanted, ${left} left` } : undefined;
    }
    if (!isMagic(bytes, at)) return { problem: index === 0 ? 'no magic number' : `no magic number of part ${index}` };
    const { flag, length } = headerAt(bytes, at);
    if (index === 0 ? flag > 1 : flag !== 2 && flag !== 3) {
      return { problem: `flag ${flag}, where ${index === 0 ? 'a record begins (0 or 1)' : `part ${index} is due (2 or 3)`}` };
    }
    if ((flag === 1 || flag === 2) && length % 4 !== 0) return { problem: `length ${length} of part ${index} is no multiple of 4` };
    const end = at + HEADER + length;
    if (findMagic(bytes, at + HEADER, Math.min(end, bytes.length)) >= 0) return { problem: `length ${length} reaches over another record` };
    const next = at + HEADER + padded(length);
    if (next > bytes.length) {
      return this.#ended ? { problem: `truncated: ${next - at - HEADER} bytes wanted, ${bytes.length - at - HEADER} left` } : undefined;
    }
    for (let i = end; i < next; i++) if (bytes[i] !== 0) return { problem: 'what fills it up to a multiple of 4 is not zero' };
    return { flag, length };
  }

  /** Whether a record that ends here is whole by what follows. */
  #isFollowed(end: number): boolean | undefined {
    const bytes = this.#window;
    const left = bytes.length - end;
    if (this.#ended && left < 4) return bytes.subarray(end).every((byte, i) => byte === magicBytes[i] || byte === 0);
    if (left < 4) return undefined;
    if (isMagic(bytes, end)) return true;
    // No magic. If only that was damaged, then the length behind it still leads to a record or the end.
    if (left < HEADER) return this.#ended ? false : undefined;
    // A file that was never written to its end has zeros here.
    if (bytes.subarray(end, end + HEADER).every((byte) => byte === 0)) return true;
    const next = end + HEADER + padded(headerAt(bytes, end).length);
    const head = this.#findHead(end + 4, bytes.length);
    if (head !== undefined) return head === next;
    if (this.#ended) return next === bytes.length;
    return next < bytes.length - 4 ? false : undefined;
  }
}

/** Parts with the magic between them put back. */
function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 4 * (parts.length - 1)));
  let at = 0;
  parts.forEach((part, i) => {
    if (i > 0) {
      out.set(magicBytes, at);
      at += 4;
    }
    out.set(part, at);
    at += part.length;
  });
  return out;
}

export interface ReadRecordsOptions {
  readonly file: string;
  /** Told of every stretch that is no record; without it the first ends the reading with an error. */
  readonly onDamage?: (damage: Damage) => void;
  /** As of `RecordScanner`. */
  readonly isWhole?: (payload: Uint8Array) => boolean;
}

/**
 * The payloads of a file in memory, in order; views of its bytes where records are not split.
 *
 * @throws FormatError with file, record and byte where something is no record and nobody is told of it
 */
export function readRecords(bytes: Uint8Array, { file, onDamage, isWhole }: ReadRecordsOptions): Uint8Array[] {
  const scanner = new RecordScanner(isWhole);
  scanner.push(bytes);
  scanner.end();
  const out: Uint8Array[] = [];
  for (let found = scanner.next(); found !== undefined; found = scanner.next()) {
    if (found.kind === 'record') out.push(found.payload);
    else if (onDamage !== undefined) onDamage({ offset: found.offset, bytes: found.bytes, reason: found.reason });
    else throw new FormatError(`${file}: record ${out.length}, byte ${found.offset}: ${found.reason}`);
  }
  return out;
}

/** The bytes of a file, and where each record begins. */
export function writeRecords(payloads: Iterable<Uint8Array>): { readonly bytes: Uint8Array<ArrayBuffer>; readonly offsets: number[] } {
  const records = Array.from(payloads, encodeRecord);
  const offsets: number[] = [];
  let total = 0;
  for (const record of records) {
    offsets.push(total);
    total += record.length;
  }
  const bytes = new Uint8Array(total);
  records.forEach((record, i) => bytes.set(record, offsets[i]));
  return { bytes, offsets };
}
