/** What a look for CUDA devices finds, refused or not, for `fovea devices`. Node only; reach it by dynamic import. */
import { readFile } from 'node:fs/promises';
import { FoveaError } from '../../errors.ts';
import { factsOf } from '../facts.ts';
import type { DeviceReport } from '../index.ts';
import { architectureBy } from './compile.ts';
import { chooseNvrtc, findNvrtc } from './find.ts';
import { assertUsable, capabilityWords, inspectGpu, startDriver } from './gpu.ts';
import { cuda, loadDriver } from './index.ts';
import { checkVariables } from './variables.ts';

/** The kernel module's version, `580.65.06`, where the system tells. */
async function moduleVersion(): Promise<string | undefined> {
  const text = await readFile('/proc/driver/nvidia/version', 'utf8').catch(() => '');
  return /\b(\d{3,}\.\d+(?:\.\d+)?)\b/.exec(text)?.[1];
}

/** A report for each GPU that the driver lists, or one that says why there is none. */
export async function describeCuda(): Promise<DeviceReport[]> {
  const details: string[] = [];
  try {
    checkVariables();
    const module = await moduleVersion();
    details.push(`NVIDIA kernel module: ${module ?? 'none (/proc/driver/nvidia/version)'}`);
    const bindings = await loadDriver();
    details.push(`driver library: ${bindings.path}`);
    const driver = startDriver(bindings);
    const reports: DeviceReport[] = [];
    for (let index = 0; index < driver.count; index++) {
      const own = [...details];
      try {
        const gpu = inspectGpu(bindings, driver, index);
        own.push(`driver: CUDA ${gpu.driver}`, `GPU: ${gpu.name}, compute capability ${capabilityWords(gpu)}, `
          + `${gpu.multiprocessors} multiprocessors, ${(gpu.bytes / 2 ** 30).toFixed(1)} GiB`);
        assertUsable(bindings, gpu);
        const { library, refused } = chooseNvrtc(findNvrtc(undefined), parseInt(gpu.driver, 10), (one) => architectureBy(bindings.koffi, one, gpu.capability));
        own.push(`NVRTC: ${library.path} (${library.source})`, ...refused.map((why) => `NVRTC refused: ${why}`));
        const made = await cuda({ index });
        reports.push({ name: made.name, available: true, why: made.why, details: [...own, ...factsOf(made, ['adapter', 'capability', 'driver', 'compiler'])] });
        made.dispose();
      } catch (error) {
        if (!(error instanceof FoveaError)) throw error;
        reports.push({ name: `cuda:${index}`, available: false, why: error.message, details: own });
      }
    }
    return reports;
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return [{ name: 'cuda', available: false, why: error.message, details }];
  }
}
