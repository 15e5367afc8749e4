/** What the driver says of itself and of a GPU, and whether that is enough. */
import { DeviceError, OptionError } from '../../errors.ts';
import type { Bindings } from './bindings.ts';
import { CudaError, Result } from './bindings.ts';

/**
 * The driver's CUDA version that is needed, 12.0 (driver 525): the kernels' compilers, NVRTC 12 and later, make cubins that earlier
 * drivers do not load, and NVRTC 11 does not know sm_90a, on which Hopper's kernels stand.
 */
export const LEAST_DRIVER = 12000;

/** Compute capability that is needed, 8.0 (Ampere): kernels convert to bfloat16 and copy to shared memory by cp.async. */
export const LEAST_CAPABILITY = 80;

export interface GpuInfo {
  /** Place in the driver's list, as in `cuda:1`. */
  readonly index: number;
  /** The CUdevice. */
  readonly device: number;
  readonly name: string;
  /** Compute capability, ten times the major version plus the minor. */
  readonly capability: number;
  /** Of its memory in all. */
  readonly bytes: number;
  readonly multiprocessors: number;
  /** Most shared memory of a block, in bytes. */
  readonly sharedBytes: number;
  /** CUDA version of the driver, `12.4`. */
  readonly driver: string;
}

const Attribute = { multiprocessors: 16, major: 75, minor: 76, sharedBytes: 97, memoryPools: 115 } as const;

/** `12.4` of 12040. */
export const versionWords = (version: number): string => `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;

/** `9.0` */
export const capabilityWords = ({ capability }: { readonly capability: number }): string => (capability / 10).toFixed(1);

/**
 * Starts the driver.
 * @returns its CUDA version, as 12040, and the number of GPUs
 * @throws DeviceError where there is no GPU or the driver is too old
 */
export function startDriver(cuda: Bindings): { version: number; count: number } {
  try {
    cuda.call('cuInit', [0]);
  } catch (error) {
    if (!(error instanceof CudaError) || error.result !== Result.noDevice) throw error;
    throw new DeviceError(`no CUDA device: ${error.message}`, { cause: error });
  }
  const version = cuda.int('cuDriverGetVersion', []);
  if (version < LEAST_DRIVER) {
    throw new DeviceError(`the NVIDIA driver is too old: it has CUDA ${versionWords(version)}, and ${versionWords(LEAST_DRIVER)} is needed `
      + '(driver 525 or later; the kernels\' cubins do not load on earlier ones)');
  }
  cuda.requireAll();
  const count = cuda.int('cuDeviceGetCount', []);
  if (count === 0) throw new DeviceError('no CUDA device: the driver lists none (CUDA_VISIBLE_DEVICES may hide them)');
  return { version, count };
}

/** @throws OptionError for an index that the driver does not have */
export function inspectGpu(cuda: Bindings, { version, count }: { version: number; count: number }, index: number): GpuInfo {
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    const there = count === 1 ? 'one GPU, cuda:0' : `${count} GPUs, cuda:0 to cuda:${count - 1}`;
    throw new OptionError(`there is no cuda:${index}: the driver lists ${there}`);
  }
  const about = `cuda:${index}`;
  const device = cuda.int('cuDeviceGet', [index], about);
  const attribute = (which: number): number => cuda.int('cuDeviceGetAttribute', [which, device], about);
  const name = new Uint8Array(256);
  cuda.call('cuDeviceGetName', [name, name.length, device], about);
  const end = name.indexOf(0);
  return {
    index, device,
    name: new TextDecoder().decode(name.subarray(0, end < 0 ? name.length : end)),
    capability: attribute(Attribute.major) * 10 + attribute(Attribute.minor),
    bytes: Number(cuda.handle('cuDeviceTotalMem_v2', [device], about)),
    multiprocessors: attribute(Attribute.multiprocessors),
    sharedBytes: attribute(Attribute.sharedBytes),
    driver: versionWords(version),
  };
}

/** @throws DeviceError for a GPU that the kernels do not run on */
export function assertUsable(cuda: Bindings, gpu: GpuInfo): void {
  const about = `cuda:${gpu.index} (${gpu.name})`;
  if (gpu.capability < LEAST_CAPABILITY) {
    throw new DeviceError(`${about} has compute capability ${capabilityWords(gpu)}; ${capabilityWords({ capability: LEAST_CAPABILITY })} `
      + '(Ampere) or later is needed, for bfloat16 and cp.async');
  }
  if (cuda.int('cuDeviceGetAttribute', [Attribute.memoryPools, gpu.device], about) === 0) {
    throw new DeviceError(`${about} has no memory pools, by which memory is allocated in the stream's order (some virtual GPUs lack them)`);
  }
}
