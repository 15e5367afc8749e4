import { FormatError } from '../errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Little-endian reading with bounds: every error is a FormatError that names file, what was read, and the byte. */
export class ByteReader {
  readonly file: string;
  offset = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, file: string) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.#bytes.length;
  }

  get remaining(): number {
    return this.#bytes.length - this.offset;
  }

  fail(what: string, problem: string, at = this.offset): never {
    throw new FormatError(`${this.file}: ${what}, byte ${at}: ${problem}`);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  i32(what: string): number {
    return this.#view.getInt32(this.#take(4, what), true);
  }

  /** A 64-bit count; above 2^53 - 1 it cannot be meant. */
  u64(what: string): number {
    const at = this.#take(8, what);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
    if (!Number.isSafeInteger(value)) this.fail(what, `${value} is out of range`, at);
    return value;
  }

  /** 64 bits that are no count: an id. */
  bits64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(8, what), true);
  }

  /** A dimension: 64 bits, signed, not negative. */
  dimension(what: string): number {
    const at = this.#take(8, what);
    const value = this.#view.getUint32(at, true) + this.#view.getInt32(at + 4, true) * 2 ** 32;
    if (!Number.isSafeInteger(value) || value < 0) this.fail(what, `${value} is no dimension`, at);
    return value;
  }

  text(bytes: number, what: string): string {
    const at = this.#take(bytes, what);
    try {
      return utf8.decode(this.#bytes.subarray(at, at + bytes));
    } catch {
      return this.fail(what, 'not UTF-8', at);
    }
  }

  /** A copy with a buffer of its own, so that wide elements are aligned. */
  copy(bytes: number, what: string): ArrayBuffer {
    const at = this.#take(bytes, what);
    const out = new Uint8Array(bytes);
    out.set(this.#bytes.subarray(at, at + bytes));
    return out.buffer;
  }

  #take(bytes: number, what: string): number {
    const at = this.offset;
    if (bytes > this.remaining) {
      this.fail(what, `truncated: ${bytes} bytes wanted, ${this.remaining} left of ${this.#bytes.length}`);
    }
    this.offset = at + bytes;
    return at;
  }
}
