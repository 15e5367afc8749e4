/**
 * The CUDA driver API through koffi: libcuda's functions, each call checked. Node only; reach it by dynamic import.
 *
 * Handles and addresses are 64-bit integers (BigInt); what a call gives back goes into a typed array that is passed for its pointer.
 * Names with `_v2` are those that CUDA's headers put behind the plain ones.
 */
import { DeviceError, MissingPackageError } from '../../errors.ts';
import type koffiTypes from 'koffi';

export type Koffi = typeof koffiTypes;

/** Parameters of each function; all return a CUresult. `ptr` is memory of the caller's, valid for the time of the call. */
export const signatures = {
  cuInit: ['u32'],
  cuDriverGetVersion: ['ptr'],
  cuDeviceGetCount: ['ptr'],
  cuDeviceGet: ['ptr', 'i32'],
  cuDeviceGetName: ['ptr', 'i32', 'i32'],
  cuDeviceTotalMem_v2: ['ptr', 'i32'],
  cuDeviceGetAttribute: ['ptr', 'i32', 'i32'],
  cuDevicePrimaryCtxRetain: ['ptr', 'i32'],
  cuDevicePrimaryCtxRelease_v2: ['i32'],
  cuCtxSetCurrent: ['u64'],
  cuMemGetInfo_v2: ['ptr', 'ptr'],
  cuDeviceGetDefaultMemPool: ['ptr', 'i32'],
  cuMemPoolGetAttribute: ['u64', 'i32', 'ptr'],
  cuMemPoolSetAttribute: ['u64', 'i32', 'ptr'],
  cuMemPoolTrimTo: ['u64', 'u64'],
  cuStreamCreate: ['ptr', 'u32'],
  cuStreamDestroy_v2: ['u64'],
  cuStreamSynchronize: ['u64'],
  cuEventCreate: ['ptr', 'u32'],
  cuEventDestroy_v2: ['u64'],
  cuEventRecord: ['u64', 'u64'],
  cuEventQuery: ['u64'],
  cuEventSynchronize: ['u64'],
  cuEventElapsedTime: ['ptr', 'u64', 'u64'],
  cuMemAllocAsync: ['ptr', 'u64', 'u64'],
  cuMemFreeAsync: ['u64', 'u64'],
  cuMemsetD8Async: ['u64', 'u8', 'u64', 'u64'],
  cuMemHostAlloc: ['ptr', 'u64', 'u32'],
  cuMemFreeHost: ['u64'],
  cuMemcpyHtoDAsync_v2: ['u64', 'u64', 'u64', 'u64'],
  cuMemcpyDtoHAsync_v2: ['u64', 'u64', 'u64', 'u64'],
  cuMemcpyDtoDAsync_v2: ['u64', 'u64', 'u64', 'u64'],
  cuModuleLoadData: ['ptr', 'ptr'],
  cuModuleUnload: ['u64'],
  cuModuleGetFunction: ['ptr', 'u64', 'str'],
  cuFuncGetAttribute: ['ptr', 'i32', 'u64'],
  cuFuncSetAttribute: ['u64', 'i32', 'i32'],
  cuLaunchKernel: ['u64', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32', 'u64', 'u64', 'u64'],
  cuGraphCreate: ['ptr', 'u32'],
  cuGraphAddKernelNode_v2: ['ptr', 'u64', 'ptr', 'u64', 'u64'],
  cuGraphAddEventRecordNode: ['ptr', 'u64', 'ptr', 'u64', 'u64'],
  cuGraphInstantiateWithFlags: ['ptr', 'u64', 'u64'],
  cuGraphLaunch: ['u64', 'u64'],
  cuGraphExecDestroy: ['u64'],
  cuGraphDestroy: ['u64'],
  cuTensorMapEncodeTiled: ['u64', 'i32', 'u32', 'u64', 'ptr', 'ptr', 'ptr', 'ptr', 'i32', 'i32', 'i32', 'i32'],
  cuTensorMapEncodeIm2col: ['u64', 'i32', 'u32', 'u64', 'ptr', 'ptr', 'ptr', 'ptr', 'u32', 'u32', 'ptr', 'i32', 'i32', 'i32', 'i32'],
  cuGetErrorName: ['i32', 'ptr'],
  cuGetErrorString: ['i32', 'ptr'],
} as const;

export type CudaCall = keyof typeof signatures;
export type CudaValue = number | bigint | string | ArrayBufferView | null;

const types = { ptr: 'void *', i32: 'int', u32: 'uint32', u8: 'uint8', u64: 'uint64', str: 'str' } as const;

/** CUresult values that are told apart. */
export const Result = { success: 0, invalidValue: 1, outOfMemory: 2, noDevice: 100, invalidImage: 200, notReady: 600 } as const;

/**
 * After one of these the context is dead: every later call in it fails. CUDA_ERROR_DEINITIALIZED, ECC_UNCORRECTABLE, NVLINK_UNCORRECTABLE,
 * CONTAINED, ILLEGAL_ADDRESS, LAUNCH_TIMEOUT, CONTEXT_IS_DESTROYED, ASSERT, HARDWARE_STACK_ERROR, ILLEGAL_INSTRUCTION, MISALIGNED_ADDRESS,
 * INVALID_ADDRESS_SPACE, INVALID_PC, LAUNCH_FAILED, TENSOR_MEMORY_LEAK, UNKNOWN.
 */
const sticky: ReadonlySet<number> = new Set([4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999]);

/** A call that failed. The message names it, what it was for, and CUDA's name and text of the code. */
export class CudaError extends DeviceError {
  readonly call: CudaCall;
  readonly result: number;
  /** The code's name and text alone. */
  readonly words: string;

  constructor(call: CudaCall, result: number, words: string, about: string | undefined) {
    super(`${call} failed${about === undefined ? '' : ` for ${about}`}: ${words}`);
    this.call = call;
    this.result = result;
    this.words = words;
  }

  /** Whether nothing can be done with the context any more. */
  get sticky(): boolean {
    return sticky.has(this.result);
  }
}

/**
 * @param load for tests
 * @throws MissingPackageError with the command that installs it
 */
export async function importKoffi(load: () => Promise<{ readonly default: unknown }> = () => import('koffi')): Promise<Koffi> {
  try {
    return (await load()).default as Koffi;
  } catch (cause) {
    throw new MissingPackageError('CUDA needs the optional package "koffi": npm install koffi', { cause });
  }
}

export class Bindings {
  readonly koffi: Koffi;
  /** What was loaded. */
  readonly path: string;
  readonly #library: ReturnType<Koffi['load']>;
  readonly #functions = new Map<CudaCall, (...values: CudaValue[]) => number>();

  constructor(koffi: Koffi, path: string) {
    this.koffi = koffi;
    this.path = path;
    try {
      this.#library = koffi.load(path);
    } catch (cause) {
      const why = (cause as Error).message.replace(/^Failed to load shared library: /, '');
      throw new DeviceError(`no CUDA driver: ${path} could not be loaded (${why})`, { cause });
    }
  }

  #function(call: CudaCall): (...values: CudaValue[]) => number {
    let made = this.#functions.get(call);
    if (made === undefined) {
      try {
        made = this.#library.func(call, 'int', signatures[call].map((name) => types[name])) as (...values: CudaValue[]) => number;
      } catch (cause) {
        throw new DeviceError(`${this.path} has no ${call}: the driver is too old, or this is not the CUDA driver`, { cause });
      }
      this.#functions.set(call, made);
    }
    return made;
  }

  /** @throws DeviceError naming the first function that the library lacks; Hopper's copy engine's are looked for when they are used */
  requireAll(): void {
    for (const call of Object.keys(signatures) as CudaCall[]) if (!call.startsWith('cuTensorMap')) this.#function(call);
  }

  /**
   * Makes a call.
   * @param about what it is for, in an error's message
   * @throws CudaError where it does not return CUDA_SUCCESS
   */
  call(call: CudaCall, values: readonly CudaValue[], about?: string): void {
    const result = this.#function(call)(...values);
    if (result !== Result.success) throw new CudaError(call, result, this.words(result), about);
  }

  /** Like `call`, and false where the work asked about is not done (CUDA_ERROR_NOT_READY). */
  ready(event: bigint, about?: string): boolean {
    const result = this.#function('cuEventQuery')(event);
    if (result === Result.success) return true;
    if (result === Result.notReady) return false;
    throw new CudaError('cuEventQuery', result, this.words(result), about);
  }

  /** For calls that give a handle or an address. */
  handle(call: CudaCall, values: readonly CudaValue[], about?: string): bigint {
    const out = new BigUint64Array(1);
    this.call(call, [out, ...values], about);
    return out[0];
  }

  /** For calls that give an int. */
  int(call: CudaCall, values: readonly CudaValue[], about?: string): number {
    const out = new Int32Array(1);
    this.call(call, [out, ...values], about);
    return out[0];
  }

  /** Makes a call whose failure changes nothing, as in what is left to do when an error is under way already. */
  attempt(call: CudaCall, values: readonly CudaValue[]): void {
    try {
      this.call(call, values);
    } catch {
      // told by whoever got here
    }
  }

  /** `CUDA_ERROR_OUT_OF_MEMORY (2), out of memory`. */
  words(result: number): string {
    const text = (call: CudaCall): string | undefined => {
      const out = new BigUint64Array(1);
      return this.#function(call)(result, out) === Result.success && out[0] !== 0n ? this.koffi.decode.string(out[0]) : undefined;
    };
    const name = text('cuGetErrorName');
    const why = text('cuGetErrorString');
    return `${name ?? 'CUDA error'} (${result})${why === undefined ? '' : `, ${why}`}`;
  }
}

/** Memory outside of JavaScript's heap at an address that stays, a multiple of 64: for structures that hold pointers to one another. */
export class NativeBlock {
  readonly address: bigint;
  readonly view: DataView;
  readonly #koffi: Koffi;
  #allocated: bigint | undefined;

  constructor(koffi: Koffi, size: number) {
    this.#koffi = koffi;
    this.#allocated = koffi.alloc('uint8', size + 63) as bigint;
    this.address = (this.#allocated + 63n) & ~63n;
    this.view = new DataView(koffi.view(this.address, size));
  }

  dispose(): void {
    if (this.#allocated !== undefined) this.#koffi.free(this.#allocated);
    this.#allocated = undefined;
  }
}
