/** Scalar functions of two operands, and `where`. This file imports types alone, so that the kernel generator can read it. */
import type { BinaryExpression } from './scalar-expressions.ts';

function comparison(
  reference: (x: number, y: number) => boolean,
  symbol: string,
  name: string,
): BinaryExpression {
  return {
    kind: 'comparison',
    reference: (x, y) => (reference(x, y) ? 1 : 0),
    wgsl: `select(T(0.0), T(1.0), x ${symbol} y)`,
    wasm: `v128.and(f32x4.${name}(x, y), f32x4.splat(1))`,
    wgslInt: `select(F(0.0), F(1.0), x ${symbol} y)`,
    wasmInt: `v128.and(i32x4.${name === 'eq' || name === 'ne' ? name : `${name}_s`}(x, y), f32x4.splat(1))`,
  };
}

export const binaryExpressions: Readonly<Record<string, BinaryExpression>> = {
  add: {
    kind: 'arithmetic',
    reference: (x, y) => x + y,
    wgsl: '(x + y)',
    wasm: 'f32x4.add(x, y)',
    wgslInt: '(x + y)',
    wasmInt: 'i32x4.add(x, y)',
    formula: 'x + y',
    gradient: { x: ({ dz }) => dz, y: ({ dz }) => dz },
  },
  subtract: {
    kind: 'arithmetic',
    reference: (x, y) => x - y,
    wgsl: '(x - y)',
    wasm: 'f32x4.sub(x, y)',
    wgslInt: '(x - y)',
    wasmInt: 'i32x4.sub(x, y)',
    formula: 'x - y',
    gradient: { x: ({ dz }) => dz, y: ({ dz }) => dz.neg() },
  },
  multiply: {
    kind: 'arithmetic',
    reference: (x, y) => x * y,
    wgsl: '(x * y)',
    wasm: 'f32x4.mul(x, y)',
    wgslInt: '(x * y)',
    wasmInt: 'i32x4.mul(x, y)',
    formula: 'x * y',
    gradient: { x: ({ dz, y }) => dz.mul(y), y: ({ dz, x }) => dz.mul(x) },
  },
  divide: {
    kind: 'arithmetic',
    reference: (x, y) => x / y,
    wgsl: '(x / y)',
    wasm: 'f32x4.div(x, y)',
    formula: 'x / y',
    // d(x/y) = dx / y - (x/y) dy / y
    gradient: { x: ({ dz, y }) => dz.div(y), y: ({ dz, y, z }) => dz.mul(z).div(y).neg() },
    domain: [0.25, 4],
  },
  pow: {
    kind: 'arithmetic',
    reference: (x, y) => x ** y,
    // pow is exp2(y log2(x)) on devices: a negative base is for integer exponents
    wgsl:
      'select(pow(abs(x), y), -pow(abs(x), y), (x < T(0.0)) & (abs(y - T(2.0) * floor(y * T(0.5))) == T(1.0)))',
    cuda: 'pow(x, y)',
    wasm: 'pow4(x, y)',
    formula: 'x ^ y',
    // dz/dx = y x^(y-1), dz/dy = x^y log x
    gradient: {
      x: ({ dz, x, y, op }) => dz.mul(y.mul(op('pow', [x, y.sub(1)]))),
      y: ({ dz, x, z }) => dz.mul(z.mul(x.log())),
    },
    // exp2(y log2 x), whose exponent is rounded
    magnitude: (x, y, z) => Math.abs(z) * (1 + Math.abs(y * Math.log(Math.abs(x)))),
    domain: [0.25, 3],
    domainY: [-2, 3],
  },
  maximum: {
    kind: 'arithmetic',
    reference: (x, y) => Math.max(x, y),
    wgsl: 'max(x, y)',
    wasm: 'f32x4.max(x, y)',
    wgslInt: 'max(x, y)',
    wasmInt: 'i32x4.max_s(x, y)',
    // the first operand takes the gradient of ties
    gradient: {
      x: ({ dz, x, y, op }) => op('where', [op('greaterEqual', [x, y]), dz, 0]),
      y: ({ dz, x, y, op }) => op('where', [op('greaterEqual', [x, y]), 0, dz]),
    },
  },
  minimum: {
    kind: 'arithmetic',
    reference: (x, y) => Math.min(x, y),
    wgsl: 'min(x, y)',
    wasm: 'f32x4.min(x, y)',
    wgslInt: 'min(x, y)',
    wasmInt: 'i32x4.min_s(x, y)',
    gradient: {
      x: ({ dz, x, y, op }) => op('where', [op('lessEqual', [x, y]), dz, 0]),
      y: ({ dz, x, y, op }) => op('where', [op('lessEqual', [x, y]), 0, dz]),
    },
  },
  equal: comparison((x, y) => x === y, '==', 'eq'),
  notEqual: comparison((x, y) => x !== y, '!=', 'ne'),
  less: comparison((x, y) => x < y, '<', 'lt'),
  lessEqual: comparison((x, y) => x <= y, '<=', 'le'),
  greater: comparison((x, y) => x > y, '>', 'gt'),
  greaterEqual: comparison((x, y) => x >= y, '>=', 'ge'),
  logicalAnd: {
    kind: 'logical',
    reference: (x, y) => x * y,
    wgsl: '(x * y)',
    wasm: 'f32x4.mul(x, y)',
  },
  logicalOr: {
    kind: 'logical',
    reference: (x, y) => Math.max(x, y),
    wgsl: 'max(x, y)',
    wasm: 'f32x4.max(x, y)',
  },
  /** The gradient of relu by its output: y > 0 ? dy : 0. */
  reluGrad: {
    kind: 'arithmetic',
    sameShape: true,
    operands: ['dy', 'y'],
    reference: (x, y) => (y > 0 ? x : 0),
    wgsl: 'select(T(0.0), x, y > T(0.0))',
    wasm: 'v128.and(x, f32x4.gt(y, f32x4.splat(0)))',
    // linear in dy, piecewise constant in y
    gradient: { x: ({ dz, y, op }) => op('reluGrad', [dz, y]) },
  },
  /** moving * momentum + batch * (1 - momentum). */
  movingAverage: {
    kind: 'arithmetic',
    sameShape: true,
    operands: ['moving', 'batch'],
    parameters: ['momentum'],
    reference: (x, y, { momentum }) => x * momentum + y * (1 - momentum),
    wgsl: '(x * momentum + y * (T(1.0) - momentum))',
    wasm: 'f32x4.add(f32x4.mul(x, momentum), f32x4.mul(y, f32x4.sub(f32x4.splat(1), momentum)))',
    formula: 'x * momentum + y * (1 - momentum)',
    gradient: {
      x: ({ dz, attrs }) => dz.mul(attrs.momentum),
      y: ({ dz, attrs }) => dz.mul(1 - attrs.momentum),
    },
  },
};

/** where(c, x, y): the one ternary function; `c` is bool, 0.0 or 1.0. */
export const whereExpression = {
  reference: (c: number, x: number, y: number): number => (c !== 0 ? x : y),
  wgsl: 'select(y, x, c != F(0.0))',
  wasm: 'v128.bitselect(x, y, f32x4.ne(c, f32x4.splat(0)))',
} as const;
