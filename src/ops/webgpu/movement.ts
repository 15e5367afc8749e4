/** Lowerings of ops that move elements: strided copies, padding, gathering. */
import type { Lowering, Placed, Shape, WebgpuLaunch } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { DeviceError } from '../../errors.ts';
import { copyLaunch } from '../../device/webgpu/copy.ts';
import { boundOffset, linearGrid, read, write } from '../../device/webgpu/launch.ts';
import { stridedLaunch } from './elementwise.ts';
import { placedStrides } from '../support/strides.ts';

const MAX_AXES = 8;

/** A copy with the rows and channels of the input counted anew. */
export const copyLowering: Lowering<unknown, WebgpuLaunch> = {
  launches: ({ inputs: [x], outputs: [y] }) => [copyLaunch(x, y)],
};

/** y[index] = x at strides and a start given for the axes of y. */
function strided(x: Placed, y: Placed, strides: readonly number[], start: number, label: string): WebgpuLaunch {
  const out = { value: y, strides: placedStrides(y, y.shape) };
  return stridedLaunch(y.shape, out, [{ value: x, strides, start }], { expression: 'x', label });
}

export const transposeLowering: Lowering<{ readonly permutation: readonly number[] }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { permutation } }) {
    const own = placedStrides(x, x.shape);
    return [strided(x, y, permutation.map((axis) => own[axis]), 0, 'transpose')];
  },
};

export const flipLowering: Lowering<{ readonly axes: readonly number[] }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { axes } }) {
    const own = placedStrides(x, x.shape);
    const start = axes.reduce((sum, axis) => sum + (x.shape[axis] - 1) * own[axis], 0);
    return [strided(x, y, own.map((s, axis) => (axes.includes(axis) ? -s : s)), start, 'flip')];
  },
};

export const sliceLowering: Lowering<{ readonly begin: Shape }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { begin } }) {
    const own = placedStrides(x, x.shape);
    return [strided(x, y, own, begin.reduce((sum, b, axis) => sum + b * own[axis], 0), 'slice')];
  },
};

/** Elements `start` and on of a flat vector. */
export const sliceFlatLowering: Lowering<{ readonly start: number }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { start } }) {
    return [copyLaunch({ ...x, shape: y.shape, offset: x.offset + start, rows: y.rows, channels: y.channels, stride: y.channels }, y)];
  },
};

const bitsOf = (value: number, integer: boolean): number => {
  const word = integer ? Int32Array.of(value) : Float32Array.of(value);
  return new Uint32Array(word.buffer)[0];
};

export const padLowering: Lowering<{ readonly before: Shape; readonly mode: 'constant' | 'edge'; readonly value: number }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { before, mode, value } }) {
    if (y.shape.length > MAX_AXES) throw new DeviceError(`pad: more than ${MAX_AXES} axes`);
    const reversed = (values: readonly number[], missing: number): number[] => {
      const inner = [...values].reverse();
      return Array.from({ length: MAX_AXES }, (_, i) => inner[i] ?? missing);
    };
    const total = sizeOf(y.shape);
    return [{
      shader: 'pad',
      replace: y.dtype === 'float16' ? { T: 'f16', VALUE: 'f16(bitcast<f32>(u.value))' } : { T: 'u32', VALUE: 'u.value' },
      uniforms: [
        ...reversed(y.shape, 1), ...reversed(x.shape, 1), ...reversed(before, 0),
        ...reversed(placedStrides(x, x.shape), 0), ...reversed(placedStrides(y, y.shape), 0),
        total, y.shape.length, boundOffset(x), boundOffset(y), mode === 'edge' ? 1 : 0, bitsOf(value, y.dtype === 'int32'),
      ],
      bindings: [read(x), write(y)],
      grid: linearGrid(total),
      label: 'pad',
    }];
  },
};

function gather(x: Placed, indices: Placed, y: Placed, shape: Shape, axis: number, gradient: boolean): WebgpuLaunch {
  const place = (v: Placed): number[] => [boundOffset(v), v.channels, v.stride];
  const total = sizeOf(y.shape);
  return {
    shader: 'gather',
    replace: { GRADIENT: gradient ? 1 : 0, T: gradient ? 'f32' : 'u32' },
    uniforms: [total, sizeOf(shape.slice(axis + 1)), shape[axis], sizeOf(indices.shape), ...place(indices), ...place(x), ...place(y)],
    bindings: [read(x), read(indices), write(y)],
    grid: linearGrid(total),
    label: gradient ? 'gatherGrad' : 'gather',
  };
}

export const gatherLowering: Lowering<{ readonly axis: number }, WebgpuLaunch> = {
  launches: ({ inputs: [x, indices], outputs: [y], attrs: { axis } }) => [gather(x, indices, y, x.shape, axis, false)],
};

export const gatherGradLowering: Lowering<{ readonly axis: number }, WebgpuLaunch> = {
  launches: ({ inputs: [dy, indices], outputs: [dx], attrs: { axis } }) => [gather(dy, indices, dx, dx.shape, axis, true)],
};

export const oneHotLowering: Lowering<{ readonly depth: number }, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y], attrs: { depth } }) {
    const total = sizeOf(y.shape);
    return [{
      shader: 'one_hot',
      uniforms: [total, depth, boundOffset(x), x.channels, x.stride, boundOffset(y), y.stride],
      bindings: [read(x), write(y)],
      grid: linearGrid(total),
      label: 'oneHot',
    }];
  },
};
