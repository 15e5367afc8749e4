/** Lowerings to the elementwise kernels of the cpu device (kernels/wasm/elementwise.template.mjs has the arguments' order). */
import type { CpuArg, CpuLaunch, Lowering, Placed } from '../../device/types.ts';
import { placedStrides } from '../support/strides.ts';

/** Elements that one tile computes. */
const TILE = 16384;
const MAX_OPERANDS = 4;

/** One operand: where its element of index 0 lies, in elements from the value's first, and its stride along each axis. */
export interface Strided {
  readonly value: Placed;
  readonly strides: readonly number[];
  readonly start?: number;
}

/**
 * Runs kernel `ew_NAME` over `shape`: out first, then its operands. All are of 4-byte elements. Axes that continue each other in
 * all operands are joined, so that most launches have one or two.
 */
export function stridedLaunch(
  name: string, shape: readonly number[], operands: readonly Strided[], parameters: readonly number[] = [],
): CpuLaunch {
  let dims: { length: number; strides: number[] }[] = [];
  shape.forEach((length, axis) => {
    if (length === 1) return;
    const strides = operands.map((o) => o.strides[axis]);
    const previous = dims[dims.length - 1];
    if (previous && strides.every((s, i) => previous.strides[i] === s * length)) {
      previous.length *= length;
      previous.strides = strides;
    } else dims.push({ length, strides });
  });
  if (shape.includes(0)) dims = [{ length: 0, strides: operands.map(() => 1) }];
  const inner = dims.pop() ?? { length: 1, strides: operands.map(() => 1) };
  const rows = dims.reduce((n, d) => n * d.length, 1);
  const chunk = Math.min(TILE, Math.max(1, inner.length));
  const tilesPerRow = inner.length > TILE ? Math.ceil(inner.length / chunk) : 1;
  const rowsPerTile = Math.max(1, Math.floor(TILE / Math.max(1, inner.length)));
  const tiles = inner.length === 0 ? 0 : tilesPerRow > 1 ? rows * tilesPerRow : Math.ceil(rows / rowsPerTile);
  const args: CpuArg[] = [
    inner.length, chunk, tilesPerRow, rowsPerTile, rows, dims.length, { f32: parameters[0] ?? 0 }, { f32: parameters[1] ?? 0 },
  ];
  for (let i = 0; i < MAX_OPERANDS; i++) {
    const o = operands[i];
    if (o === undefined) args.push(0, 0);
    else args.push({ address: o.start ? { ...o.value, offset: o.value.offset + o.start } : o.value }, inner.strides[i] * 4);
  }
  for (const d of dims) {
    args.push(d.length);
    for (let i = 0; i < MAX_OPERANDS; i++) args.push((d.strides[i] ?? 0) * 4);
  }
  return { kernel: `ew_${name}`, tiles, args, label: name };
}

/** f(operands...) -> out, with broadcasting. */
export function elementwiseLaunch(name: string, out: Placed, operands: readonly Placed[], parameters?: readonly number[]): CpuLaunch {
  const all = [out, ...operands];
  return stridedLaunch(name, out.shape, all.map((value) => ({ value, strides: placedStrides(value, out.shape) })), parameters);
}

/** The lowering of an op whose kernel bears its name; `parameters` names the attributes that the kernel takes. */
export function elementwise<A>(name: string, parameters: readonly string[] = []): Lowering<A, CpuLaunch> {
  return {
    launches({ inputs, outputs, attrs }) {
      const values = parameters.map((p) => (attrs as Readonly<Record<string, number>>)[p]);
      const integer = inputs.length === 2 && inputs[0].dtype === 'int32';
      return [elementwiseLaunch(integer ? `${name}Int` : name, outputs[0], inputs, values)];
    },
  };
}

/** where(condition, a, b): the kernel's operands are named x, y, c. */
export const whereLowering: Lowering<unknown, CpuLaunch> = {
  launches: ({ inputs: [c, a, b], outputs: [out] }) => [elementwiseLaunch('where', out, [a, b, c])],
};

/** Copies or repeats 4-byte elements. */
export const identityLowering: Lowering<unknown, CpuLaunch> = {
  launches: ({ inputs: [x], outputs: [out] }) => [elementwiseLaunch('identity', out, [x])],
};
