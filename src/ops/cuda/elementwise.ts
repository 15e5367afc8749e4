/** Lowerings to kernels/cuda/elementwise.cu: scalar expressions over strided operands. */
import type { CudaArg, CudaLaunch, DType, Lowering, Placed } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK, f32, linearGrid, storageType } from '../../device/cuda/launch.ts';
import { DeviceError } from '../../errors.ts';
import { binaryExpressions, whereExpression } from '../binary-expressions.ts';
import type { BinaryExpression, UnaryExpression } from '../scalar-expressions.ts';
import { joinAxes, placedStrides } from '../support/strides.ts';
import { unaryExpressions } from '../unary-expressions.ts';

const MAX_AXES = 8;
const MAX_PARAMETERS = 4;

/** Vectors from which on a thread takes two: fewer would leave processors idle. */
const MANY = 1 << 20;

/** A value with the stride of each axis of the launch's shape, and how many elements beyond its first it starts. */
export interface Strided {
  readonly value: Placed;
  readonly strides: readonly number[];
  readonly start?: number;
}

/** By the names that the expression has for them. */
export interface Operands {
  readonly x: Strided;
  readonly y?: Strided;
  readonly c?: Strided;
}

export interface ElementwiseOptions {
  /** In C++, of the operands' names; see scalar-expressions.ts. */
  readonly expression: string;
  /** Names and values of float parameters. */
  readonly parameters?: Readonly<Record<string, number>>;
  readonly label: string;
}

/** Launches that compute `out` over `shape` from operands: one, or none where there are no elements. */
export function stridedLaunches(shape: readonly number[], out: Strided, operands: Operands, options: ElementwiseOptions): CudaLaunch[] {
  const named = (['x', 'y', 'c'] as const).flatMap((name) => (operands[name] ? [{ name, ...operands[name] }] : []));
  const all = [out, ...named];
  const parameters = Object.entries(options.parameters ?? {});
  const axes = joinAxes(shape, all.map((o) => o.strides));
  if (axes.length > MAX_AXES) throw new DeviceError(`${options.label}: more than ${MAX_AXES} axes that cannot be joined`);
  if (parameters.length > MAX_PARAMETERS) throw new DeviceError(`${options.label}: more than ${MAX_PARAMETERS} parameters`);
  const starts = all.map((o) => o.start ?? 0);
  const isSplat = (i: number): boolean => i > 0 && axes[0].strides[i] === 0;
  const vector = axes[0].length % 4 === 0 && all.every((o, i) => isSplat(i) || (axes[0].strides[i] === 1 &&
    (o.value.offset + starts[i]) % 4 === 0 && axes.every((a, k) => k === 0 || a.strides[i] % 4 === 0)));
  const width = vector ? 4 : 1;
  const total = sizeOf(shape) / width;
  if (total === 0) return [];
  const items = total >= MANY ? 2 : 1;
  const define: Record<string, string | number> = {
    EXPRESSION: options.expression,
    PARAMETERS: parameters.map(([name], i) => `const float ${name} = parameters.v[${i}];`).join(' '),
    RANK: axes.length, WIDTH: width, ITEMS: items, OPERANDS: named.length, ZT: storageType(out.value),
  };
  named.forEach(({ name, value }, i) => {
    define[`${name.toUpperCase()}T`] = storageType(value);
    define[`${name.toUpperCase()}SPLAT`] = vector && isSplat(i + 1) ? 1 : 0;
  });
  const args: CudaArg[] = [
    at(out.value), ...named.map(({ value }) => at(value)), total,
    ...axes.map((a, k) => (k === 0 ? a.length / width : a.length)),
    ...all.flatMap((_, i) => axes.map((a, k) => (k === 0 ? a.strides[i] * width : a.strides[i]))),
    ...starts.slice(1),
    ...Array.from({ length: MAX_PARAMETERS }, (_, i) => f32(parameters[i]?.[1] ?? 0)),
  ];
  return [{ kernel: 'elementwise', define, args, grid: linearGrid(total, BLOCK * items), block: BLOCK, label: options.label }];
}

/** `out` = expression of operands broadcast to its shape. */
export function elementwiseLaunches(
  out: Placed, operands: { readonly x: Placed; readonly y?: Placed; readonly c?: Placed }, options: ElementwiseOptions,
): CudaLaunch[] {
  const strided = (value: Placed): Strided => ({ value, strides: placedStrides(value, out.shape) });
  const { x, y, c } = operands;
  return stridedLaunches(out.shape, strided(out), { x: strided(x), ...(y && { y: strided(y) }), ...(c && { c: strided(c) }) }, options);
}

/** The lowering of an op that the tables of expressions have under its name; `parameters` names the attributes that it takes. */
export function elementwise<A>(name: string, parameters: readonly string[] = []): Lowering<A, CudaLaunch> {
  const unary = (unaryExpressions as Readonly<Record<string, UnaryExpression>>)[name];
  const binary: BinaryExpression | undefined = binaryExpressions[name];
  return {
    launches({ inputs: [x, y], outputs: [z], attrs }) {
      const { cuda, wgsl } = unary ?? binary;
      const expression = unary === undefined && x.dtype === 'int32' ? binary.wgslInt! : cuda ?? wgsl;
      const values = Object.fromEntries(parameters.map((p) => [p, (attrs as Readonly<Record<string, number>>)[p]]));
      return elementwiseLaunches(z, unary === undefined ? { x, y } : { x }, { expression, parameters: values, label: name });
    },
  };
}

export const whereLowering: Lowering<unknown, CudaLaunch> = {
  launches: ({ inputs: [c, x, y], outputs: [z] }) => elementwiseLaunches(z, { x, y, c }, { expression: whereExpression.wgsl, label: 'where' }),
};

/** Expressions of cast by the dtype asked for; conversions to int32 round toward zero. */
const casts: Readonly<Record<DType, string>> = {
  float32: 'F(x)', float16: 'F(x)', int32: 'I(x)', bool: 'select(F(0.0), F(1.0), x != T(0))', uint8: 'I(x)',
};

export const castLowering: Lowering<{ readonly dtype: DType }, CudaLaunch> = {
  launches: ({ inputs: [x], outputs: [z], attrs }) => elementwiseLaunches(z, { x }, { expression: casts[attrs.dtype], label: 'cast' }),
};

/** A copy with broadcasting. */
export const identityLowering: Lowering<unknown, CudaLaunch> = {
  launches: ({ inputs: [x], outputs: [z] }) => elementwiseLaunches(z, { x }, { expression: 'x', label: 'copy' }),
};
