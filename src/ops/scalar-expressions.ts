/**
 * The scalar functions behind the elementwise ops, each said once: in float64 TypeScript (the reference), in WGSL, in AssemblyScript
 * v128 code, as a mathjs formula (what the test differentiates symbolically), and its derivative as a gradient rule.
 *
 * Operand names are `x` and `y` (and `c` for the condition of `where`); attributes listed under `parameters` appear by name.
 * - WGSL expressions hold for `T` = f32 and for `T` = vec4<f32> alike: constants are written `T(...)`, parameters are of type T.
 *   A bool is 0.0 or 1.0.
 * - wasm expressions compute four lanes; a bool lane is 0 or 1 as float32. They may call `exp4`, `log4`, `pow4`, `tanh4`, `sin4`
 *   and `cos4` of kernels/wasm/math.ts; parameters are v128 splats.
 *
 * This file imports types alone, so that the kernel generator can read it.
 */
import type { Tensor } from '../tensor/tensor.ts';

export type ScalarAttrs = Readonly<Record<string, number>>;

/** What a gradient rule of a unary function sees. `op` applies any op of the table by name. */
export interface UnaryGradient {
  readonly dy: Tensor;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly attrs: ScalarAttrs;
  op(name: string, inputs: readonly (Tensor | number)[], attrs?: ScalarAttrs): Tensor;
}

/** A formula in mathjs syntax; piecewise where the function has a kink at zero. */
export type Formula = string | { readonly negative: string; readonly positive: string };

export interface UnaryExpression {
  readonly reference: (x: number, attrs: ScalarAttrs) => number;
  readonly wgsl: string;
  readonly wasm: string;
  readonly formula: Formula;
  /** dL/dx from dL/dy. Absent: the derivative is zero wherever it exists. */
  readonly gradient?: (g: UnaryGradient) => Tensor;
  readonly parameters?: readonly string[];
  /** Values tried by the suites: where the function is defined, with room for its float32 form. */
  readonly domain?: readonly [number, number];
  /** What the result's rounding error is relative to; default |y|. */
  readonly magnitude?: (x: number, y: number) => number;
  /** Operand and result are bool. */
  readonly logical?: boolean;
}

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

/** What a gradient rule of a binary function sees; both operands and the result as broadcast. */
export interface BinaryGradient {
  readonly dz: Tensor;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly z: Tensor;
  readonly attrs: ScalarAttrs;
  op(name: string, inputs: readonly (Tensor | number)[], attrs?: ScalarAttrs): Tensor;
}

export interface BinaryExpression {
  /** `arithmetic`: T, T -> T; `comparison`: T, T -> bool; `logical`: bool, bool -> bool. */
  readonly kind: 'arithmetic' | 'comparison' | 'logical';
  readonly reference: (x: number, y: number, attrs: ScalarAttrs) => number;
  readonly wgsl: string;
  readonly wasm: string;
  /** The same over int32, where the op takes it; comparisons give float32 0 or 1. `T` is then i32 or vec4<i32>, `F` the float. */
  readonly wgslInt?: string;
  readonly wasmInt?: string;
  readonly formula?: string;
  /** dL/dx and dL/dy from dL/dz. Absent: none flows. */
  readonly gradient?: {
    readonly x?: (g: BinaryGradient) => Tensor;
    readonly y?: (g: BinaryGradient) => Tensor;
  };
  readonly parameters?: readonly string[];
  /** What the result's rounding error is relative to; default |z|. */
  readonly magnitude?: (x: number, y: number, z: number) => number;
  /** Operands must have one shape: a fused helper, not for users. */
  readonly sameShape?: boolean;
  /** Names of the operands in messages; default a and b. */
  readonly operands?: readonly [string, string];
  readonly domain?: readonly [number, number];
  /** Domain of the second operand, where it differs. */
  readonly domainY?: readonly [number, number];
}

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
