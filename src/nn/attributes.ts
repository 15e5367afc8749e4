/**
 * Attributes of layers. MXNet keeps every value as text in Python's spelling: `(7, 7)`, `True`, `1e-05`, `64`.
 * A layer holds those texts; an operator's schema says how they are read.
 */
import { OptionError } from '../errors.ts';

/** What a layer function may be given. */
export type AttributeValue = string | number | boolean | readonly number[] | undefined;

/** Reads one attribute. `text` is undefined where it is not stated. */
export interface AttributeField<T> {
  readonly expected: string;
  /** Undefined where the text cannot be read. */
  parse(text: string): T | undefined;
  readonly fallback?: T;
  /** `float`: a whole number is written with `.0`, as Python writes a float. */
  readonly float?: boolean;
}

export type Schema = Readonly<Record<string, AttributeField<unknown>>>;

/** The values that a schema yields; a field without a fallback must be stated. */
export type Parsed<S extends Schema> = { readonly [K in keyof S]: S[K] extends AttributeField<infer T> ? T : never };

function parseNumber(text: string): number | undefined {
  const t = text.trim();
  if (/^[+-]?(inf|infinity)$/i.test(t)) return t.startsWith('-') ? -Infinity : Infinity;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?f?$/i.test(t)) return undefined;
  return Number(t.replace(/f$/i, ''));
}

function parseInteger(text: string): number | undefined {
  const value = parseNumber(text);
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

/** `(1, 2)`, `[1, 2]`, `(3,)`, `()` or a bare `3`; `None` elements are read as NaN. */
function parseTuple(text: string): number[] | undefined {
  const t = text.trim();
  const inner = /^\((.*)\)$/s.exec(t) ?? /^\[(.*)\]$/s.exec(t);
  if (inner === null) {
    const value = parseInteger(t);
    return value === undefined ? undefined : [value];
  }
  const parts = inner[1].split(',').map((p) => p.trim());
  if (parts[parts.length - 1] === '') parts.pop();
  const out: number[] = [];
  for (const part of parts) {
    const value = part === 'None' ? Number.NaN : parseInteger(part.replace(/L$/, ''));
    if (value === undefined) return undefined;
    out.push(value);
  }
  return out;
}

export function integer(fallback?: number, minimum = -Infinity): AttributeField<number> {
  return {
    expected: minimum === -Infinity ? 'an integer' : `an integer of ${minimum} or more`,
    parse: (text) => {
      const value = parseInteger(text);
      return value !== undefined && value >= minimum ? value : undefined;
    },
    fallback,
  };
}

export function float(fallback?: number): AttributeField<number> {
  return { expected: 'a number', parse: parseNumber, fallback, float: true };
}

export function flag(fallback?: boolean): AttributeField<boolean> {
  return {
    expected: 'True or False',
    parse: (text) => (/^(true|1)$/i.test(text.trim()) ? true : /^(false|0)$/i.test(text.trim()) ? false : undefined),
    fallback,
  };
}

/** Integers, each `minimum` or more; of `length` where given. A bare number is a tuple of one. */
export function tuple(fallback?: readonly number[], options: { length?: number; minimum?: number } = {}):
AttributeField<readonly number[]> {
  const { length, minimum = -Infinity } = options;
  return {
    expected: `${length === undefined ? 'integers' : `${length} integers`} in parentheses` +
      (minimum === -Infinity ? '' : `, each ${minimum} or more`),
    parse: (text) => {
      const value = parseTuple(text);
      if (value === undefined || (length !== undefined && value.length !== length)) return undefined;
      return value.every((v) => Number.isNaN(v) || v >= minimum) ? value : undefined;
    },
    fallback,
  };
}

/** Like `tuple`, where `()` and `None` and leaving it out all mean: not stated. */
export function optionalTuple(): AttributeField<readonly number[] | null> {
  return {
    expected: 'integers in parentheses, or None',
    parse: (text) => {
      if (text.trim() === 'None') return null;
      const value = parseTuple(text);
      return value === undefined ? undefined : value.length === 0 ? null : value;
    },
    fallback: null,
  };
}

export function oneOf<const T extends string>(values: readonly T[], fallback?: T): AttributeField<T> {
  return {
    expected: `one of ${values.join(', ')}`,
    parse: (text) => values.find((v) => v === text.trim()),
    fallback,
  };
}

/** A setting that changes speed or memory in MXNet and nothing here. */
export const ignored: AttributeField<string> = { expected: 'anything', parse: (text) => text, fallback: '' };

/**
 * The attributes of a layer by its operator's schema. Names in double underscores are the user's own.
 *
 * @throws OptionError that names the layer, its operator and the attribute
 */
export function parseAttributes<S extends Schema>(
  layer: string,
  operator: string,
  schema: S,
  attributes: Readonly<Record<string, string>>,
): Parsed<S> {
  const out: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(schema)) {
    const text = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
    if (text === undefined) {
      if (field.fallback === undefined) {
        throw new OptionError(`layer "${layer}" (${operator}): ${key} is not stated; expected ${field.expected}`);
      }
      out[key] = field.fallback;
      continue;
    }
    const value = field.parse(text);
    if (value === undefined) {
      throw new OptionError(`layer "${layer}" (${operator}): ${key}: expected ${field.expected}, got "${text}"`);
    }
    out[key] = value;
  }
  for (const key of Object.keys(attributes)) {
    if (!Object.hasOwn(schema, key) && !isUserAttribute(key)) {
      throw new OptionError(`layer "${layer}" (${operator}): unknown attribute "${key}"; ` +
        `it takes ${Object.keys(schema).join(', ') || 'none'}`);
    }
  }
  return out as Parsed<S>;
}

export function isUserAttribute(key: string): boolean {
  return key.length > 4 && key.startsWith('__') && key.endsWith('__');
}

/**
 * A value in MXNet's spelling, which is Python's: shortest digits that read back the same, exponents below 1e-4 and from
 * 1e16 on, `.0` on a whole float.
 */
export function formatAttribute(value: Exclude<AttributeValue, undefined>, asFloat = false): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value !== 'number') {
    return value.length === 1 ? `(${value[0]},)` : `(${value.join(', ')})`;
  }
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  if (Number.isInteger(value) && Math.abs(value) < 1e16) {
    const text = Object.is(value, -0) ? '-0' : String(value);
    return asFloat ? `${text}.0` : text;
  }
  const [digits, exponent] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 16) return String(value);
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
