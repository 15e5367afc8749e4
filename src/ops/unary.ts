/** Elementwise functions of one operand: one kernel a device, filled in from unary-expressions.ts. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { getOp } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { elementwise } from './cpu/elementwise.ts';
import * as cuda from './cuda/elementwise.ts';
import * as gpu from './webgpu/elementwise.ts';
import type { ScalarAttrs, UnaryExpression } from './scalar-expressions.ts';
import { unaryExpressions } from './unary-expressions.ts';
import type { UnaryName } from './unary-expressions.ts';
import { elementwiseCost } from './support/cost.ts';
import { checkDType } from './support/shapes.ts';
import { bool, f32 } from './support/samples.ts';

/** Values of the attributes that samples use. */
const sampleAttrs: Readonly<Record<string, number>> = { slope: 0.25, alpha: 0.75 };

function unary(name: UnaryName): DifferentiableOp<ScalarAttrs> {
  const e: UnaryExpression = unaryExpressions[name];
  const dtype = e.logical ? 'bool' : 'float32';
  const parameters = e.parameters ?? [];
  const { gradient } = e;
  return defineOp<ScalarAttrs>({
    name,
    inputs: ['x'],
    infer([x]: readonly TensorType[]) {
      checkDType(name, 'x', x, dtype);
      return [{ shape: x.shape, dtype }];
    },
    gradient: e.logical
      ? undefined
      : ({ attrs, inputs, outputs, grads }) => [
        grads[0] &&
          gradient?.({
            dy: grads[0],
            x: inputs[0],
            y: outputs[0],
            attrs,
            op: (other, operands, otherAttrs = {}) => apply1(getOp(other), operands, otherAttrs),
          }),
      ],
    reference: ([x]: readonly HostTensor[], attrs) => [x.data.map((v) => e.reference(v, attrs))],
    magnitude: e.magnitude && (([x], attrs) => [x.data.map((v) => e.magnitude!(v, e.reference(v, attrs)))]),
    kernels: { cpu: elementwise(name, parameters), webgpu: gpu.elementwise(name, parameters), cuda: cuda.elementwise(name, parameters) },
    inPlace: () => [[0, 0]],
    recompute: true,
    precision: 'follow',
    float16: e.logical ? undefined : { inputs: 'all', outputs: 'all' },
    cost: elementwiseCost(name === 'neg' || name === 'relu' || name === 'square' ? 1 : 8),
    samples(): Sample<ScalarAttrs>[] {
      const attrs = Object.fromEntries(parameters.map((p) => [p, sampleAttrs[p]]));
      const [low, high] = e.domain ?? [-3, 3];
      // values apart from each other and hence from the kink at zero, for finite differences
      const distinct = typeof e.formula !== 'string';
      const shapes = [[], [1], [7], [3, 5], [2, 3, 1, 12], [4, 8]];
      return shapes.map((shape) => ({
        inputs: [e.logical ? bool(shape) : f32(shape, { low, high, distinct })],
        attrs,
      }));
    },
  });
}

export const negOp = unary('neg');
export const absOp = unary('abs');
export const signOp = unary('sign');
export const expOp = unary('exp');
export const logOp = unary('log');
export const sqrtOp = unary('sqrt');
export const rsqrtOp = unary('rsqrt');
export const reciprocalOp = unary('reciprocal');
export const squareOp = unary('square');
export const sigmoidOp = unary('sigmoid');
export const tanhOp = unary('tanh');
export const reluOp = unary('relu');
export const softplusOp = unary('softplus');
export const geluOp = unary('gelu');
export const siluOp = unary('silu');
export const floorOp = unary('floor');
export const sinOp = unary('sin');
export const cosOp = unary('cos');
export const leakyReluOp = unary('leakyRelu');
export const eluOp = unary('elu');
export const logicalNotOp = unary('logicalNot');

/** -x. float32 of any shape, as are all below. */
export const neg = (x: TensorLike): Tensor => apply1(negOp, [x], {});
/** |x|; the derivative at 0 is taken as 0. */
export const abs = (x: TensorLike): Tensor => apply1(absOp, [x], {});
/** -1, 0 or 1. No gradient flows. */
export const sign = (x: TensorLike): Tensor => apply1(signOp, [x], {});
export const exp = (x: TensorLike): Tensor => apply1(expOp, [x], {});
/** Natural logarithm. */
export const log = (x: TensorLike): Tensor => apply1(logOp, [x], {});
export const sqrt = (x: TensorLike): Tensor => apply1(sqrtOp, [x], {});
/** 1 / sqrt(x). */
export const rsqrt = (x: TensorLike): Tensor => apply1(rsqrtOp, [x], {});
/** 1 / x. */
export const reciprocal = (x: TensorLike): Tensor => apply1(reciprocalOp, [x], {});
export const square = (x: TensorLike): Tensor => apply1(squareOp, [x], {});
/** 1 / (1 + e^-x). */
export const sigmoid = (x: TensorLike): Tensor => apply1(sigmoidOp, [x], {});
export const tanh = (x: TensorLike): Tensor => apply1(tanhOp, [x], {});
/** max(x, 0); the derivative at 0 is taken as 0. */
export const relu = (x: TensorLike): Tensor => apply1(reluOp, [x], {});
/** log(1 + e^x). */
export const softplus = (x: TensorLike): Tensor => apply1(softplusOp, [x], {});
/** x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): the tanh form of Hendrycks and Gimpel, 2016. */
export const gelu = (x: TensorLike): Tensor => apply1(geluOp, [x], {});
/** x sigmoid(x), also called swish. */
export const silu = (x: TensorLike): Tensor => apply1(siluOp, [x], {});
/** Largest integer not above x. No gradient flows. */
export const floor = (x: TensorLike): Tensor => apply1(floorOp, [x], {});
export const sin = (x: TensorLike): Tensor => apply1(sinOp, [x], {});
export const cos = (x: TensorLike): Tensor => apply1(cosOp, [x], {});
/** x above zero, slope * x below. */
export const leakyRelu = (x: TensorLike, slope = 0.25): Tensor => apply1(leakyReluOp, [x], { slope });
/** x above zero, alpha (e^x - 1) below. */
export const elu = (x: TensorLike, alpha = 1): Tensor => apply1(eluOp, [x], { alpha });
/** bool -> bool. */
export const logicalNot = (x: TensorLike): Tensor => apply1(logicalNotOp, [x], {});
