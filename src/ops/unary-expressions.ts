/** Scalar functions of one operand. This file imports types alone, so that the kernel generator can read it. */
import type { UnaryExpression } from './scalar-expressions.ts';

/** sqrt(2 / pi) and the cubic coefficient of the tanh form of GELU. */
const geluScale = 0.7978845608028654;
const geluCubic = 0.044715;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const unaryExpressions = {
  neg: {
    reference: (x) => -x,
    wgsl: '-x',
    wasm: 'f32x4.neg(x)',
    formula: '-x',
    gradient: ({ dy }) => dy.neg(),
  },
  abs: {
    reference: Math.abs,
    wgsl: 'abs(x)',
    wasm: 'f32x4.abs(x)',
    formula: { negative: '-x', positive: 'x' },
    // d|x| = sign(x) dx, 0 at 0
    gradient: ({ dy, x, op }) => dy.mul(op('sign', [x])),
  },
  sign: {
    reference: (x) => (x > 0 ? 1 : x < 0 ? -1 : 0),
    wgsl: 'sign(x)',
    wasm:
      'f32x4.sub(v128.and(f32x4.gt(x, f32x4.splat(0)), f32x4.splat(1)), v128.and(f32x4.lt(x, f32x4.splat(0)), f32x4.splat(1)))',
    formula: { negative: '-1', positive: '1' },
  },
  exp: {
    reference: Math.exp,
    wgsl: 'exp(x)',
    wasm: 'exp4(x)',
    formula: 'exp(x)',
    gradient: ({ dy, y }) => dy.mul(y),
    // the exponent is rounded, to 1 part in 2^24 of itself
    magnitude: (x, y) => y * (1 + Math.abs(x)),
    domain: [-4, 4],
  },
  log: {
    reference: Math.log,
    wgsl: 'log(x)',
    wasm: 'log4(x)',
    formula: 'log(x)',
    gradient: ({ dy, x }) => dy.div(x),
    // devices are exact near 1 in absolute terms alone
    magnitude: (_x, y) => Math.abs(y) + 1,
    domain: [0.1, 4],
  },
  sqrt: {
    reference: Math.sqrt,
    wgsl: 'sqrt(x)',
    wasm: 'f32x4.sqrt(x)',
    formula: 'sqrt(x)',
    // 1 / (2 sqrt(x))
    gradient: ({ dy, y }) => dy.div(y.mul(2)),
    domain: [0.1, 4],
  },
  rsqrt: {
    reference: (x) => 1 / Math.sqrt(x),
    wgsl: 'inverseSqrt(x)',
    wasm: 'f32x4.div(f32x4.splat(1), f32x4.sqrt(x))',
    formula: '1 / sqrt(x)',
    // -1/2 x^(-3/2) = -1/2 y^3
    gradient: ({ dy, y }) => dy.mul(y.mul(y).mul(y)).mul(-0.5),
    domain: [0.1, 4],
  },
  reciprocal: {
    reference: (x) => 1 / x,
    wgsl: '(T(1.0) / x)',
    wasm: 'f32x4.div(f32x4.splat(1), x)',
    formula: '1 / x',
    // -1/x^2 = -y^2
    gradient: ({ dy, y }) => dy.mul(y.mul(y)).neg(),
    domain: [0.2, 4],
  },
  square: {
    reference: (x) => x * x,
    wgsl: '(x * x)',
    wasm: 'f32x4.mul(x, x)',
    formula: 'x^2',
    gradient: ({ dy, x }) => dy.mul(x).mul(2),
  },
  sigmoid: {
    reference: sigmoid,
    wgsl: '(T(1.0) / (T(1.0) + exp(-x)))',
    wasm: 'f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))',
    formula: '1 / (1 + exp(-x))',
    // y (1 - y)
    gradient: ({ dy, y }) => dy.mul(y.sub(y.mul(y))),
    domain: [-6, 6],
  },
  tanh: {
    reference: Math.tanh,
    // clamped: implementations may compute it from exp(2x), which overflows
    wgsl: 'tanh(clamp(x, T(-10.0), T(10.0)))',
    cuda: 'tanh(x)',
    wasm: 'tanh4(x)',
    formula: 'tanh(x)',
    // 1 - y^2
    gradient: ({ dy, y }) => dy.sub(dy.mul(y.mul(y))),
    domain: [-4, 4],
  },
  relu: {
    reference: (x) => Math.max(x, 0),
    wgsl: 'max(x, T(0.0))',
    wasm: 'f32x4.max(x, f32x4.splat(0))',
    formula: { negative: '0', positive: 'x' },
    // by the output, so that the input need not be kept
    gradient: ({ dy, y, op }) => op('reluGrad', [dy, y]),
  },
  softplus: {
    // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)
    reference: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    wgsl: '(max(x, T(0.0)) + log(T(1.0) + exp(-abs(x))))',
    cuda: 'max(x, T(0)) + log1p(exp(-abs(x)))',
    wasm:
      'f32x4.add(f32x4.max(x, f32x4.splat(0)), log4(f32x4.add(f32x4.splat(1), exp4(f32x4.neg(f32x4.abs(x))))))',
    formula: 'log(1 + exp(x))',
    gradient: ({ dy, x }) => dy.mul(x.sigmoid()),
    // 1 is a term
    magnitude: (_x, y) => y + 1,
    domain: [-6, 6],
  },
  gelu: {
    // Hendrycks and Gimpel 2016, tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    reference: (x) => 0.5 * x * (1 + Math.tanh(geluScale * (x + geluCubic * x ** 3))),
    wgsl:
      '(T(0.5) * x * (T(1.0) + tanh(clamp(T(0.7978845608) * (x + T(0.044715) * x * x * x), T(-10.0), T(10.0)))))',
    wasm:
      'f32x4.mul(f32x4.mul(f32x4.splat(0.5), x), f32x4.add(f32x4.splat(1), tanh4(f32x4.mul(f32x4.splat(0.7978845608), ' +
      'f32x4.add(x, f32x4.mul(f32x4.splat(0.044715), f32x4.mul(x, f32x4.mul(x, x))))))))',
    formula: '0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))',
    // u = k (x + a x^3), t = tanh u:  1/2 (1 + t) + 1/2 x (1 - t^2) k (1 + 3 a x^2)
    gradient: ({ dy, x }) => {
      const xx = x.mul(x);
      const t = x.add(xx.mul(x).mul(geluCubic)).mul(geluScale).tanh();
      const slope = xx.mul(3 * geluCubic).add(1).mul(geluScale);
      return dy.mul(t.add(1).add(x.mul(t.mul(t).neg().add(1)).mul(slope)).mul(0.5));
    },
    domain: [-4, 4],
  },
  silu: {
    reference: (x) => x * sigmoid(x),
    wgsl: '(x / (T(1.0) + exp(-x)))',
    wasm: 'f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))',
    formula: 'x / (1 + exp(-x))',
    // s (1 + x (1 - s)), s = sigmoid(x)
    gradient: ({ dy, x }) => {
      const s = x.sigmoid();
      return dy.mul(s.mul(x.mul(s.neg().add(1)).add(1)));
    },
    domain: [-6, 6],
  },
  floor: {
    reference: Math.floor,
    wgsl: 'floor(x)',
    wasm: 'f32x4.floor(x)',
    formula: { negative: '0', positive: '0' },
    domain: [-4, 4],
  },
  sin: {
    reference: Math.sin,
    wgsl: 'sin(x)',
    wasm: 'sin4(x)',
    formula: 'sin(x)',
    gradient: ({ dy, x, op }) => dy.mul(op('cos', [x])),
    magnitude: () => 1,
    domain: [-3, 3],
  },
  cos: {
    reference: Math.cos,
    wgsl: 'cos(x)',
    wasm: 'cos4(x)',
    formula: 'cos(x)',
    gradient: ({ dy, x, op }) => dy.mul(op('sin', [x])).neg(),
    magnitude: () => 1,
    domain: [-3, 3],
  },
  leakyRelu: {
    parameters: ['slope'],
    reference: (x, { slope }) => (x > 0 ? x : slope * x),
    wgsl: 'select(slope * x, x, x > T(0.0))',
    wasm: 'v128.bitselect(x, f32x4.mul(slope, x), f32x4.gt(x, f32x4.splat(0)))',
    formula: { negative: 'slope * x', positive: 'x' },
    gradient: ({ dy, x, attrs, op }) => op('where', [x.greater(0), dy, dy.mul(attrs.slope)]),
  },
  elu: {
    parameters: ['alpha'],
    reference: (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
    wgsl: 'select(alpha * (exp(min(x, T(0.0))) - T(1.0)), x, x > T(0.0))',
    cuda: 'x > T(0) ? x : alpha * expm1(x)',
    wasm:
      'v128.bitselect(x, f32x4.mul(alpha, f32x4.sub(exp4(f32x4.min(x, f32x4.splat(0))), f32x4.splat(1))), ' +
      'f32x4.gt(x, f32x4.splat(0)))',
    formula: { negative: 'alpha * (exp(x) - 1)', positive: 'x' },
    // alpha e^x = y + alpha below zero
    gradient: ({ dy, x, y, attrs, op }) => op('where', [x.greater(0), dy, dy.mul(y.add(attrs.alpha))]),
    // e^x - 1
    magnitude: (_x, y) => Math.abs(y) + 1,
    domain: [-3, 3],
  },
  logicalNot: {
    logical: true,
    reference: (x) => (x === 0 ? 1 : 0),
    wgsl: '(T(1.0) - x)',
    wasm: 'f32x4.sub(f32x4.splat(1), x)',
    formula: '0',
  },
} as const satisfies Record<string, UnaryExpression>;

export type UnaryName = keyof typeof unaryExpressions;
