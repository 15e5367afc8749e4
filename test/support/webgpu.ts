import { suite, type Test } from 'uvu';
import { webgpu, type WebgpuDeviceInfo, type WebgpuOptions } from '../../src/device/webgpu/index.ts';
import { DeviceError, MissingPackageError } from '../../src/errors.ts';
import { skip } from './skip.ts';

/**
 * Opens the WebGPU device for a test file, on the adapter that FOVEA_ADAPTER names in place of the software adapter asked for. Where
 * there is none, `reason` says why and what to do, and `device` must not
 * be touched: declare the tests with `suiteUnless(reason, name)`, which then skips them by name.
 */
export async function openWebgpu(options: WebgpuOptions = { adapter: 'llvmpipe' }): Promise<
  { device: WebgpuDeviceInfo; reason?: string }
> {
  try {
    const { adapter } = options;
    return { device: await webgpu({ ...options, adapter: adapter === undefined ? adapter : adapterFor(adapter) }) };
  } catch (error) {
    if (!(error instanceof DeviceError || error instanceof MissingPackageError)) throw error;
    return { device: undefined as unknown as WebgpuDeviceInfo, reason: error.message };
  }
}

/** The adapter that tests take in place of a software adapter: the one that FOVEA_ADAPTER names, so that a GPU's kernels can be tried. */
export const adapterFor = (software: string): string => process.env.FOVEA_ADAPTER ?? software;

/** A suite like uvu's; with a reason, its tests are reported as skipped instead of run. */
export function suiteUnless(reason: string | undefined, name: string): Test {
  const real = suite(name);
  if (reason === undefined) return real;
  const skipped = (test: string): void => skip(test, reason);
  // Neither hooks nor tests are kept: there is nothing to run them on.
  const hook = Object.assign(() => undefined, { each: () => undefined });
  return Object.assign(skipped, {
    only: skipped, skip: skipped, before: hook, after: hook, run: () => undefined,
  }) as unknown as Test;
}
