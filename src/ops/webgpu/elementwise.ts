/** Lowerings to shaders/elementwise.wgsl: scalar expressions over strided operands. */
import type { DType, Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { DeviceError } from '../../errors.ts';
import { boundOffset, linearGrid, sameMemory, storageType } from '../../device/webgpu/launch.ts';
import { binaryExpressions, whereExpression } from '../binary-expressions.ts';
import type { BinaryExpression, UnaryExpression } from '../scalar-expressions.ts';
import { unaryExpressions } from '../unary-expressions.ts';
import { joinAxes, placedStrides } from '../support/strides.ts';

const MAX_AXES = 8;

/** A value with the stride of each axis of the launch's shape, and how many elements beyond its first it starts. */
export interface Strided {
  readonly value: Placed;
  readonly strides: readonly number[];
  readonly start?: number;
}

/** WGSL's scalar in which a dtype is computed; four bytes of uint8 lie in one u32. */
const scalarOf: Readonly<Record<DType, string>> = { float32: 'f32', float16: 'f32', bool: 'f32', int32: 'i32', uint8: 'u32' };
const vectorOf: Readonly<Record<string, string>> = { f32: 'vec4f', i32: 'vec4i', u32: 'vec4u' };

export interface ElementwiseOptions {
  /** In WGSL, of the operands' names. */
  readonly expression: string;
  /** Default x, y. */
  readonly names?: readonly string[];
  /** Names and values of float parameters. */
  readonly parameters?: Readonly<Record<string, number>>;
  readonly label: string;
}

/** One launch that computes `out` over `shape` from operands. Operands that lie where `out` lies are read through its binding. */
export function stridedLaunch(
  shape: readonly number[], out: Strided, operands: readonly Strided[], options: ElementwiseOptions,
): WebgpuLaunch {
  const all = [out, ...operands];
  const axes = joinAxes(shape, all.map((o) => o.strides));
  if (axes.length > MAX_AXES) throw new DeviceError(`${options.label}: more than ${MAX_AXES} axes that cannot be joined`);
  const starts = all.map((o) => boundOffset(o.value) + (o.start ?? 0));
  const vector = all.every((o, i) => vectorOperand(o, i, axes, starts));
  const unit = vector ? 4 : 1;

  const names = options.names ?? ['x', 'y', 'c'];
  const T = scalarOf[(operands.find((_, i) => names[i] === 'x') ?? out).value.dtype];
  const wide = (scalar: string): string => (vector ? vectorOf[scalar] : scalar);
  const declarations = [`alias T = ${wide(T)};`, `alias F = ${wide('f32')};`, `alias I = ${wide('i32')};`, `alias B = ${wide('u32')};`];
  const body: string[] = [];
  const bindings: WebgpuLaunch['bindings'][number][] = [];
  const declare = (name: string, v: Placed, isVector: boolean, access: 'read' | 'write' | 'read-write'): void => {
    const bytes = v.dtype === 'uint8' && !vector;
    const element = v.dtype === 'uint8' ? (bytes && access !== 'read' ? 'atomic<u32>' : 'u32') :
      v.dtype === 'float16' ? storageType(v, isVector) : isVector ? vectorOf[scalarOf[v.dtype]] : scalarOf[v.dtype];
    const mode = access === 'read' ? 'read' : 'read_write';
    declarations.push(`@group(0) @binding(${bindings.length + 1}) var<storage, ${mode}> ${name}_: array<${element}>;`);
    bindings.push({ value: v, access });
  };
  let overwrites = false;
  operands.forEach((o, i) => {
    const index = `at[${i + 1}]`;
    const splat = vector && axes[0].strides[i + 1] === 0;
    let source = names[i];
    if (sameMemory(o.value, out.value)) {
      source = 'z';
      overwrites = true;
    } else declare(source, o.value, vector && !splat, 'read');
    const type = wide(scalarOf[o.value.dtype]);
    const half = o.value.dtype === 'float16';
    const read = half ? `${splat ? 'f32' : type}(${source}_[${index}])` : o.value.dtype !== 'uint8' ? `${source}_[${index}]` :
      vector ? `unpack4xU8(${source}_[${index}])` : `(${source}_[${index} >> 2u] >> ((${index} & 3u) * 8u)) & 0xffu`;
    body.push(`  let ${names[i]} = ${splat ? `${type}(${read})` : read};`);
  });
  declare('z', out.value, vector, overwrites ? 'read-write' : 'write');
  for (const [i, name] of Object.keys(options.parameters ?? {}).entries()) body.push(`  let ${name} = F(u.parameters[${i}]);`);
  if (out.value.dtype === 'float16') body.push(`  z_[at[0]] = ${storageType(out.value, vector)}(${options.expression});`);
  else if (out.value.dtype !== 'uint8') body.push(`  z_[at[0]] = ${options.expression};`);
  else if (vector) body.push(`  z_[at[0]] = pack4xU8(${options.expression});`);
  else {
    body.push(`  let byte = (${options.expression}) & 0xffu;`, '  let shift = (at[0] & 3u) * 8u;',
      '  atomicAnd(&z_[at[0] >> 2u], ~(0xffu << shift));', '  atomicOr(&z_[at[0] >> 2u], byte << shift);');
  }
  if (/\b(exp|log|pow|tanh|sin|cos)\(/.test(options.expression)) declarations.push('//#include math');

  const total = sizeOf(shape) / unit;
  const perAxis = (of: (axis: number) => number): number[] => Array.from({ length: MAX_AXES }, (_, i) => (i < axes.length ? of(i) : 0));
  const stride = (operand: number) => perAxis((i) => {
    const s = axes[i].strides[operand] ?? 0;
    // Four elements are one step of a vector, but for the scalars that are spread over it.
    return i === 0 ? s : axes[0].strides[operand] === 0 && operand < all.length ? s : s / unit;
  });
  const start = (operand: number): number => {
    if (operand >= all.length) return 0;
    return axes[0].strides[operand] === 0 ? starts[operand] : starts[operand] / unit;
  };
  const parameters = Object.values(options.parameters ?? {});
  return {
    shader: 'elementwise',
    replace: { DECLARATIONS: declarations.join('\n'), BODY: body.join('\n') },
    uniforms: [
      ...perAxis((i) => (i === 0 ? axes[0].length / unit : axes[i].length)),
      ...[0, 1, 2, 3].flatMap((operand) => stride(operand)),
      ...[0, 1, 2, 3].map(start),
      total, axes.length, { f32: Infinity }, 0,
      ...[0, 1, 2, 3].map((i) => ({ f32: parameters[i] ?? 0 })),
    ],
    bindings,
    grid: linearGrid(total),
    label: options.label,
  };
}

/** Whether operand `i` may be taken four elements at a time along the innermost axis. */
function vectorOperand(o: Strided, i: number, axes: ReturnType<typeof joinAxes>, starts: readonly number[]): boolean {
  if (axes[0].length % 4 !== 0) return false;
  if (axes[0].strides[i] === 0 && i > 0) return o.value.dtype !== 'uint8';
  return axes[0].strides[i] === 1 && starts[i] % 4 === 0 && axes.every((a, k) => k === 0 || a.strides[i] % 4 === 0);
}

/** `out` = expression of operands broadcast to its shape. */
export function elementwiseLaunch(out: Placed, operands: readonly Placed[], options: ElementwiseOptions): WebgpuLaunch {
  const strided = (value: Placed): Strided => ({ value, strides: placedStrides(value, out.shape) });
  return stridedLaunch(out.shape, strided(out), operands.map(strided), options);
}

/** The lowering of an op that the tables of expressions have under its name; `parameters` names the attributes that it takes. */
export function elementwise<A>(name: string, parameters: readonly string[] = []): Lowering<A, WebgpuLaunch> {
  const unary = (unaryExpressions as Readonly<Record<string, UnaryExpression>>)[name];
  const binary: BinaryExpression | undefined = binaryExpressions[name];
  return {
    launches({ inputs, outputs, attrs }) {
      const integer = inputs[0].dtype === 'int32';
      const expression = unary?.wgsl ?? (integer ? binary.wgslInt! : binary.wgsl);
      const values = Object.fromEntries(parameters.map((p) => [p, (attrs as Readonly<Record<string, number>>)[p]]));
      return [elementwiseLaunch(outputs[0], inputs, { expression, parameters: values, label: name })];
    },
  };
}

export const whereLowering: Lowering<unknown, WebgpuLaunch> = {
  launches: ({ inputs, outputs }) =>
    [elementwiseLaunch(outputs[0], inputs, { expression: whereExpression.wgsl, names: ['c', 'x', 'y'], label: 'where' })],
};

/** Expressions of cast by the dtype asked for; conversions to int32 round toward zero. */
const casts: Readonly<Record<DType, string>> = {
  float32: 'F(x)', float16: 'F(x)', int32: 'I(x)', bool: 'select(F(0.0), F(1.0), x != T(0))', uint8: 'B(x)',
};

export const castLowering: Lowering<{ readonly dtype: DType }, WebgpuLaunch> = {
  launches: ({ inputs, outputs, attrs }) =>
    [elementwiseLaunch(outputs[0], inputs, { expression: casts[attrs.dtype], label: 'cast' })],
};

/** A copy with broadcasting. */
export const identityLowering: Lowering<unknown, WebgpuLaunch> = {
  launches: ({ inputs, outputs }) => [elementwiseLaunch(outputs[0], inputs, { expression: 'x', label: 'copy' })],
};
