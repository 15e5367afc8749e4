/** The CUDA device. Node only; reach it by dynamic import. */
import { DeviceError, OutOfMemoryError } from '../../errors.ts';
import { checkTuning, tuningOf } from '../tuner.ts';
import type { TuningOptions } from '../tuner.ts';
import type { Device } from '../types.ts';
import { Bindings, CudaError, importKoffi, Result } from './bindings.ts';
import { nvrtcCompiler } from './compile.ts';
import { CudaDevice } from './device.ts';
import type { Rung } from './device.ts';
import { chooseNvrtc, findNvrtc } from './find.ts';
import { assertUsable, capabilityWords, inspectGpu, startDriver } from './gpu.ts';
import type { GpuInfo } from './gpu.ts';
import type { Compile, Compiler } from './kernels.ts';
import { asRung, isSwitchedOn, rungAsked } from './variables.ts';

export type { Compile } from './kernels.ts';
export { copyLaunch } from './copy.ts';

export interface CudaOptions extends TuningOptions {
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
  /** Multiply float32 in matrix products and convolutions as TF32, with 10 bits of mantissa in place of 23. Default: false. */
  readonly tf32?: boolean;
  /**
   * The most advanced kind of kernel that products may use, for tests and measurements. Default: `FOVEA_CUDA_RUNG`, else the best that the GPU
   * has but for `hopper`, which is taken only where it is asked for.
   */
  readonly rung?: Rung;
  /**
   * Convolutions normalize their image as they read it, where nothing else reads it normalized, and their gradients make that of batch norm as they
   * read, so that neither need be written: passes over memory less, but panels go through registers in place of cp.async. Seen on no GPU yet. Default:
   * whether FOVEA_CUDA_PROLOGUES is 1.
   */
  readonly prologues?: boolean;
  /** Waits for each launch, so that one that fails is named; slow. Default: whether FOVEA_CUDA_CHECK is 1. */
  readonly checkLaunches?: boolean;
}

/** A CUDA device with what choosing it found. */
export interface CudaDeviceInfo extends Device {
  readonly gpu: GpuInfo;
  /** Compute capability, driver, memory and compiler in a few words. */
  readonly why: string;
}

/** The driver's library. @throws MissingPackageError without koffi; DeviceError where there is none */
export async function loadDriver(libcuda?: string): Promise<Bindings> {
  const path = libcuda ?? (process.env.FOVEA_LIBCUDA || undefined);
  if (path === undefined && process.platform !== 'linux') {
    throw new DeviceError(`the CUDA device runs on Linux, and under WSL; this is ${process.platform}`);
  }
  return new Bindings(await importKoffi(), path ?? 'libcuda.so.1');
}

/**
 * Opens a CUDA device.
 *
 * @throws MissingPackageError without koffi, or without NVRTC, with the command that installs it; OptionError for an index that is not
 *   there, an unknown rung, or a wrong value of a variable FOVEA_CUDA_*; OutOfMemoryError where the GPU has no memory left;
 *   DeviceError where there is no driver, too old a one, or a GPU that the kernels do not run on
 */
export async function cuda(options: CudaOptions = {}): Promise<CudaDeviceInfo> {
  try {
    return await open(options);
  } catch (error) {
    if (!(error instanceof CudaError) || error.result !== Result.outOfMemory) throw error;
    throw new OutOfMemoryError(`no CUDA device can be opened: ${error.message}; others may have its memory (nvidia-smi lists them)`,
      { cause: error });
  }
}

async function open(options: CudaOptions): Promise<CudaDeviceInfo> {
  const { tf32 = false } = options;
  const rung = options.rung === undefined ? rungAsked() : asRung(options.rung, 'rung');
  const prologues = options.prologues ?? isSwitchedOn('FOVEA_CUDA_PROLOGUES');
  const checkLaunches = options.checkLaunches ?? isSwitchedOn('FOVEA_CUDA_CHECK');
  checkTuning(options);
  const tuning = await tuningOf(options, 'measure', 'cuda');
  const bindings = await loadDriver(options.libcuda);
  const driver = startDriver(bindings);
  const gpu = inspectGpu(bindings, driver, options.index ?? 0);
  assertUsable(bindings, gpu);
  const compiler = compilerFor(bindings, gpu, options);
  try {
    const device = new CudaDevice(bindings, gpu, compiler, { tf32, rung, prologues, checkLaunches, tuning });
    const why = `compute capability ${capabilityWords(gpu)}, driver of CUDA ${gpu.driver}, `
      + `${(gpu.bytes / 2 ** 30).toFixed(1)} GiB, kernels by ${compiler.version}`;
    return Object.assign(device, { why });
  } catch (error) {
    compiler.dispose?.();
    throw error;
  }
}

function compilerFor({ koffi }: Bindings, gpu: GpuInfo, { compile, nvrtc, cacheFolder }: CudaOptions): Compiler {
  if (compile !== undefined) return { compile, version: 'a compiler handed in' };
  return chooseNvrtc(findNvrtc(nvrtc), parseInt(gpu.driver, 10),
    (library) => nvrtcCompiler({ koffi, library, capability: gpu.capability, driver: gpu.driver, folder: cacheFolder })).used;
}
