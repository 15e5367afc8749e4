/** Compiled kernels of one device, by name and macros: their modules, and what the GPU allows a launch of them. */
import { DeviceError, MissingPackageError } from '../../errors.ts';
import { cudaSources } from '../../generated/cuda.ts';
import type { CudaLaunch, DeviceCounters, PlacedLaunch } from '../types.ts';
import type { Bindings } from './bindings.ts';
import { CudaError } from './bindings.ts';
import { describeLaunch } from './pack.ts';
import { kernelSource } from './source.ts';

export type Defines = Readonly<Record<string, string | number>>;

/**
 * Compiles a kernel.
 *
 * @param kernel its name, which is that of its entry point
 * @param source its file, behind a `#define` line for each of `defines`
 * @param headers what it includes, by the names in its #include lines
 * @returns a cubin, or what else the device's libcuda loads
 */
export type Compile = (
  kernel: string, source: string, defines: Defines, headers: Readonly<Record<string, string>>,
) => Uint8Array | Promise<Uint8Array>;

export interface Compiler {
  readonly compile: Compile;
  /** Compiles what was in a cache before and does not load. */
  readonly recompile?: Compile;
  /** Of the compiler, for the fingerprint. */
  readonly version: string;
  dispose?(): void;
}

export interface Kernel {
  readonly handle: bigint;
  /** Bytes of shared memory that it declares. */
  readonly shared: number;
  /** Most threads of a block, by its registers and its launch bounds. */
  readonly threads: number;
  /** Bytes of a launch's own shared memory that it has been allowed, beyond what all have. */
  dynamic: number;
}

const Attribute = { maxThreads: 0, sharedBytes: 1, maxDynamicShared: 8 } as const;

/** Shared memory that a block has without being allowed more. */
const PLAIN_SHARED = 48 << 10;

export class Kernels {
  readonly #cuda: Bindings;
  readonly #compiler: Compiler;
  readonly #counters: DeviceCounters;
  readonly #sharedBytes: number;
  readonly #guard: <T>(work: () => T) => T;
  readonly #kernels = new Map<string, Promise<Kernel>>();
  readonly #modules = new Set<bigint>();

  /** @param guard does something with the driver in the device's context */
  constructor(cuda: Bindings, compiler: Compiler, counters: DeviceCounters, sharedBytes: number, guard: <T>(work: () => T) => T) {
    this.#cuda = cuda;
    this.#compiler = compiler;
    this.#counters = counters;
    this.#sharedBytes = sharedBytes;
    this.#guard = guard;
  }

  /** The kernel of a launch, compiled once. Rejects with a DeviceError that has the compiler's words. */
  get(placed: PlacedLaunch): Promise<Kernel> {
    const { kernel, define } = placed.launch as CudaLaunch;
    const key = `${kernel}|${define === undefined ? '' : JSON.stringify(define)}`;
    let made = this.#kernels.get(key);
    if (made === undefined) {
      made = this.#make(placed);
      this.#kernels.set(key, made);
      // A failure is told to whoever asked; the next asker tries again.
      made.catch(() => this.#kernels.delete(key));
    }
    return made;
  }

  async #make(placed: PlacedLaunch): Promise<Kernel> {
    const about = describeLaunch(placed);
    const { compile, recompile } = this.#compiler;
    const image = await this.#compile(compile, placed);
    this.#counters.compilations++;
    try {
      return this.#guard(() => this.#load(image, placed, about));
    } catch (error) {
      if (recompile === undefined || !(error instanceof CudaError) || error.call !== 'cuModuleLoadData') throw error;
    }
    const again = await this.#compile(recompile, placed);
    return this.#guard(() => this.#load(again, placed, about));
  }

  async #compile(compile: Compile, placed: PlacedLaunch): Promise<Uint8Array> {
    const { kernel, define = {} } = placed.launch as CudaLaunch;
    const about = describeLaunch(placed);
    if (!Object.hasOwn(cudaSources, `${kernel}.cu`)) throw new DeviceError(`no CUDA kernel "${kernel}" for ${placed.node}`);
    const { source, headers } = kernelSource(cudaSources, kernel, define);
    try {
      return await compile(kernel, source, define, headers);
    } catch (cause) {
      if (cause instanceof MissingPackageError) throw cause;
      const macros = Object.entries(define).map(([name, value]) => `${name}=${value}`).join(' ');
      const { message } = cause as Error;
      throw new DeviceError(`compiling ${about}${macros === '' ? '' : ` with ${macros}`} failed: ${message}`, { cause });
    }
  }

  #load(image: Uint8Array, placed: PlacedLaunch, about: string): Kernel {
    const module = this.#cuda.handle('cuModuleLoadData', [image], about);
    this.#modules.add(module);
    const { kernel } = placed.launch as CudaLaunch;
    const handle = this.#cuda.handle('cuModuleGetFunction', [module, kernel], about);
    return {
      handle,
      shared: this.#cuda.int('cuFuncGetAttribute', [Attribute.sharedBytes, handle], about),
      threads: this.#cuda.int('cuFuncGetAttribute', [Attribute.maxThreads, handle], about),
      dynamic: 0,
    };
  }

  /** Checks what the GPU would refuse, and allows the kernel the shared memory that the launch asks for. */
  prepare(kernel: Kernel, placed: PlacedLaunch): void {
    const { grid, block, shared = 0 } = placed.launch as CudaLaunch;
    const about = describeLaunch(placed);
    const most = [2 ** 31 - 1, 65535, 65535];
    if (!grid.every((n, axis) => Number.isInteger(n) && n >= 1 && n <= most[axis])) {
      throw new DeviceError(`${about} has a grid of ${grid.join(' x ')} blocks; 1 to ${most.join(', ')} were expected`);
    }
    if (!(Number.isInteger(block) && block >= 1 && block <= kernel.threads)) {
      throw new DeviceError(`${about} has blocks of ${block} threads; the kernel takes 1 to ${kernel.threads}`);
    }
    if (!(Number.isInteger(shared) && shared >= 0 && kernel.shared + shared <= this.#sharedBytes)) {
      throw new DeviceError(`${about} takes ${kernel.shared} + ${shared} bytes of shared memory; a block has ${this.#sharedBytes}`);
    }
    if (kernel.shared + shared <= PLAIN_SHARED || shared <= kernel.dynamic) return;
    this.#cuda.call('cuFuncSetAttribute', [kernel.handle, Attribute.maxDynamicShared, shared], about);
    kernel.dynamic = shared;
  }

  dispose(): void {
    for (const module of this.#modules) this.#cuda.attempt('cuModuleUnload', [module]);
    this.#modules.clear();
    this.#kernels.clear();
    this.#compiler.dispose?.();
  }
}
