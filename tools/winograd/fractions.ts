/** Exact arithmetic, by mathjs' fractions of big integers: typed names for the few functions that are used, and texts. */
import * as math from 'mathjs';
import type { Fraction } from 'mathjs';
import { OptionError } from '../../src/errors.ts';

export type { Fraction };
export type Matrix = readonly (readonly Fraction[])[];

export const ratio = (n: number, d = 1): Fraction => math.fraction(n, d);
export const zero = ratio(0);
export const one = ratio(1);
export const minusOne = ratio(-1);
export const add = (a: Fraction, b: Fraction): Fraction => math.add(a, b);
export const multiply = (a: Fraction, b: Fraction): Fraction => math.multiply(a, b) as Fraction;
export const divide = (a: Fraction, b: Fraction): Fraction => math.divide(a, b) as Fraction;
export const negate = (a: Fraction): Fraction => multiply(minusOne, a);
export const power = (a: Fraction, n: number): Fraction => (n === 0 ? one : multiply(a, power(a, n - 1)));
export const equal = (a: Fraction, b: Fraction): boolean => math.equal(a, b) as boolean;
export const isZero = (a: Fraction): boolean => equal(a, zero);
export const toNumber = (a: Fraction): number => Number(math.number(a));
/** `-40/93`, `2`. */
export const show = (a: Fraction): string => math.format(a, { fraction: 'ratio' }).replace(/\/1$/, '');

export const transpose = (m: Matrix): Matrix => m[0].map((_, j) => m.map((row) => row[j]));
export const sum = (terms: readonly Fraction[]): Fraction => terms.reduce(add, zero);

/** Whether float32 has the number itself: a denominator that is a power of two, and 24 bits. */
export const isExact = (a: Fraction): boolean => Math.fround(toNumber(a)) === toNumber(a) && equal(math.fraction(toNumber(a)), a);

/** The fraction in decimal where float32 has it, else the shortest number that float32 reads as the fraction rounded. */
export function decimal(a: Fraction): string {
  const value = Math.fround(toNumber(a));
  if (isExact(a)) return Number.isInteger(value) ? `${value}.0` : String(value);
  for (let digits = 1; ; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
}

/** `0, 5/8, -1.5` as fractions. Throws OptionError for what is no number. */
export function parseFractions(text: string): Fraction[] {
  return text.split(',').map((part) => {
    const word = part.trim();
    if (!/^[+-]?\d+(\.\d+|\/0*[1-9]\d*)?$/.test(word)) throw new OptionError(`points: "${word}" is no number or fraction such as -5/8`);
    return math.fraction(word.replace(/^\+/, ''));
  });
}
