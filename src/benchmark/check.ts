/**
 * What outputs should be: the float64 reference, of the whole output where that is quick, of a sample of its elements for products
 * and convolutions. Held to the one rule of tolerance (testing/tolerance.ts).
 */
import type { HostData, Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { BenchmarkError } from '../errors.ts';
import { getOp } from '../fovea.ts';
import { statistics } from '../ops/support/statistics.ts';
import type { ConvAttrs } from '../ops/support/conv.ts';
import { bounds, compare, constantOf, float32Epsilon, rootMeanSquare } from '../testing/tolerance.ts';
import type { ResultCheck } from './contest.ts';
import { generator, hostTensor } from './values.ts';
import type { KernelProblem } from './types.ts';

/** What some elements of an output are. */
interface Expectation {
  readonly output: number;
  /** Elements, in order; all of them where absent. */
  readonly elements?: readonly number[];
  readonly values: Float64Array;
  readonly bound: number;
}

/** Elements of each convolution and product that are looked at. */
const SAMPLES = 96;

/** A check of outputs of the problem. @throws BenchmarkError, by the check, naming contestant, element and both values */
export function checkOf(problem: KernelProblem, values: readonly HostData[]): ResultCheck {
  const expected = isSampled(problem) ? sampled(problem, values) : whole(problem, values);
  const outputs = outputTypes(problem);
  return (results, who) => {
    for (const { output, elements, values: want, bound } of expected) {
      const got = results[output];
      // Peers give the first output alone; the others are extras of ours.
      if (got === undefined && output > 0) continue;
      const size = sizeOf(outputs[output].shape);
      if (got?.length !== size) throw new BenchmarkError(`${problem.name}, ${who}: output ${output} has ${got?.length} elements, expected ${size}`);
      const { ratio, at, got: wrong, expected: right } = compare(elements ? elements.map((i) => got[i]) : got, want, bound);
      if (!(ratio <= 1)) {
        throw new BenchmarkError(`${problem.name}, ${who}: element ${elements?.[at] ?? at} of output ${output} is ${wrong}, expected ${right} `
          + `(${ratio.toPrecision(3)} times what rounding allows)`);
      }
    }
    if (problem.op === 'conv2dStats' && results.length > 1) checkStatistics(problem, results, who);
  };
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
  const allowed = bounds(op, tensors, attrs, outputs, references);
  return references.map((want, output) => ({ output, values: want, bound: allowed[output] }));
}

/** Pairs of elements, of the first and second input, whose products one output element sums. */
type Terms = (element: number, visit: (a: number, b: number) => void) => void;

function sampled(problem: KernelProblem, [a, b, bias]: readonly HostData[]): Expectation[] {
  const [{ shape }] = outputTypes(problem);
  const op = getOp(problem.op);
  const random = generator(7);
  const elements = Array.from({ length: SAMPLES }, () => Math.floor(random() * sizeOf(shape)));
  const terms = termsOf(problem, shape);
  const values = new Float64Array(SAMPLES);
  const magnitudes = new Float64Array(SAMPLES);
  const channels = shape[shape.length - 1];
  elements.forEach((element, i) => {
    values[i] = bias?.[element % channels] ?? 0;
    magnitudes[i] = Math.abs(values[i]);
    terms(element, (at, by) => {
      const product = a[at] * b[by];
      values[i] += product;
      magnitudes[i] += Math.abs(product);
    });
    if (problem.attrs.activation === 'relu') values[i] = Math.max(values[i], 0);
  });
  const n = op.reductionLength!(problem.inputs, problem.attrs);
  return [{ output: 0, elements, values, bound: constantOf(op) * float32Epsilon * Math.sqrt(n) * rootMeanSquare(magnitudes) }];
}

function termsOf({ op, inputs: [first, second], attrs }: KernelProblem, shape: Shape): Terms {
  if (op === 'matmul') {
    const [, k] = first.shape;
    const [, n] = second.shape;
    return (element, visit) => {
      const [row, column] = [Math.floor(element / n), element % n];
      for (let i = 0; i < k; i++) visit(row * k + i, i * n + column);
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
