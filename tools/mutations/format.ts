/**
 * What the mutations of a file format need to know of it. A new format is a file beside this one and a line in formats.ts.
 */

/** What stands at a place of a file. Text is replaced by other text, everything else is an unsigned little-endian integer. */
export type FieldKind =
  | 'length' | 'count' | 'dim' | 'dtype' | 'offset' | 'flag' | 'version'
  /** Free, and kept by reader and writer. */
  | 'value'
  /** Read past: what stands there is lost, and may be. */
  | 'ignored'
  | 'text';

export interface Field {
  readonly kind: FieldKind;
  readonly start: number;
  readonly end: number;
}

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
  /**
   * Whether what is read of this file, or of a mutation of it, is written as exactly the bytes that were read, but for fields of kind
   * `ignored` and `version`. Otherwise it must be read and written again without another change.
   */
  readonly exact: boolean;
}

export interface MutatedFormat {
  readonly name: string;
  /** Small whole files, to be mutated. */
  seeds(): readonly Seed[];
  /** The structure of a whole file. */
  fields(bytes: Uint8Array): Field[];
  /**
   * Reads a file; what comes back writes the value that was read.
   *
   * @throws FormatError
   */
  read(bytes: Uint8Array, file: string): () => Uint8Array;
  /** What the message of a FormatError has after the file's name: field and place. */
  readonly place: RegExp;
  /** Makes a mutation of text more interesting: states its new length where the file states one. */
  repair?(mutated: Uint8Array, seed: Uint8Array): Uint8Array;
}

/** The tokens of JSON that stands in [start, end). */
export function jsonFields(bytes: Uint8Array, start = 0, end = bytes.length): Field[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
  return [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|[[\]{},:]/g)]
    .map((match) => ({ kind: 'text', start: start + match.index, end: start + match.index + match[0].length }));
}

/** Takes fields one after another. */
export class FieldList {
  readonly fields: Field[] = [];
  readonly #view: DataView;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  /** @returns the field's value, of which 32 bits are read */
  take(kind: FieldKind, bytes: 4 | 8): number {
    this.fields.push({ kind, start: this.at, end: this.at + bytes });
    const value = this.#view.getUint32(this.at, true);
    this.at += bytes;
    return value;
  }

  skip(bytes: number): void {
    this.at += bytes;
  }
}
