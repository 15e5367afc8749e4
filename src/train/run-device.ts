/** The device of a run, opened and closed. */
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { DeviceError } from '../errors.ts';
import { halfOf } from '../graph/half.ts';
import type { RunOptions } from './run-options.ts';

/** How many runs use a device: all that ask for it by one name get the same. */
const users = new WeakMap<Device, number>();

/**
 * Opens a device with the fastest kernels that the engine has: relaxed SIMD is switched on for this process where that is
 * possible, which a library must not do of itself, but a program may. Who opens it closes it with `closeRunDevice`.
 *
 * @throws DeviceError where there is no such device, or mixed precision is asked of one that has no float16 or bfloat16
 */
export async function openRunDevice(
  { device = 'auto', threads, mixed }: Pick<RunOptions, 'device' | 'threads' | 'mixed'>, log?: (line: string) => void,
): Promise<Device> {
  const opened = await openFastest(device, threads, log);
  users.set(opened, (users.get(opened) ?? 0) + 1);
  try {
    if (mixed) halfOf(opened, 'mixed precision', '; train in float32, or on another device');
  } catch (error) {
    closeRunDevice(opened);
    throw error;
  }
  return opened;
}

/** Disposes of a device that `openRunDevice` gave, unless another run uses it. */
export function closeRunDevice(device: Device): void {
  const left = (users.get(device) ?? 1) - 1;
  users.set(device, left);
  if (left === 0) device.dispose();
}

async function openFastest(device: string, threads: number | undefined, log?: (line: string) => void): Promise<Device> {
  try {
    return await openDevice(device, { threads, relaxedSimd: true, log });
  } catch (error) {
    if (!(error instanceof DeviceError) || !/relaxed SIMD/.test(error.message)) throw error;
    return openDevice(device, { threads, relaxedSimd: false, log });
  }
}
