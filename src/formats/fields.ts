/** JSON from outside, field by field: every error is a FormatError that names file, field and what was expected. */
import { FormatError } from '../errors.ts';

/** An object of a JSON file, and where it stands. */
export class Fields {
  /** File and field, as errors begin: `model.json: modelTopology.model_config`. */
  readonly where: string;
  readonly #object: Readonly<Record<string, unknown>>;

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new FormatError(`${where}: expected an object, got ${shown(value)}`);
    }
    this.where = where;
    this.#object = value as Readonly<Record<string, unknown>>;
  }

  /** The object that a file's text is. @throws FormatError where it is no JSON */
  static parse(text: string, file: string): Fields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new FormatError(`${file}: not JSON: ${(cause as Error).message}`, { cause });
    }
    return new Fields(value, file);
  }

  /** Whether the field is there and not null. */
  has(key: string): boolean {
    return this.raw(key) !== undefined && this.raw(key) !== null;
  }

  raw(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  at(key: string): string {
    return `${this.where}${this.where.includes(': ') ? '.' : ': '}${key}`;
  }

  fail(key: string, expected: string): never {
    throw new FormatError(`${this.at(key)}: expected ${expected}, got ${shown(this.raw(key))}`);
  }

  text(key: string, fallback?: string): string {
    return this.#typed(key, 'text', (v) => typeof v === 'string', fallback);
  }

  number(key: string, fallback?: number): number {
    return this.#typed(key, 'a number', (v) => typeof v === 'number' && Number.isFinite(v), fallback);
  }

  flag(key: string, fallback?: boolean): boolean {
    return this.#typed(key, 'true or false', (v) => typeof v === 'boolean', fallback);
  }

  list(key: string): readonly unknown[] {
    return this.#typed(key, 'a list', Array.isArray);
  }

  object(key: string): Fields {
    return new Fields(this.raw(key), this.at(key));
  }

  /** The objects of a list. */
  objects(key: string): Fields[] {
    return this.list(key).map((value, i) => new Fields(value, `${this.at(key)}[${i}]`));
  }

  /** Whole numbers, none negative: a shape. */
  counts(key: string): readonly number[] {
    return this.#typed(key, 'whole numbers', (v) => Array.isArray(v) && v.every(isCount));
  }

  /** [height, width], each 1 or more; a single number stands for both. */
  pair(key: string, fallback?: number): readonly [number, number] {
    const value = this.raw(key) ?? fallback;
    const both = typeof value === 'number' ? [value, value] : value;
    if (!Array.isArray(both) || both.length !== 2 || !both.every((v) => isCount(v) && v > 0)) return this.fail(key, 'two whole numbers from 1 on');
    return both as [number, number];
  }

  #typed<T>(key: string, expected: string, good: (value: unknown) => boolean, fallback?: T): T {
    const value = this.raw(key) ?? fallback;
    if (!good(value)) this.fail(key, expected);
    return value as T;
  }
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A value in an error, cut to a length that can be read. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
