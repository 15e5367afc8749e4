/**
 * The matrices of minimal filtering by Toom and Cook's construction, in exact fractions.
 *
 * F(m, r) computes m outputs y[i] = sum over k of d[i + k] g[k] of a filter of r taps by n = m + r - 1 multiplications:
 *
 *     y = A^T [(G g) . (B^T d)]
 *
 * A polynomial of degree n - 1 is known by its values at n points, infinity (its leading coefficient) being one; the product of those
 * of two polynomials is theirs, and correlation is the transpose of that product. With M(x) the product of x - a over the finite points:
 * rows of B^T are the coefficients of M(x) / (x - a), and of M for infinity; rows of G are (1, a, a^2, ...) / M'(a), and (0, ..., 0, 1);
 * rows of A^T are powers of the points. Toom 1963, Cook 1966; Winograd, "Arithmetic Complexity of Computations", 1980.
 */
import { OptionError } from '../../src/errors.ts';
import type { Fraction, Matrix } from './fractions.ts';
import { add, divide, equal, minusOne, multiply, negate, one, power, show, sum, transpose, zero } from './fractions.ts';

export interface Filtering {
  /** m: outputs of a tile. */
  readonly tile: number;
  /** r: taps of a filter. */
  readonly filter: number;
  /** The finite points; infinity is the last. */
  readonly points: readonly Fraction[];
  /** A^T [m, n], G [n, r] and B^T [n, n], n = m + r - 1. */
  readonly at: Matrix;
  readonly g: Matrix;
  readonly bt: Matrix;
}

/** Coefficients of the product of x - a over `roots`, constant first. */
function polynomial(roots: readonly Fraction[]): Fraction[] {
  return roots.reduce<Fraction[]>(
    (p, a) => [...p, zero].map((_, i) => add(i > 0 ? p[i - 1] : zero, i < p.length ? negate(multiply(a, p[i])) : zero)), [one],
  );
}

/**
 * The matrices of F(tile, filter).
 *
 * @throws OptionError for sizes that are no positive integers, points that repeat, or not tile + filter - 2 of them
 */
export function derive(tile: number, filter: number, points: readonly Fraction[]): Filtering {
  for (const [name, value] of [['tile', tile], ['filter', filter]] as const) {
    if (!Number.isInteger(value) || value < 1) throw new OptionError(`${name}: a positive integer is needed, not ${value}`);
  }
  const n = tile + filter - 1;
  if (points.length !== n - 1) {
    throw new OptionError(`points: F(${tile}, ${filter}) takes ${n - 1} finite points beside infinity, ${points.length} given`);
  }
  points.forEach((a, i) => {
    const earlier = points.findIndex((b) => equal(a, b));
    if (earlier < i) throw new OptionError(`points: ${show(a)} is given twice, as number ${earlier + 1} and ${i + 1}`);
  });
  const others = points.map((_, j) => points.filter((_a, i) => i !== j));
  const slopes = points.map((a, j) => others[j].reduce((p, b) => multiply(p, add(a, negate(b))), one));
  // Where 1 / M'(a) is -1 the sign is B's, which saves G a multiplication.
  const signs = slopes.map((slope) => (equal(slope, minusOne) ? minusOne : one));
  return {
    tile, filter, points,
    at: Array.from({ length: tile }, (_, i) => [...points.map((a) => power(a, i)), i === tile - 1 ? one : zero]),
    g: [
      ...points.map((a, j) => Array.from({ length: filter }, (_, k) => divide(multiply(signs[j], power(a, k)), slopes[j]))),
      Array.from({ length: filter }, (_, k) => (k === filter - 1 ? one : zero)),
    ],
    bt: [...points.map((_, j) => [...polynomial(others[j]).map((c) => multiply(signs[j], c)), zero]), polynomial(points)],
  };
}

/**
 * Proves that the matrices compute the correlation. Both sides are linear in d and in g, so that it is enough to see it for all pairs of
 * unit vectors: sum over j of A^T[i, j] G[j, k] B^T[j, l] is 1 where l = i + k, else 0. No rounding takes part.
 *
 * @returns the number of products that were compared
 * @throws Error that names the first that is wrong
 */
export function prove({ tile, filter, at, g, bt }: Filtering): number {
  const n = tile + filter - 1;
  let compared = 0;
  for (let i = 0; i < tile; i++) {
    for (let k = 0; k < filter; k++) {
      for (let l = 0; l < n; l++) {
        const got = sum(at[i].map((a, j) => multiply(multiply(a, g[j][k]), bt[j][l])));
        const wanted = l === i + k ? one : zero;
        if (!equal(got, wanted)) throw new Error(`F(${tile}, ${filter}): y[${i}] has ${show(got)} g[${k}] d[${l}], not ${show(wanted)}`);
        compared++;
      }
    }
  }
  return compared;
}

/**
 * The same products with another one of the three as the result: the gradient by the filter, dg = G^T [(A dy) . (B^T d)], is
 * F(filter, tile) of dy as a filter of `tile` taps.
 */
export function filterAdjoint({ tile, filter, points, at, g, bt }: Filtering): Filtering {
  return { tile: filter, filter: tile, points, at: transpose(g), g: transpose(at), bt };
}
