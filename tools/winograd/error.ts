/**
 * How much larger minimal filtering's rounding errors are than direct convolution's, in float32: measured on random images, and bounded
 * before anything is computed, both for the very operations that are printed. Compare Barabasz, Anderson, Soodhalter and Gregg, "Error
 * Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020.
 */
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Filtering } from './derive.ts';
import type { Matrix } from './fractions.ts';
import { isExact, toNumber, transpose } from './fractions.ts';
import type { Line, Numbers } from './lines.ts';
import { functionOf, linesOf } from './lines.ts';

/** Half a unit in the last place of 1. */
const u = 2 ** -24;

/** Float32, each operation rounded: the build without fused multiply-adds. */
const single: Numbers<number> = {
  zero: 0,
  add: (a, b) => Math.fround(a + b),
  subtract: (a, b) => Math.fround(a - b),
  multiply: (a, b) => Math.fround(a * b),
  constant: (value) => Math.fround(toNumber(value)),
};

/** The largest magnitude that a value can have, and the largest error of it. */
interface Bound {
  readonly size: number;
  readonly error: number;
}

const rounded = (size: number, error: number): Bound => ({ size, error: error + u * (size + error) });

/** Running error analysis with magnitudes in place of values (Higham, "Accuracy and Stability", section 3.3). */
const bounds: Numbers<Bound> = {
  zero: { size: 0, error: 0 },
  add: (a, b) => rounded(a.size + b.size, a.error + b.error),
  subtract: (a, b) => rounded(a.size + b.size, a.error + b.error),
  multiply: (a, b) => rounded(a.size * b.size, a.size * b.error + b.size * a.error + a.error * b.error),
  constant: (value) => ({ size: Math.abs(toNumber(value)), error: isExact(value) ? 0 : u * Math.abs(toNumber(value)) }),
};

/** A line applied to the columns of a square, then to the rows. */
function square<T>(line: Line, n: Numbers<T>): (values: readonly (readonly T[])[]) => T[][] {
  const transform = functionOf(line, n);
  return (values) => {
    const columns = values[0].map((_, j) => transform(values.map((row) => row[j])));
    return line.matrix.map((_, i) => transform(columns.map((column) => column[i])));
  };
}

/** A direction: result = last [(first a) . (second b)]; the gradient by the filter takes dy in the filter's place. */
interface Direction {
  readonly taps: number;
  readonly results: number;
  readonly filterLine: Line;
  readonly outputLine: Line;
}

function directions(f: Filtering): { input: Line; forward: Direction; filterGradient: Direction } {
  const [input, filter, output, outputAdjoint, filterAdjoint] = linesOf(f);
  return {
    input,
    forward: { taps: f.filter, results: f.tile, filterLine: filter, outputLine: output },
    filterGradient: { taps: f.tile, results: f.filter, filterLine: outputAdjoint, outputLine: filterAdjoint },
  };
}

export interface Errors {
  /** Root mean square and largest error, in units of eps sqrt(terms) rms(sum of magnitudes): the rule of tolerance has 1 for sums. */
  readonly rms: number;
  readonly largest: number;
  /** The same of direct convolution, with one running sum. */
  readonly directRms: number;
  readonly directLargest: number;
  /** What no error exceeds where no input is larger than 1. */
  readonly bound: number;
  /** eps sqrt(terms) rms(sum of magnitudes). */
  readonly unit: number;
}

/**
 * Errors of one direction in two dimensions, summed over `depth` channels (forward) or blocks (gradient by the filter).
 *
 * @param trials number of blocks of outputs that are computed, of values drawn evenly from -1 to 1
 */
export function errorsOf(
  f: Filtering, direction: 'forward' | 'filterGradient', { depth = 64, trials = 40, seed = 1 } = {},
): Errors {
  const { input, [direction]: { taps, results, filterLine, outputLine } } = directions(f);
  const n = f.tile + f.filter - 1;
  const stream = new PhiloxStream(seed, 'winograd errors');
  const random = (size: number): number[][] =>
    Array.from({ length: size }, () => Array.from({ length: size }, () => Math.fround(stream.uniform(-1, 1))));
  const terms = depth * taps * taps;
  const ofInput = square(input, single), ofFilter = square(filterLine, single), ofOutput = square(outputLine, single);
  let squares = 0, largest = 0, directSquares = 0, directLargest = 0, magnitudes = 0;
  for (let trial = 0; trial < trials; trial++) {
    const pairs = Array.from({ length: depth }, () => [random(n), random(taps)] as const);
    let products: number[][] | undefined;
    for (const [d, g] of pairs) {
      const v = ofInput(d), w = ofFilter(g);
      products = v.map((row, i) => row.map((a, j) => Math.fround((products?.[i][j] ?? 0) + Math.fround(a * w[i][j]))));
    }
    const got = ofOutput(products!);
    for (let i = 0; i < results; i++) {
      for (let j = 0; j < results; j++) {
        let exact = 0, direct = 0, magnitude = 0;
        for (const [d, g] of pairs) {
          for (let r = 0; r < taps; r++) {
            for (let s = 0; s < taps; s++) {
              const product = d[i + r][j + s] * g[r][s];
              exact += product;
              magnitude += Math.abs(product);
              direct = Math.fround(direct + Math.fround(product));
            }
          }
        }
        const error = Math.abs(got[i][j] - exact), directError = Math.abs(direct - exact);
        squares += error ** 2;
        directSquares += directError ** 2;
        largest = Math.max(largest, error);
        directLargest = Math.max(directLargest, directError);
        magnitudes += magnitude ** 2;
      }
    }
  }
  const count = trials * results * results;
  const unit = 2 * u * Math.sqrt(terms) * Math.sqrt(magnitudes / count);
  return {
    rms: Math.sqrt(squares / count) / unit, largest: largest / unit,
    directRms: Math.sqrt(directSquares / count) / unit, directLargest: directLargest / unit,
    bound: bound(input, filterLine, outputLine, n, taps, depth), unit,
  };
}

/** The largest error of an output where no input or filter exceeds 1. */
function bound(input: Line, filterLine: Line, outputLine: Line, n: number, taps: number, depth: number): number {
  const ones = (size: number): Bound[][] => Array.from({ length: size }, () => Array.from({ length: size }, () => ({ size: 1, error: 0 })));
  const v = square(input, bounds)(ones(n)), w = square(filterLine, bounds)(ones(taps));
  const products = v.map((row, i) => row.map((a, j) => {
    const product = bounds.multiply(a, w[i][j]);
    let total = bounds.zero;
    for (let c = 0; c < depth; c++) total = bounds.add(total, product);
    return total;
  }));
  return Math.max(...square(outputLine, bounds)(products).flat().map(({ error }) => error));
}

/** The growth that theory gives by norms alone, ||A^T||_1 ||G||_F ||B^T||_F, squared for two dimensions. */
export function normProduct({ at, g, bt }: Filtering): number {
  const magnitude = (m: Matrix): number[][] => m.map((row) => row.map((a) => Math.abs(toNumber(a))));
  const columnSum = Math.max(...magnitude(transpose(at)).map((column) => column.reduce((a, b) => a + b, 0)));
  const frobenius = (m: number[][]): number => Math.sqrt(m.flat().reduce((a, b) => a + b * b, 0));
  return (columnSum * frobenius(magnitude(g)) * frobenius(magnitude(bt))) ** 2;
}
