/** Elementwise functions of two operands with numpy's broadcasting: one kernel a device, filled in from binary-expressions.ts. */
import type { DType, Shape, TensorType } from '../device/types.ts';
import { DTypeError } from '../errors.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { getOp } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { elementwise } from './cpu/elementwise.ts';
import * as cuda from './cuda/elementwise.ts';
import * as gpu from './webgpu/elementwise.ts';
import { sumTo } from './reduce.ts';
import { binaryExpressions } from './binary-expressions.ts';
import type { BinaryGradient, ScalarAttrs } from './scalar-expressions.ts';
import { elementwiseCost } from './support/cost.ts';
import { bool, f32, i32 } from './support/samples.ts';
import { broadcastIndex, broadcastShapes, checkSameShape, named, sameShape } from './support/shapes.ts';

/** Pairs of shapes that samples try. */
const broadcasts: readonly (readonly [Shape, Shape])[] = [
  [[3, 5], [3, 5]],
  [[2, 3, 3, 8], [8]],
  [[2, 3, 1, 12], [2, 1, 5, 12]],
  [[7], []],
  [[], [2, 3]],
  [[4, 1], [1, 7]],
  [[2, 5, 4], [5, 1]],
];

/** f of two operands, broadcast to `shape`. */
function map(a: HostTensor, b: HostTensor, shape: Shape, f: (x: number, y: number) => number): Float64Array {
  if (sameShape(a.shape, b.shape)) return a.data.map((v, i) => f(v, b.data[i]));
  const ia = broadcastIndex(a.shape, shape);
  const ib = broadcastIndex(b.shape, shape);
  return Float64Array.from(ia, (at, i) => f(a.data[at], b.data[ib[i]]));
}

function binary(name: string): DifferentiableOp<ScalarAttrs> {
  const e = binaryExpressions[name];
  const names = e.operands ?? ['a', 'b'];
  const takesIntegers = e.wgslInt !== undefined;
  const allowed: readonly DType[] = e.kind === 'logical' ? ['bool'] : takesIntegers ? ['float32', 'int32'] : ['float32'];
  const rules = e.gradient;

  return defineOp<ScalarAttrs>({
    name,
    inputs: names,
    infer(inputs: readonly TensorType[]) {
      const [a, b] = inputs;
      if (a.dtype !== b.dtype || !allowed.includes(a.dtype)) {
        throw new DTypeError(
          `${name}: ${named(names[0], a)} is ${a.dtype} and ${named(names[1], b)} is ${b.dtype}, ` +
            `expected both ${allowed.join(' or both ')}`,
        );
      }
      if (e.sameShape) checkSameShape(name, names[0], a, names[1], b);
      const shape = broadcastShapes(name, names, inputs);
      return [{ shape, dtype: e.kind === 'arithmetic' ? a.dtype : 'bool' }];
    },
    // what broadcasting repeated is summed over
    gradient:
      rules &&
      (({ attrs, inputs: [x, y], outputs: [z], grads: [dz], needs }) => {
        if (dz === undefined) return [undefined, undefined];
        const context: BinaryGradient = {
          dz, x, y, z, attrs,
          op: (other, operands, otherAttrs = {}) => apply1(getOp(other), operands, otherAttrs),
        };
        return [
          needs[0] && rules.x ? sumTo(rules.x(context), x.shape) : undefined,
          needs[1] && rules.y ? sumTo(rules.y(context), y.shape) : undefined,
        ];
      }),
    reference: ([a, b]: readonly HostTensor[], attrs, [out]) => [map(a, b, out.shape, (x, y) => e.reference(x, y, attrs))],
    magnitude:
      e.magnitude &&
      (([a, b], attrs, [out]) => [map(a, b, out.shape, (x, y) => e.magnitude!(x, y, e.reference(x, y, attrs)))]),
    kernels: { cpu: elementwise(name, e.parameters), webgpu: gpu.elementwise(name, e.parameters), cuda: cuda.elementwise(name, e.parameters) },
    inPlace: () => [[0, 0], [1, 0]],
    recompute: true,
    precision: 'follow',
    float16: e.kind === 'logical' ? undefined : { inputs: 'all', outputs: 'all' },
    cost: elementwiseCost(name === 'pow' ? 16 : 1),
    samples(): Sample<ScalarAttrs>[] {
      const attrs = Object.fromEntries((e.parameters ?? []).map((p) => [p, 0.9]));
      const operand = (shape: Shape, dtype: DType, domain?: readonly [number, number]): SampleInput => {
        if (dtype === 'bool') return bool(shape);
        if (dtype === 'int32') return i32(shape, 9);
        // maximum, minimum and reluGrad have kinks
        return f32(shape, { low: domain?.[0] ?? -2, high: domain?.[1] ?? 2, distinct: rules && !e.formula });
      };
      const samples: Sample<ScalarAttrs>[] = [];
      for (const dtype of allowed) {
        for (const [a, b] of broadcasts) {
          if (e.sameShape && !sameShape(a, b)) continue;
          samples.push({
            inputs: [operand(a, dtype, e.domain), operand(b, dtype, e.domainY ?? e.domain)],
            attrs,
          });
        }
      }
      return samples;
    },
  });
}

export const addOp = binary('add');
export const subtractOp = binary('subtract');
export const multiplyOp = binary('multiply');
export const divideOp = binary('divide');
export const powOp = binary('pow');
export const maximumOp = binary('maximum');
export const minimumOp = binary('minimum');
export const equalOp = binary('equal');
export const notEqualOp = binary('notEqual');
export const lessOp = binary('less');
export const lessEqualOp = binary('lessEqual');
export const greaterOp = binary('greater');
export const greaterEqualOp = binary('greaterEqual');
export const logicalAndOp = binary('logicalAnd');
export const logicalOrOp = binary('logicalOr');
export const reluGradOp = binary('reluGrad');
export const movingAverageOp = binary('movingAverage');

/** a + b. float32 or int32, shapes broadcast, as below. Throws ShapeError where shapes do not, DTypeError where dtypes differ. */
export const add = (a: TensorLike, b: TensorLike): Tensor => apply1(addOp, [a, b], {});
export const subtract = (a: TensorLike, b: TensorLike): Tensor => apply1(subtractOp, [a, b], {});
export const multiply = (a: TensorLike, b: TensorLike): Tensor => apply1(multiplyOp, [a, b], {});
/** float32 alone. */
export const divide = (a: TensorLike, b: TensorLike): Tensor => apply1(divideOp, [a, b], {});
/** a^b, float32; a negative base is for integer exponents. */
export const pow = (a: TensorLike, b: TensorLike): Tensor => apply1(powOp, [a, b], {});
/** The larger; at ties `a` takes the gradient. */
export const maximum = (a: TensorLike, b: TensorLike): Tensor => apply1(maximumOp, [a, b], {});
/** The smaller; at ties `a` takes the gradient. */
export const minimum = (a: TensorLike, b: TensorLike): Tensor => apply1(minimumOp, [a, b], {});
/** Comparisons give bool. */
export const equal = (a: TensorLike, b: TensorLike): Tensor => apply1(equalOp, [a, b], {});
export const notEqual = (a: TensorLike, b: TensorLike): Tensor => apply1(notEqualOp, [a, b], {});
export const less = (a: TensorLike, b: TensorLike): Tensor => apply1(lessOp, [a, b], {});
export const lessEqual = (a: TensorLike, b: TensorLike): Tensor => apply1(lessEqualOp, [a, b], {});
export const greater = (a: TensorLike, b: TensorLike): Tensor => apply1(greaterOp, [a, b], {});
export const greaterEqual = (a: TensorLike, b: TensorLike): Tensor => apply1(greaterEqualOp, [a, b], {});
export const logicalAnd = (a: TensorLike, b: TensorLike): Tensor => apply1(logicalAndOp, [a, b], {});
export const logicalOr = (a: TensorLike, b: TensorLike): Tensor => apply1(logicalOrOp, [a, b], {});
/** moving * momentum + batch * (1 - momentum), for tensors of one shape. */
export const movingAverage = (moving: TensorLike, batch: TensorLike, momentum: number): Tensor =>
  apply1(movingAverageOp, [moving, batch], { momentum });
