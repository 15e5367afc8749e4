/** The device of a run. */
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { DeviceError } from '../errors.ts';
import type { RunOptions } from './run-options.ts';

/**
 * Opens a device with the fastest kernels that the engine has: relaxed SIMD is switched on for this process where that is
 * possible, which a library must not do of itself, but a program may.
 */
export async function openRunDevice(
  { device = 'auto', threads }: Pick<RunOptions, 'device' | 'threads'>, log?: (line: string) => void,
): Promise<Device> {
  try {
    return await openDevice(device, { threads, relaxedSimd: true, log });
  } catch (error) {
    if (!(error instanceof DeviceError) || !/relaxed SIMD/.test(error.message)) throw error;
    return openDevice(device, { threads, relaxedSimd: false, log });
  }
}
