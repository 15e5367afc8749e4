/**
 * The text files beside a `.rec`. `.idx`: a line a record, its key and where it begins. `.lst`: what becomes of a `.rec`, a line an
 * image, its key, labels and path. After apache/mxnet python/mxnet/recordio.py and tools/im2rec.py.
 */
import { FormatError } from '../errors.ts';

export interface IndexEntry {
  readonly key: number;
  /** Of the record's magic number: a multiple of 4. */
  readonly offset: number;
}

/** @throws FormatError with file and line for a line that is no key and offset, or a key that is there twice */
export function parseIndex(text: string, { file }: { readonly file: string }): IndexEntry[] {
  const seen = new Set<number>();
  return lines(text).map(({ fields, number }) => {
    const [key, offset] = fields.map(Number);
    const good = fields.length === 2 && fields.every((field) => /^\d+$/.test(field)) && Number.isSafeInteger(key) && Number.isSafeInteger(offset);
    if (!good || offset % 4 !== 0) {
      throw new FormatError(`${file}: line ${number}: expected a key and an offset that is a multiple of 4, got ${JSON.stringify(fields.join('\t'))}`);
    }
    if (seen.has(key)) throw new FormatError(`${file}: line ${number}: key ${key} is there twice`);
    seen.add(key);
    return { key, offset };
  });
}

export function formatIndex(entries: Iterable<IndexEntry>): string {
  return Array.from(entries, ({ key, offset }) => `${key}\t${offset}\n`).join('');
}

export interface ListEntry {
  readonly key: number;
  readonly labels: readonly number[];
  /** Below the folder of images. */
  readonly path: string;
}

/** @throws FormatError with file and line for a line that is not a key, labels and a path, or a key that is there twice */
export function parseList(text: string, { file }: { readonly file: string }): ListEntry[] {
  const seen = new Set<number>();
  return lines(text).map(({ fields, number }) => {
    const key = Number(fields[0]);
    const labels = fields.slice(1, -1);
    const path = fields.at(-1)!;
    const good = fields.length >= 3 && /^\d+$/.test(fields[0]) && Number.isSafeInteger(key) && path !== ''
      && labels.every((label) => /^(nan|[-+]?(inf(inity)?|(\d+\.?\d*|\.\d+)(e[-+]?\d+)?))$/i.test(label));
    if (!good) {
      throw new FormatError(`${file}: line ${number}: expected a number of the image, its labels and its path between tabs, `
        + `got ${JSON.stringify(fields.join('\t'))}`);
    }
    if (seen.has(key)) throw new FormatError(`${file}: line ${number}: image ${key} is there twice`);
    seen.add(key);
    return { key, labels: labels.map(pythonFloat), path };
  });
}

export function formatList(entries: Iterable<ListEntry>): string {
  return Array.from(entries, ({ key, labels, path }) => `${[key, ...labels.map((label) => label.toFixed(6)), path].join('\t')}\n`).join('');
}

/** A number as Python's float() reads it. */
function pythonFloat(text: string): number {
  const infinite = /^([-+]?)inf/i.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity;
  return Number(text);
}

/** Fields between tabs, blanks around them gone; empty lines left out. */
function lines(text: string): { readonly fields: string[]; readonly number: number }[] {
  return text.split('\n').flatMap((line, i) =>
    line.trim() === '' ? [] : [{ fields: line.split('\t').map((field) => field.trim()), number: i + 1 }]);
}
