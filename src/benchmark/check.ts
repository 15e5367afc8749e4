/**
 * What outputs should be: the float64 reference, of the whole output where that is quick, of a sample of its elements for products
 * and convolutions, whose whole outputs are held to each other. Held to the one rule of tolerance (testing/tolerance.ts).
 */
import { halfStep } from '../device/half.ts';
import type { HalfType, HostData, Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { BenchmarkError } from '../errors.ts';
import { getOp } from '../fovea.ts';
import { statistics } from '../ops/support/statistics.ts';
import type { ConvAttrs } from '../ops/support/conv.ts';
import type { Comparison } from '../testing/tolerance.ts';
import { compare, constantOf, elementBounds, float32Epsilon, magnitudes, rootMeanSquare } from '../testing/tolerance.ts';
import type { Check, Outcome } from './contest.ts';
import { saysTf32 } from './targets.ts';
import { generator, hostTensor } from './values.ts';
import type { KernelProblem } from './types.ts';

/** What a contestant's own way to round may add to the bound of an element of this value; undefined where that is nothing. */
type Loss = (one: Omit<Outcome, 'results'>) => ((value: number, element: number) => number) | undefined;

/** What some elements of an output are. */
interface Expectation {
  readonly loss?: Loss;
  readonly output: number;
  /** Elements, in order; all of them where absent. */
  readonly elements?: readonly number[];
  readonly values: Float64Array;
  /** Of all elements, or each one's own. */
  readonly bound: number | Float64Array;
}

/** TF32 has 10 bits of mantissa behind the first: what a product of two operands may lose, as a share of it, where both are cut off. */
const TF32_LOSS = 2 ** -9;

/** Elements of each convolution and product that are looked at: so many at random, beside the corners and the ends of each axis. */
const SAMPLES = 96;
const SAMPLES_AT_END = 8;

/** Results of more elements are not compared as a whole. */
const WHOLE = 1 << 23;

/** A check of outputs of the problem. @throws BenchmarkError, by `one`, naming contestant, element and both values */
export function checkOf(problem: KernelProblem, values: readonly HostData[]): Check {
  const exact = isSampled(problem) ? exactOf(problem, values) : undefined;
  const sample = exact === undefined ? undefined : sampled(problem, exact, values);
  const expected: readonly Expectation[] = sample === undefined ? whole(problem, values) : [sample];
  const outputs = outputTypes(problem);
  const wrong = (who: string, element: number, output: number, { got, expected: right, ratio }: Comparison): string =>
    `${problem.name}, ${who}: element ${element} of output ${output} is ${got}, expected ${right} (${ratio.toPrecision(3)} times what rounding allows)`;
  return {
    one(results, who, rounded) {
      for (const { output, elements, values: want, bound, loss } of expected) {
        const got = results[output];
        // Peers give the first output alone; the others are extras of ours.
        if (got === undefined && output > 0) continue;
        const size = sizeOf(outputs[output].shape);
        if (got?.length !== size) throw new BenchmarkError(`${problem.name}, ${who}: output ${output} has ${got?.length} elements, expected ${size}`);
        const least = (i: number): number => (typeof bound === 'number' ? bound : bound[i]);
        const loses = loss?.({ who, rounded });
        const allowed = loses === undefined ? bound : want.map((value, i) => least(i) + loses(value, elements?.[i] ?? i));
        const found = compare(elements ? elements.map((i) => got[i]) : got, want, allowed, outputs[output].dtype);
        if (!(found.ratio <= 1)) throw new BenchmarkError(wrong(who, elements?.[found.at] ?? found.at, output, found));
      }
      if (problem.op === 'conv2dStats' && results.length > 1) checkStatistics(problem, results, who);
    },
    // What was compared with the reference as a whole need not be compared again.
    ...(exact !== undefined && sample !== undefined && sizeOf(outputs[0].shape) <= WHOLE && outputs[0].dtype === 'float32' && {
      among: (outcomes) => apart(outcomes, sample, (one, element, got) => {
        const { value } = exact(element);
        const found = compare([got], Float64Array.of(value), sample.bound + (sample.loss(one)?.(value, element) ?? 0));
        return found.ratio <= 1 ? undefined : wrong(one.who, element, 0, found);
      }),
    }),
  };
}

/** Elements in which a result is further from the first one than both may err: the reference says which of the two is wrong. */
function apart(
  outcomes: readonly Outcome[], { bound, loss }: Sampled, judge: (one: Outcome, element: number, got: number) => string | undefined,
): Map<string, string> {
  const wrong = new Map<string, string>();
  let left = [...outcomes];
  while (left.length > 1) {
    const [first, ...others] = left;
    const base = Float64Array.from(first.results[0]);
    for (const other of others) {
      const got = other.results[0];
      const losses = [first, other].flatMap((one) => loss(one) ?? []);
      const allowed = losses.length === 0 ? 2 * bound : base.map((value, i) => losses.reduce((sum, loses) => sum + loses(value, i), 2 * bound));
      const { ratio, at } = compare(got, base, allowed);
      if (ratio <= 1) continue;
      for (const [one, value] of [[first, base[at]], [other, got[at]]] as const) {
        const why = judge(one, at, value);
        if (why !== undefined) wrong.set(one.who, why);
      }
    }
    // One that is itself wrong is no measure for the others.
    if (!wrong.has(first.who)) break;
    left = left.filter((o) => !wrong.has(o.who));
  }
  return wrong;
}

export function outputTypes({ op, inputs, attrs }: KernelProblem): TensorType[] {
  return getOp(op).infer(inputs, attrs);
}

const isSampled = ({ op }: KernelProblem): boolean => op === 'matmul' || op.startsWith('conv2d');

function whole({ op: name, inputs, attrs }: KernelProblem, values: readonly HostData[]): Expectation[] {
  const op = getOp(name);
  const tensors = inputs.map((t, i) => hostTensor(t, values[i]));
  const outputs = op.infer(inputs, attrs);
  const references = op.reference!(tensors, attrs, outputs);
  // Statistics are drawn: some channels' scales, and so their rounding, are many times the root mean square.
  const allowed = elementBounds(op, tensors, attrs, outputs, magnitudes(op, tensors, attrs, outputs, references));
  return references.map((want, output) => ({ output, values: want, bound: allowed[output] }));
}

/** Pairs of elements, of the first and second input, whose products one output element sums. */
type Terms = (element: number, visit: (a: number, b: number) => void) => void;

/** An element as it should be, and the summed magnitudes of its terms. */
type Exact = (element: number) => { readonly value: number; readonly magnitude: number };

function exactOf(problem: KernelProblem, [a, b, bias]: readonly HostData[]): Exact {
  const [{ shape }] = outputTypes(problem);
  const terms = termsOf(problem, shape);
  const channels = shape[shape.length - 1];
  return (element) => {
    let value = bias?.[element % channels] ?? 0;
    let magnitude = Math.abs(value);
    terms(element, (at, by) => {
      const product = a[at] * b[by];
      value += product;
      magnitude += Math.abs(product);
    });
    return { value: problem.attrs.activation === 'relu' ? Math.max(value, 0) : value, magnitude };
  };
}

type Sampled = Expectation & Required<Pick<Expectation, 'loss'>> & { readonly bound: number };

/**
 * Losses of TF32 are of either sign where operands are rounded, and then add up as the square root of their number; where they are cut off, all are
 * towards zero, so that the result loses the same share of itself besides. A sum that is rounded to a half may be the neighbour of the right one;
 * where a bias, rounded too, is added then, it was no larger than both together, whatever a ReLU left of it.
 */
function sampled(problem: KernelProblem, exact: Exact, [, , bias]: readonly HostData[]): Sampled {
  const [{ shape }] = outputTypes(problem);
  const op = getOp(problem.op);
  const random = generator(7);
  const at = (length: number): number => Math.floor(random() * length);
  const anywhere = Array.from({ length: SAMPLES }, () => at(sizeOf(shape)));
  const elements = [...anywhere, ...ends(shape, at)];
  const found = elements.map(exact);
  const n = op.reductionLength!(problem.inputs, problem.attrs);
  // At the ends padding takes terms away: what is allowed goes by elements anywhere.
  const magnitudes = Float64Array.from(found.slice(0, SAMPLES), (f) => f.magnitude);
  const size = rootMeanSquare(magnitudes);
  const byTf32 = (value: number): number => TF32_LOSS * (Math.abs(value) + 2 * size / Math.sqrt(n));
  const byHalf = (dtype: HalfType) => (value: number, element: number): number =>
    halfStep(Math.abs(value) + Math.abs(bias?.[element % bias.length] ?? 0), dtype);
  return {
    output: 0, elements, values: Float64Array.from(found, (f) => f.value), bound: constantOf(op) * float32Epsilon * Math.sqrt(n) * size,
    // Products of halves are none of TF32.
    loss: ({ who, rounded }) => (rounded !== undefined ? byHalf(rounded) : saysTf32(who) ? byTf32 : undefined),
  };
}

/** The corners, and some elements of the last image, row, column and channel, where blocks of kernels have their remainders. */
function ends(shape: Shape, at: (length: number) => number): number[] {
  const element = (place: readonly number[]): number => place.reduce((sum, i, axis) => sum * shape[axis] + i, 0);
  const corners = Array.from({ length: 2 ** shape.length }, (_, bits) => element(shape.map((n, axis) => ((bits >> axis) & 1 ? n - 1 : 0))));
  const last = shape.flatMap((n, axis) => Array.from({ length: SAMPLES_AT_END }, () => element(shape.map((m, other) => (other === axis ? n - 1 : at(m))))));
  return [...new Set([...corners, ...last])];
}

function termsOf({ op, inputs: [first, second], attrs }: KernelProblem, shape: Shape): Terms {
  if (op === 'matmul') {
    const [, k] = first.shape;
    const [, n] = shape;
    const [step, across] = attrs.transposeB === true ? [1, k] : [n, 1];
    return (element, visit) => {
      const [row, column] = [Math.floor(element / n), element % n];
      for (let i = 0; i < k; i++) visit(row * k + i, i * step + column * across);
    };
  }
  const { stride, padding, dilation } = attrs as ConvAttrs;
  const [x, filter, y] = op === 'conv2dFilterGrad' ? [first.shape, shape, second.shape]
    : op === 'conv2dInputGrad' ? [shape, second.shape, first.shape] : [first.shape, second.shape, shape];
  const [, h, w, c] = x;
  const [, r, s] = filter;
  const [n, p, q, k] = y;
  /** Image row or column that a tap of an output reads. */
  const place = (out: number, tap: number, axis: 0 | 1): number => out * stride[axis] + tap * dilation[axis] - padding[2 * axis];
  const inside = (i: number, length: number): boolean => i >= 0 && i < length;
  if (op === 'conv2dFilterGrad') {
    return (element, visit) => {
      const [kk, i, j, cc] = place4(element, filter);
      for (let image = 0; image < n; image++) {
        for (let oy = 0; oy < p; oy++) {
          for (let ox = 0; ox < q; ox++) {
            const [iy, ix] = [place(oy, i, 0), place(ox, j, 1)];
            if (inside(iy, h) && inside(ix, w)) visit(((image * h + iy) * w + ix) * c + cc, ((image * p + oy) * q + ox) * k + kk);
          }
        }
      }
    };
  }
  if (op === 'conv2dInputGrad') {
    return (element, visit) => {
      const [image, iy, ix, cc] = place4(element, x);
      for (let i = 0; i < r; i++) {
        for (let j = 0; j < s; j++) {
          const [oy, ox] = [(iy + padding[0] - i * dilation[0]) / stride[0], (ix + padding[2] - j * dilation[1]) / stride[1]];
          if (!Number.isInteger(oy) || !Number.isInteger(ox) || !inside(oy, p) || !inside(ox, q)) continue;
          for (let kk = 0; kk < k; kk++) visit(((image * p + oy) * q + ox) * k + kk, ((kk * r + i) * s + j) * c + cc);
        }
      }
    };
  }
  return (element, visit) => {
    const [image, oy, ox, kk] = place4(element, y);
    for (let i = 0; i < r; i++) {
      for (let j = 0; j < s; j++) {
        const [iy, ix] = [place(oy, i, 0), place(ox, j, 1)];
        if (!inside(iy, h) || !inside(ix, w)) continue;
        for (let cc = 0; cc < c; cc++) visit(((image * h + iy) * w + ix) * c + cc, ((kk * r + i) * s + j) * c + cc);
      }
    }
  };
}

function place4(element: number, [, b, c, d]: Shape): [number, number, number, number] {
  return [Math.floor(element / (b * c * d)), Math.floor(element / (c * d)) % b, Math.floor(element / d) % c, element % d];
}

/** Statistics against those of the very result that they describe. */
function checkStatistics(problem: KernelProblem, [y, ...got]: readonly ArrayLike<number>[], who: string): void {
  const [type] = outputTypes(problem);
  const { mean, variance } = statistics(hostTensor(type, y));
  [mean, variance].forEach((want, i) => {
    const { ratio, at } = compare(got[i], want, 1e-5 * rootMeanSquare(want));
    if (!(ratio <= 1)) throw new BenchmarkError(`${problem.name}, ${who}: ${['mean', 'variance'][i]} ${at} is ${got[i][at]}, expected ${want[at]}`);
  });
}
