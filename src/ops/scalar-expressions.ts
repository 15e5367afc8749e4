/**
 * What is said of the scalar functions behind the elementwise ops (unary-expressions.ts, binary-expressions.ts), of each once: float64
 * TypeScript (the reference), WGSL, which is C++ for CUDA too, AssemblyScript v128 code, a mathjs formula (what the test differentiates symbolically), and its
 * derivative as a gradient rule.
 *
 * Operand names are `x` and `y` (and `c` for the condition of `where`); attributes listed under `parameters` appear by name.
 * - WGSL expressions hold for `T` = f32 and for `T` = vec4<f32> alike: constants are written `T(...)`, parameters are of type T.
 *   A bool is 0.0 or 1.0.
 * - The same text is compiled as C++ for CUDA, with T = float and functions of WGSL's names (kernels/cuda/lib/expressions.cuh); `cuda` is
 *   what stands in its place where CUDA has a more exact function (`expm1`, `log1p`) or needs no help (`pow` of a negative base).
 * - wasm expressions compute four lanes; a bool lane is 0 or 1 as float32. They may call `exp4`, `log4`, `pow4`, `tanh4`, `sin4`
 *   and `cos4` of kernels/wasm/lib/math.ts; parameters are v128 splats.
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
  readonly cuda?: string;
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
  readonly cuda?: string;
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
