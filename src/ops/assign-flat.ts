import { copyLaunch as cpuCopy } from '../device/cpu/copy.ts';
import type { CpuLaunch, CudaLaunch, Lowering, Placed, WebgpuLaunch } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { copyLaunch as cudaCopy } from '../device/cuda/copy.ts';
import { copyLaunch as webgpuCopy } from '../device/webgpu/copy.ts';
import { ShapeError } from '../errors.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';

type Attrs = { readonly start: number };

/** The part of the flat vector that is overwritten, seen in the shape of what is written. */
function target(flat: Placed, value: Placed, { start }: Attrs): Placed {
  return { ...value, buffer: flat.buffer, offset: flat.offset + start, stride: value.channels };
}

const cpu: Lowering<Attrs, CpuLaunch> = {
  launches: ({ attrs, inputs: [, value], outputs: [flat] }) => [cpuCopy(value, target(flat, value, attrs))],
};

const webgpu: Lowering<Attrs, WebgpuLaunch> = {
  launches: ({ attrs, inputs: [, value], outputs: [flat] }) => [webgpuCopy(value, target(flat, value, attrs))],
};

const cuda: Lowering<Attrs, CudaLaunch> = {
  launches: ({ attrs, inputs: [, value], outputs: [flat] }) => [cudaCopy(value, target(flat, value, attrs))],
};

/** Overwrites the part of a flat vector [T] that begins at `start` with a value of any shape, raveled. */
export const assignFlatOp: DifferentiableOp<Attrs> = defineOp<Attrs>({
  name: 'assignFlat',
  inputs: ['flat', 'value'],
  infer([flat, value], { start }) {
    if (flat.shape.length !== 1 || start < 0 || start + sizeOf(value.shape) > flat.shape[0]) {
      throw new ShapeError(`assignFlat: value [${value.shape}] does not fit into flat [${flat.shape}] from element ${start} on`);
    }
    return [flat];
  },
  updates: () => [[0, 0]],
  reference([flat, value], { start }) {
    const out = flat.data.slice();
    out.set(value.data, start);
    return [out];
  },
  kernels: { cpu, webgpu, cuda },
  samples: () => [
    { inputs: [{ shape: [23], dtype: 'float32' }, { shape: [3, 5], dtype: 'float32' }], attrs: { start: 4 } },
    { inputs: [{ shape: [64], dtype: 'float32' }, { shape: [16], dtype: 'float32' }], attrs: { start: 48 } },
  ],
});
