/**
 * A matrix times a vector as a list of additions, multiplications and multiply-adds, for the printers of emit.ts and for error.ts.
 *
 * The points a and -a have rows (or columns) that differ in the signs of odd powers alone. Their even and odd halves are computed once
 * and added and subtracted. A factor common to a half is taken out where that leaves fewer constants which float32 has to round, then
 * fewer operations, then fewer constants that the line does not have yet, then fewer multiplications.
 */
import type { Filtering } from './derive.ts';
import type { Fraction, Matrix } from './fractions.ts';
import { add, divide, equal, isExact, isZero, minusOne, multiply, negate, one, show, transpose, zero } from './fractions.ts';

export type Expression =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'zero' }
  | { readonly kind: 'add' | 'subtract'; readonly a: Expression; readonly b: Expression }
  | { readonly kind: 'multiply'; readonly a: Expression; readonly by: Fraction }
  /** a by + c. */
  | { readonly kind: 'madd'; readonly a: Expression; readonly by: Fraction; readonly c: Expression };

export type Step =
  | { readonly define: string; readonly as: Expression }
  | { readonly result: number; readonly as: Expression };

export interface Line {
  readonly name: string;
  /** `B^T d`. */
  readonly formula: string;
  readonly matrix: Matrix;
  readonly inputs: readonly string[];
  readonly steps: readonly Step[];
}

interface Term {
  readonly name: string;
  readonly by: Fraction;
}

const named = (name: string): Expression => ({ kind: 'name', name });
const times = (a: Expression, by: Fraction): Expression => (equal(by, one) ? a : { kind: 'multiply', a, by });

/** Terms added up: those by 1 first, then those by -1, then the rest in order; a rest of its own starts with a product. */
function plainSum(terms: readonly Term[]): Expression {
  const plus = terms.filter(({ by }) => equal(by, one));
  const minus = terms.filter(({ by }) => equal(by, minusOne));
  const rest = terms.filter((t) => !plus.includes(t) && !minus.includes(t));
  const first = plus.shift() ?? rest.shift() ?? minus.shift();
  if (first === undefined) return { kind: 'zero' };
  let total = times(named(first.name), first.by);
  for (const { name } of plus) total = { kind: 'add', a: total, b: named(name) };
  for (const { name } of minus) total = { kind: 'subtract', a: total, b: named(name) };
  for (const { name, by } of rest) total = { kind: 'madd', a: named(name), by, c: total };
  return total;
}

function constants(e: Expression): Fraction[] {
  switch (e.kind) {
    case 'name': case 'zero': return [];
    case 'add': case 'subtract': return [...constants(e.a), ...constants(e.b)];
    case 'multiply': return [...constants(e.a), e.by];
    case 'madd': return [...constants(e.a), e.by, ...constants(e.c)];
  }
}

function operations(e: Expression): number {
  switch (e.kind) {
    case 'name': case 'zero': return 0;
    case 'add': case 'subtract': return 1 + operations(e.a) + operations(e.b);
    case 'multiply': return 1 + operations(e.a);
    case 'madd': return 1 + operations(e.a) + operations(e.c);
  }
}

/** Numbers compared one after the other; the first of equals wins. */
function cheapest<T>(candidates: readonly T[], cost: (candidate: T) => readonly number[]): T {
  const costs = candidates.map(cost);
  const less = (a: readonly number[], b: readonly number[]): boolean => {
    const at = a.findIndex((v, i) => v !== b[i]);
    return at >= 0 && a[at] < b[at];
  };
  return candidates[costs.reduce((best, c, i) => (less(c, costs[best]) ? i : best), 0)];
}

/** What a line is made of so far. */
class Builder {
  readonly steps: Step[] = [];
  private readonly known: Fraction[] = [];

  private fresh(values: readonly Fraction[]): number {
    const distinct = values.filter((v, i) => values.findIndex((w) => equal(v, w)) === i);
    return distinct.filter((v) => !this.known.some((w) => equal(v, w))).length;
  }

  private cost(parts: readonly Fraction[], count: number): number[] {
    return [parts.filter((v) => !isExact(v)).length, count, this.fresh(parts), parts.length];
  }

  /** The sum of terms, with the factor taken out that is best taken out, if any. */
  sum(terms: readonly Term[]): Expression {
    const factors = terms.length > 1 ? [one, ...terms.map(({ by }) => by)] : [one];
    return cheapest(factors.map((f) => times(plainSum(terms.map(({ name, by }) => ({ name, by: divide(by, f) }))), f)),
      (e) => this.cost(constants(e), operations(e)));
  }

  /** The factor by which a half is multiplied before `uses` take it. */
  factor(uses: readonly Fraction[]): Fraction {
    return cheapest([one, ...uses], (f) => {
      const left = uses.map((by) => divide(by, f)).filter((by) => !equal(by, one));
      return this.cost(equal(f, one) ? left : [f, ...left], uses.length + (equal(f, one) ? 0 : 1));
    });
  }

  private note(e: Expression): Expression {
    this.known.push(...constants(e));
    return e;
  }

  /** A name for an expression; none is made for what has one. */
  define(name: string, e: Expression): Expression {
    if (e.kind === 'name') return e;
    this.steps.push({ define: name, as: this.note(e) });
    return named(name);
  }

  result(row: number, e: Expression): void {
    this.steps.push({ result: row, as: this.note(e) });
  }
}

/**
 * Pairs of points a, -a, by their numbers, where the vectors that belong to them agree but for signs. Those of B^T and G do only where the
 * other points come in such pairs too.
 */
function mirrored(points: readonly Fraction[], vectors: Matrix): Map<number, number> {
  const found = new Map<number, number>();
  points.forEach((a, i) => {
    const j = points.findIndex((b) => equal(b, negate(a)));
    const agree = j > i && vectors[i].every((v, k) => equal(v, vectors[j][k]) || equal(v, negate(vectors[j][k])));
    if (agree) found.set(i, j);
  });
  return found;
}

const termsOf = (row: readonly Fraction[], inputs: readonly string[], keep: (column: number) => boolean): Term[] =>
  row.map((by, k) => ({ name: inputs[k], by })).filter(({ by }, k) => keep(k) && !isZero(by));

/** Rows belong to points. */
function byRows(matrix: Matrix, inputs: readonly string[], pairs: Map<number, number>): Step[] {
  const builder = new Builder();
  const seconds = new Set(pairs.values());
  matrix.forEach((row, j) => {
    if (seconds.has(j)) return;
    const partner = pairs.get(j);
    if (partner === undefined) return builder.result(j, builder.sum(termsOf(row, inputs, () => true)));
    const even = (k: number): boolean => equal(row[k], matrix[partner][k]);
    const number = [...pairs.keys()].indexOf(j);
    const a = builder.define(`even${number}`, builder.sum(termsOf(row, inputs, even)));
    const b = builder.define(`odd${number}`, builder.sum(termsOf(row, inputs, (k) => !even(k))));
    builder.result(j, { kind: 'add', a, b });
    builder.result(partner, { kind: 'subtract', a, b });
  });
  return builder.steps;
}

/** Columns belong to points. */
function byColumns(matrix: Matrix, inputs: readonly string[], pairs: Map<number, number>): Step[] {
  const builder = new Builder();
  const terms: Term[][] = matrix.map(() => []);
  const seconds = new Set(pairs.values());
  inputs.forEach((input, j) => {
    if (seconds.has(j)) return;
    const partner = pairs.get(j);
    if (partner === undefined) {
      matrix.forEach((row, i) => { if (!isZero(row[j])) terms[i].push({ name: input, by: row[j] }); });
      return;
    }
    const number = [...pairs.keys()].indexOf(j);
    const halves = [['add', 'sum', (row: readonly Fraction[]) => equal(row[j], row[partner])],
      ['subtract', 'difference', (row: readonly Fraction[]) => !equal(row[j], row[partner])]] as const;
    for (const [kind, name, holds] of halves) {
      const rows = matrix.flatMap((row, i) => (holds(row) && !isZero(row[j]) ? [i] : []));
      if (rows.length === 0) continue;
      const factor = builder.factor(rows.map((i) => matrix[i][j]));
      const half = builder.define(`${name}${number}`, times({ kind, a: named(input), b: named(inputs[partner]) }, factor));
      for (const i of rows) terms[i].push({ name: (half as { name: string }).name, by: divide(matrix[i][j], factor) });
    }
  });
  terms.forEach((row, i) => builder.result(i, builder.sum(row)));
  return builder.steps;
}

/** The transforms of one line, of inputs, filters and outputs, and the two adjoint ones of the gradient by the filter. */
export function linesOf(f: Filtering): Line[] {
  const line = (name: string, formula: string, variable: string, matrix: Matrix, points: 'rows' | 'columns'): Line => {
    const inputs = matrix[0].map((_, k) => `${variable}${k}`);
    const pairs = mirrored(f.points, points === 'rows' ? matrix : transpose(matrix));
    return { name, formula, matrix, inputs, steps: (points === 'rows' ? byRows : byColumns)(matrix, inputs, pairs) };
  };
  return [
    line('inputLine', 'B^T d', 'd', f.bt, 'rows'),
    line('filterLine', 'G g', 'g', f.g, 'rows'),
    line('outputLine', 'A^T m', 'm', f.at, 'columns'),
    line('outputAdjointLine', 'A y', 'y', transpose(f.at), 'rows'),
    line('filterAdjointLine', 'G^T m', 'm', transpose(f.g), 'columns'),
  ];
}

/** A number system that lines are computed in. */
export interface Numbers<T> {
  readonly zero: T;
  readonly add: (a: T, b: T) => T;
  readonly subtract: (a: T, b: T) => T;
  readonly multiply: (a: T, b: T) => T;
  readonly constant: (value: Fraction) => T;
}

/** A line as a function. */
export function functionOf<T>(line: Line, n: Numbers<T>): (values: readonly T[]) => T[] {
  type Values = Map<string, T>;
  const compile = (e: Expression): ((known: Values) => T) => {
    switch (e.kind) {
      case 'name': return (known) => known.get(e.name)!;
      case 'zero': return () => n.zero;
      case 'add': case 'subtract': {
        const a = compile(e.a), b = compile(e.b), combine = n[e.kind];
        return (known) => combine(a(known), b(known));
      }
      case 'multiply': {
        const a = compile(e.a), by = n.constant(e.by);
        return (known) => n.multiply(a(known), by);
      }
      case 'madd': {
        const a = compile(e.a), by = n.constant(e.by), c = compile(e.c);
        return (known) => n.add(n.multiply(a(known), by), c(known));
      }
    }
  };
  const steps = line.steps.map((step) => ({ ...step, value: compile(step.as) }));
  return (values) => {
    const known: Values = new Map(line.inputs.map((name, i) => [name, values[i]]));
    const results: T[] = [];
    for (const step of steps) {
      if ('define' in step) known.set(step.define, step.value(known));
      else results[step.result] = step.value(known);
    }
    return results;
  };
}

/** Proves that the steps of a line are its matrix, by all unit vectors. Throws Error that names the first that are not. */
export function proveLine(line: Line): void {
  const exact = functionOf<Fraction>(line, { zero, add, subtract: (a, b) => add(a, negate(b)), multiply, constant: (value) => value });
  line.inputs.forEach((input, k) => {
    const column = exact(line.inputs.map((_, i) => (i === k ? one : zero)));
    line.matrix.forEach((row, i) => {
      if (!equal(row[k], column[i])) throw new Error(`${line.name}: row ${i} has ${show(column[i])} ${input}, not ${show(row[k])}`);
    });
  });
}
