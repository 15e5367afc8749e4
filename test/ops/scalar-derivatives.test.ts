/**
 * Gradients of the scalar ops against mathjs' symbolic derivatives, in numbers of 64 digits. The op's gradient graph is computed by the
 * float64 reference, so the two agree to float64's rounding where the rule is right.
 */
import { all, create } from 'mathjs';
import type { BigNumber, MathNode } from 'mathjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { getOp } from '../../src/graph/op.ts';
import { runReference } from '../../src/graph/reference.ts';
import { binaryExpressions } from '../../src/ops/binary-expressions.ts';
import { unaryExpressions } from '../../src/ops/unary-expressions.ts';
import type { ScalarAttrs, UnaryExpression } from '../../src/ops/scalar-expressions.ts';
import { grad } from '../../src/tensor/grad.ts';
import { apply1, wrap } from '../../src/tensor/tensor.ts';

const math = create(all, { number: 'BigNumber', precision: 64 });
const tolerance = 1e-14;
/** The constants of GELU's gradient are numbers of the graph, and so rounded to float32. */
const looser: Readonly<Record<string, number>> = { gelu: 2e-7 };
/** Exact in binary, as numbers in graphs are rounded to float32. */
const attrs: ScalarAttrs = { slope: 0.25, alpha: 0.75, momentum: 0.875 };

/** Points of a domain, none of them zero and each exact in float32. */
function points([low, high]: readonly [number, number], count = 23): number[] {
  return Array.from({ length: count }, (_, i) => Math.fround(low + ((i + 0.3) / count) * (high - low)));
}

function attrsOf(parameters: readonly string[] | undefined): ScalarAttrs {
  return Object.fromEntries((parameters ?? []).map((p) => [p, attrs[p]]));
}

/** The op's gradient, element by element, computed by the reference runner. */
function gradients(name: string, operands: readonly number[][], parameters: readonly string[] | undefined): Float64Array[] {
  const shape = [operands[0].length];
  const leaves = operands.map((values) => wrap(Float32Array.from(values), shape, 'float32'));
  const y = apply1(getOp(name), leaves, attrsOf(parameters));
  return runReference(grad(y.sum(), leaves).map((t) => t.value));
}

function values(name: string, operands: readonly number[][], parameters: readonly string[] | undefined): Float64Array {
  const shape = [operands[0].length];
  const leaves = operands.map((v) => wrap(Float32Array.from(v), shape, 'float32'));
  return runReference([apply1(getOp(name), leaves, attrsOf(parameters)).value])[0];
}

function evaluate(formula: MathNode, scope: Record<string, number>): number {
  const big = Object.fromEntries(Object.entries(scope).map(([k, v]) => [k, math.bignumber(v)]));
  return math.number(formula.compile().evaluate(big) as BigNumber);
}

function near(got: number, expected: number, what: string, allowed = tolerance): void {
  const error = Math.abs(got - expected);
  assert.ok(error <= allowed * Math.max(1, Math.abs(expected)), `${what}: got ${got}, expected ${expected}, off by ${error}`);
}

let checked = 0;

for (const [name, e] of Object.entries(unaryExpressions) as [string, UnaryExpression][]) {
  if (e.logical) continue;
  test(`${name} and its derivative are those of ${JSON.stringify(e.formula)}`, () => {
    const xs = points(e.domain ?? [-3, 3]);
    const y = values(name, [xs], e.parameters);
    const [dx] = gradients(name, [xs], e.parameters);
    xs.forEach((x, i) => {
      const formula = math.parse(typeof e.formula === 'string' ? e.formula : x < 0 ? e.formula.negative : e.formula.positive);
      const scope = { x, ...attrsOf(e.parameters) };
      if (name !== 'floor') near(y[i], evaluate(formula, scope), `${name}(${x})`);
      near(dx[i], evaluate(math.derivative(formula, 'x'), scope), `${name}'(${x})`, looser[name]);
      checked++;
    });
  });
}

for (const [name, e] of Object.entries(binaryExpressions)) {
  const { formula: text, parameters } = e;
  if (text === undefined) continue;
  test(`${name} and its derivatives are those of ${text}`, () => {
    const xs = points(e.domain ?? [-2, 2]);
    // another order, so that operands are not equal
    const ys = points(e.domainY ?? e.domain ?? [-1.5, 2.5]).map((_, i, list) => list[(i * 7 + 3) % list.length]);
    const z = values(name, [xs, ys], parameters);
    const [dx, dy] = gradients(name, [xs, ys], parameters);
    const formula = math.parse(text);
    xs.forEach((x, i) => {
      const scope = { x, y: ys[i], ...attrsOf(parameters) };
      near(z[i], evaluate(formula, scope), `${name}(${x}, ${ys[i]})`);
      near(dx[i], evaluate(math.derivative(formula, 'x'), scope), `d ${name}(${x}, ${ys[i]}) / dx`);
      near(dy[i], evaluate(math.derivative(formula, 'y'), scope), `d ${name}(${x}, ${ys[i]}) / dy`);
      checked++;
    });
  });
}

test('every differentiable scalar op was checked', () => {
  const without = Object.entries(binaryExpressions).filter(([, e]) => e.kind === 'arithmetic' && e.formula === undefined).map(([n]) => n);
  // piecewise in two variables: finite differences check these
  assert.equal(without, ['maximum', 'minimum', 'reluGrad']);
  assert.ok(checked > 500, `${checked} points`);
});

test.run();
