/**
 * The one rule by which results of devices are held to the float64 reference, and its table of constants:
 *
 *     |got - ref| <= c eps sqrt(n) rms(m)
 *
 * for an op fed identical inputs. eps is the distance from 1 to the next float32, n the number of terms summed for an element
 * (`reductionLength`), m the summed magnitudes of those terms, element by element (`magnitude`), their root mean square taken over
 * the tensor, and c a small constant of the op. Integers and booleans are exact. A result that is stored as a half is computed in
 * float32 too: it keeps the same rule, but may be the neighbour of the one that the reference rounds to.
 */
import { halfStep, smallestNormalHalf } from '../device/half.ts';
import type { DType, TensorType } from '../device/types.ts';
import { isHalfType } from '../device/types.ts';
import { isFloat } from '../graph/half.ts';
import type { Attrs } from '../graph/node.ts';
import type { HostTensor, Op } from '../graph/op.ts';

/** 2^-23. */
export const float32Epsilon = 2 ** -23;

/**
 * c, by op; never above 4. It is 4 where a result has one term or few: its own rounding is then relative to itself, and a tensor's
 * largest elements are several times their root mean square. It is 1 where sums are long (sqrt(n) grows with them).
 */
export const constants = {
  /** Ops that state no `reductionLength`. */
  elementwise: 4,
  /** Ops that do, unless they are named here. */
  sums: 1,
  /** Variances, which a kernel may take in one pass about a shift: a difference of two sums. */
  batchNorm: 4,
  conv2dStats: 4,
  normalizeConv2dStats: 4,
  maxPool2dGrad: 4,
  maxPool2dIndexGrad: 4,
  avgPool2d: 4,
  avgPool2dGrad: 4,
  softmax: 4,
  logSoftmax: 4,
  softmaxOutput: 4,
  softmaxCrossEntropy: 4,
  softmaxCrossEntropyGrad: 4,
  gatherGrad: 4,
  adamUpdate: 4,
} as const;

export function constantOf(op: Op): number {
  return (constants as Readonly<Record<string, number>>)[op.name] ?? (op.reductionLength ? constants.sums : constants.elementwise);
}

/** Summed magnitudes of each output: the op's own, or the rule that `Op.magnitude` states. */
export function magnitudes(op: Op, inputs: readonly HostTensor[], attrs: Attrs, outputs: readonly TensorType[], references: readonly Float64Array[]) {
  if (op.magnitude) return op.magnitude(inputs, attrs, outputs);
  if (op.reductionLength) {
    const absolute = inputs.map((t) => (isFloat(t.dtype) ? { ...t, data: t.data.map(Math.abs) } : t));
    return op.reference!(absolute, attrs, outputs);
  }
  return references.map((r) => r.map(Math.abs));
}

/** Root mean square of what is finite. */
export function rootMeanSquare(values: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (const v of values) {
    if (!Number.isFinite(v)) continue;
    sum += v * v;
    count++;
  }
  return count === 0 ? 0 : Math.sqrt(sum / count);
}

/** The largest error that the rule allows for each output. */
export function bounds(op: Op, inputs: readonly HostTensor[], attrs: Attrs, outputs: readonly TensorType[], references: readonly Float64Array[]): number[] {
  const n = op.reductionLength?.(inputs, attrs) ?? 1;
  const m = magnitudes(op, inputs, attrs, outputs, references);
  return outputs.map(({ dtype }, i) =>
    isFloat(dtype) ? constantOf(op) * float32Epsilon * Math.sqrt(Math.max(n, 1)) * rootMeanSquare(m[i]) : 0,
  );
}

/** c for millions of elements: the most that the rule allows. */
const manyElements = 4;

/**
 * The rule for what a network computes, element by element: 4 eps sqrt(n) max(m, rms(m)), m being the element's own summed magnitudes.
 * Activations and gradients have heavy tails, whose largest elements are tens of times the root mean square: rounding such a one
 * correctly may already err by more than the root mean square allows. And the largest of millions of errors is some five standard
 * deviations, which is 2 to 3 eps sqrt(n) m (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", 2019).
 */
export function elementBounds(op: Op, inputs: readonly TensorType[], attrs: Attrs, outputs: readonly TensorType[], m: readonly Float64Array[]) {
  const n = op.reductionLength?.(inputs, attrs) ?? 1;
  return outputs.map(({ dtype }, i) => {
    const unit = isFloat(dtype) ? manyElements * float32Epsilon * Math.sqrt(Math.max(n, 1)) : 0;
    const floor = rootMeanSquare(m[i]);
    return m[i].map((own) => unit * (own > floor && Number.isFinite(own) ? own : floor));
  });
}

export interface Comparison {
  /** Largest error over what is allowed: 1 or less passes. Infinity where something exact differs. */
  readonly ratio: number;
  /** The element that is worst, and its values. */
  readonly at: number;
  readonly got: number;
  readonly expected: number;
}

/** Compares element by element, with one bound or one for each. NaN and infinities must be met exactly. */
export function compare(
  got: ArrayLike<number>, expected: Float64Array, bound: number | Float64Array, dtype: DType = 'float32',
): Comparison {
  const half = isHalfType(dtype) ? dtype : undefined;
  let worst: Comparison = { ratio: 0, at: 0, got: got[0], expected: expected[0] };
  for (let i = 0; i < expected.length; i++) {
    const apart = Object.is(got[i], expected[i]) || got[i] === expected[i] ? 0 : Math.abs(got[i] - expected[i]);
    if (apart === 0) continue;
    const error = half ? Math.max(0, apart - halfStep(expected[i], half)) : apart;
    // below the smallest normal number devices may flush to zero
    const flushed = half ? got[i] === 0 && apart < smallestNormalHalf(half) : error <= 2 ** -126;
    const ratio = error === 0 || flushed ? 0 : error / (typeof bound === 'number' ? bound : bound[i]);
    if (!(ratio <= worst.ratio)) worst = { ratio: Number.isNaN(ratio) ? Infinity : ratio, at: i, got: got[i], expected: expected[i] };
  }
  return worst;
}
