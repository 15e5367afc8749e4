/** A CUDA device on the driver that is built from C (fake_libcuda.c), and what its tests put into it. */
import * as assert from 'uvu/assert';
import { copyLaunch } from '../../../src/device/copy.ts';
import { cuda } from '../../../src/device/cuda/index.ts';
import type { CudaDeviceInfo, CudaOptions } from '../../../src/device/cuda/index.ts';
import type { CudaLaunch, DeviceBuffer, Placed, PlacedLaunch } from '../../../src/device/types.ts';
import { buildFakes } from './fake.ts';

const fakes = await buildFakes();

/** Why neither can be built here; undefined where both are. */
export const { reason } = fakes;
export const { driver, nvrtc } = fakes as Exclude<typeof fakes, { reason: string }>;

const compile: CudaOptions['compile'] = (kernel) => new TextEncoder().encode(`module of ${kernel}\0`);

export const open = (options: CudaOptions = {}): Promise<CudaDeviceInfo> => cuda({ libcuda: driver.path, compile, ...options });

/** What is held once a device is gone: nothing. */
export const nothing = { contexts: 0, streams: 0, events: 0, memory: 0, pinned: 0, modules: 0, graphs: 0, execs: 0 };

/** Runs `work` on a fresh driver and device, and sees that nothing of it is left. */
export async function on(work: (device: CudaDeviceInfo) => Promise<void>, options: CudaOptions = {}): Promise<void> {
  driver.reset();
  const device = await open(options);
  try {
    await work(device);
  } finally {
    device.dispose();
  }
  assert.equal(driver.live(), nothing);
}

export const value = (buffer: DeviceBuffer, rest: Partial<Placed> = {}): Placed => {
  const { rows = 4, channels = 4 } = rest;
  return { buffer, offset: 0, rows, channels, stride: channels, shape: [rows, channels], dtype: 'float32', ...rest };
};

export const copying = (from: Placed, to: Placed, node = 'copy_1'): PlacedLaunch => ({
  // Scalar: the vector's WORD is another, which the fake's copy does not know.
  launch: { ...copyLaunch('cuda', { ...from, offset: from.offset + 1 }, { ...to, offset: to.offset + 1 }) },
  node, site: 'model.ts:7', flop: 0,
});

export const launching = (launch: Partial<CudaLaunch>, node = 'node_1'): PlacedLaunch =>
  ({ launch: { kernel: 'copy', args: [], grid: [1, 1, 1], block: 64, ...launch } as CudaLaunch, node, flop: 0 });

export const floats = async (device: CudaDeviceInfo, buffer: DeviceBuffer, at = 0, bytes = buffer.bytes): Promise<number[]> =>
  [...new Float32Array((await device.read(buffer, at, bytes)).buffer)];

export const counted = (n: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: n }, (_, i) => i + 1);
