/** The CUDA device. Node only; reach it by dynamic import. */
import type { Device } from '../types.ts';
import { Bindings, importKoffi } from './bindings.ts';
import { CudaDevice } from './device.ts';
import { assertUsable, inspectGpu, startDriver } from './gpu.ts';
import type { GpuInfo } from './gpu.ts';
import type { Compile, Compiler } from './kernels.ts';

export type { Compile } from './kernels.ts';
export { copyLaunch } from './copy.ts';

export interface CudaOptions {
  /** Which GPU, in the driver's order, default 0. */
  readonly index?: number;
  /** Path of the driver's library. Default: `FOVEA_LIBCUDA`, else the system's libcuda.so.1. */
  readonly libcuda?: string;
  /** Path of NVRTC's library, or a folder that has it. Default: `FOVEA_NVRTC`, else the first that find.ts finds. */
  readonly nvrtc?: string;
  /** Where compiled kernels are kept. Default: `cuda` in the user's cache folder. */
  readonly cacheFolder?: string;
  /** Compiles kernels in place of NVRTC; nothing is then cached on disk. */
  readonly compile?: Compile;
  /** Waits for each launch, so that one that fails is named; slow. Default: whether FOVEA_CUDA_CHECK is 1. */
  readonly checkLaunches?: boolean;
}

/** A CUDA device with what choosing it found. */
export interface CudaDeviceInfo extends Device {
  readonly gpu: GpuInfo;
  /** Compute capability, driver, memory and compiler in a few words. */
  readonly why: string;
}

/**
 * Opens a CUDA device.
 *
 * @throws MissingPackageError without koffi, or without NVRTC, with the command that installs it; OptionError for an index that is not
 *   there; DeviceError where there is no driver, too old a one, or a GPU that the kernels do not run on
 */
export async function cuda(options: CudaOptions = {}): Promise<CudaDeviceInfo> {
  const bindings = new Bindings(await importKoffi(), options.libcuda ?? (process.env.FOVEA_LIBCUDA || 'libcuda.so.1'));
  const driver = startDriver(bindings);
  const gpu = inspectGpu(bindings, driver, options.index ?? 0);
  assertUsable(bindings, gpu);
  const compiler = await compilerFor(options);
  const checkLaunches = options.checkLaunches ?? process.env.FOVEA_CUDA_CHECK === '1';
  try {
    const device = new CudaDevice(bindings, gpu, compiler, checkLaunches);
    const why = `compute capability ${(gpu.capability / 10).toFixed(1)}, CUDA ${gpu.driver} driver, `
      + `${(gpu.bytes / 2 ** 30).toFixed(1)} GiB, kernels by ${compiler.version}`;
    return Object.assign(device, { why });
  } catch (error) {
    compiler.dispose?.();
    throw error;
  }
}

async function compilerFor({ compile }: CudaOptions): Promise<Compiler> {
  if (compile === undefined) throw new Error('NVRTC is not there yet');
  return { compile, version: 'the compiler handed in' };
}
