/**
 * The CUDA device: memory, copies and programs on one GPU. All work goes into one stream, in the order in which it is submitted; memory
 * is allocated and freed in that order too, so what a run under way reads is never given to another.
 */
import { DeviceError, OutOfMemoryError } from '../../errors.ts';
import { cudaKernels, cudaLowerings } from '../../generated/sources.ts';
import { trialsOn } from '../trials.ts';
import { Tuner } from '../tuner.ts';
import type { Tuning } from '../tuner.ts';
import type {
  CudaLaunch, DType, Device, DeviceBuffer, DeviceCounters, Executable, GpuFeatures, Placed, PlacedLaunch, Scratch,
} from '../types.ts';
import type { Bindings } from './bindings.ts';
import { CudaError, Result } from './bindings.ts';
import type { CudaExecutable, ExecutableHost } from './executable.ts';
import { buildExecutable } from './executable.ts';
import type { GpuInfo } from './gpu.ts';
import type { Compiler } from './kernels.ts';
import { Kernels } from './kernels.ts';
import { MemoryPool } from './memory-pool.ts';
import { LaunchBlock } from './pack.ts';
import { WorkQueue } from './queue.ts';
import { Staging } from './staging.ts';
import { trialHost } from './trials.ts';

/** As cudaMalloc aligns. */
const ALIGNMENT = 256;

const STREAM_NON_BLOCKING = 1;

/** The ladder of kernels for products: plain arithmetic, with copies under way meanwhile, by matrix units, by Hopper's. */
export const rungs = ['simt', 'async', 'tensor', 'hopper'] as const;
export type Rung = typeof rungs[number];

export interface CudaDeviceOptions {
  readonly tf32: boolean;
  readonly rung: Rung | undefined;
  readonly prologues: boolean;
  readonly checkLaunches: boolean;
  readonly tuning: Tuning;
}

class CudaBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly label: string;
  readonly owner: CudaDevice;
  readonly allocated: number;
  address: bigint | undefined;

  constructor(owner: CudaDevice, address: bigint, allocated: number, bytes: number, label: string) {
    this.owner = owner;
    this.address = address;
    this.allocated = allocated;
    this.bytes = bytes;
    this.label = label;
  }

  dispose(): void {
    this.owner.release(this);
  }
}

export class CudaDevice implements Device {
  readonly kind = 'cuda';
  readonly half = 'bfloat16';
  readonly name: string;
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
  readonly counters: DeviceCounters = {
    allocations: 0, bytesAllocated: 0, textureBytes: 0, peakBytes: 0, launches: 0, compilations: 0, runs: 0, encodeMs: 0,
  };
  readonly features: GpuFeatures;
  memory: Device['memory'];
  readonly gpu: GpuInfo;
  /** Chooses among the kernels' variants. */
  readonly tuner: Tuner<CudaLaunch>;

  readonly #cuda: Bindings;
  readonly #context: bigint;
  readonly #stream: bigint;
  readonly #pool: MemoryPool;
  readonly #queue: WorkQueue;
  readonly #staging: Staging;
  readonly #kernels: Kernels;
  readonly #host: ExecutableHost;
  readonly #buffers = new Set<CudaBuffer>();
  readonly #executables = new Set<CudaExecutable>();
  #disposed = false;

  /** @throws CudaError; what was made by then is given back */
  constructor(cuda: Bindings, gpu: GpuInfo, compiler: Compiler, options: CudaDeviceOptions) {
    const { tf32, rung, prologues, checkLaunches, tuning } = options;
    this.#cuda = cuda;
    this.gpu = gpu;
    this.name = `cuda:${gpu.index} (${gpu.name})`;
    const { capability, multiprocessors, sharedBytes } = gpu;
    this.features = { hardware: true, subgroup: 32, cuda: { capability, multiprocessors, sharedBytes, tf32, rung, prologues } };
    this.fingerprint = {
      kind: 'cuda', adapter: gpu.name, capability: capability / 10, driver: gpu.driver, compiler: compiler.version, kernels: cudaKernels,
      lowerings: cudaLowerings, tf32, ...(rung === undefined ? {} : { rung }), ...(prologues ? { prologues } : {}),
    };
    this.#context = cuda.handle('cuDevicePrimaryCtxRetain', [gpu.device], this.name);
    let stream: bigint | undefined;
    let pool: MemoryPool | undefined;
    try {
      cuda.call('cuCtxSetCurrent', [this.#context], this.name);
      stream = cuda.handle('cuStreamCreate', [STREAM_NON_BLOCKING], this.name);
      pool = new MemoryPool(cuda, gpu.device, this.name);
      this.memory = { arena: 'slab', alignment: ALIGNMENT, maxBuffer: this.#free() };
    } catch (error) {
      pool?.dispose();
      if (stream !== undefined) cuda.attempt('cuStreamDestroy_v2', [stream]);
      cuda.attempt('cuDevicePrimaryCtxRelease_v2', [gpu.device]);
      throw error;
    }
    this.#stream = stream;
    this.#pool = pool;
    this.#queue = new WorkQueue(cuda, stream, this.name, () => this.#enter());
    this.#staging = new Staging(cuda, stream);
    this.#kernels = new Kernels(cuda, compiler, this.counters, sharedBytes, (work) => this.#queue.guard(work));
    // What was the fastest of one version's kernels, or of one compiler's, says nothing about another's.
    const adapter = [gpu.name, `driver ${gpu.driver}`, compiler.version, `kernels ${cudaKernels}`].join(' | ');
    this.tuner = new Tuner(tuning, adapter, trialsOn(() => trialHost(this, this.#host)));
    this.#host = {
      cuda, stream, checkLaunches,
      tuner: this.tuner,
      queue: this.#queue,
      kernels: this.#kernels,
      block: new LaunchBlock(cuda),
      counters: this.counters,
      addressOf: ({ buffer }: Placed | Scratch) => this.#address(buffer),
      released: (executable) => {
        this.#executables.delete(executable);
        cuda.attempt('cuCtxSetCurrent', [this.#context]);
      },
    };
  }

  #free(): number {
    const free = new BigUint64Array(1);
    this.#cuda.call('cuMemGetInfo_v2', [free, new BigUint64Array(1)], this.name);
    return Number(free[0]);
  }

  lookAtMemory(): void {
    this.#queue.guard(() => {
      this.#trim(this.name);
      this.memory = { ...this.memory, maxBuffer: this.counters.bytesAllocated + this.#free() };
    });
  }

  /** Gives back what the pool keeps. */
  #trim(about: string): void {
    this.#cuda.call('cuStreamSynchronize', [this.#stream], about);
    this.#pool.trim(about);
  }

  /** Contexts belong to threads, and other devices of the process may have made theirs current meanwhile. */
  #enter(): void {
    if (this.#disposed) throw new DeviceError(`${this.name} was disposed`);
    if (this.#queue.lost !== undefined) throw this.#queue.lost;
    this.#cuda.call('cuCtxSetCurrent', [this.#context], this.name);
  }

  #address(buffer: DeviceBuffer): bigint {
    if (!(buffer instanceof CudaBuffer) || buffer.owner !== this) {
      throw new DeviceError(`buffer "${buffer.label}" belongs to another device than ${this.name}`);
    }
    if (buffer.address === undefined) throw new DeviceError(`buffer "${buffer.label}" was disposed`);
    return buffer.address;
  }

  #range(what: string, buffer: DeviceBuffer, start: number, bytes: number): bigint {
    const address = this.#address(buffer);
    if (!(start >= 0 && bytes >= 0 && start + bytes <= buffer.bytes)) {
      throw new DeviceError(`${what} "${buffer.label}": bytes ${start} to ${start + bytes} of ${buffer.bytes}`);
    }
    return address + BigInt(start);
  }

  supports(_dtype: DType): boolean {
    return true;
  }

  allocate(bytes: number, label: string): DeviceBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    return this.#queue.guard(() => {
      const address = this.#allocate(size, bytes, label);
      try {
        this.#cuda.call('cuMemsetD8Async', [address, 0, size, this.#stream], label);
      } catch (error) {
        this.#cuda.attempt('cuMemFreeAsync', [address, this.#stream]);
        throw error;
      }
      const c = this.counters;
      c.allocations++;
      c.bytesAllocated += size;
      c.peakBytes = Math.max(c.peakBytes, c.bytesAllocated);
      const buffer = new CudaBuffer(this, address, size, bytes, label);
      this.#buffers.add(buffer);
      return buffer;
    });
  }

  #allocate(size: number, bytes: number, label: string): bigint {
    const attempt = (): bigint => this.#cuda.handle('cuMemAllocAsync', [size, this.#stream], label);
    const isMemory = (error: unknown): boolean => error instanceof CudaError && error.result === Result.outOfMemory;
    try {
      return attempt();
    } catch (error) {
      if (!isMemory(error)) throw error;
    }
    // What the pool keeps may be in pieces that do not fit: without them there may be room. Where it cannot be given back, the lack of
    // memory is still what is told.
    try {
      this.#trim(label);
    } catch (error) {
      if (!(error instanceof CudaError) || error.sticky) throw error;
    }
    try {
      return attempt();
    } catch (cause) {
      if (!isMemory(cause)) throw cause;
      throw new OutOfMemoryError(`${this.name} cannot allocate ${bytes} bytes for ${label}: ${this.#queue.freeMemory()}, `
        + `${this.counters.bytesAllocated} are in use here; ${(cause as Error).message}`, { cause });
    }
  }

  /** Frees a buffer, when what was submitted before is done with it. */
  release(buffer: CudaBuffer): void {
    const { address } = buffer;
    if (address === undefined) return;
    buffer.address = undefined;
    this.#buffers.delete(buffer);
    this.counters.bytesAllocated -= buffer.allocated;
    // Freeing throws nothing at whoever is done with a value: a lost device says so at its next call.
    this.#cuda.attempt('cuCtxSetCurrent', [this.#context]);
    this.#cuda.attempt('cuMemFreeAsync', [address, this.#stream]);
  }

  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView): void {
    this.#queue.guard(() => {
      const target = this.#range('write', buffer, byteOffset, data.byteLength);
      const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      this.#staging.write(target, source, `writing "${buffer.label}"`);
    });
  }

  async read(buffer: DeviceBuffer, byteOffset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const about = `reading "${buffer.label}"`;
    const pending = this.#queue.guard(() => {
      const source = this.#range('read', buffer, byteOffset, bytes);
      return bytes === 0 ? undefined : this.#staging.read(source, bytes, about);
    });
    if (pending === undefined) return new Uint8Array(0);
    try {
      await this.#queue.wait(pending.event, about);
      return this.#queue.guard(() => pending.take());
    } catch (error) {
      if (!this.#disposed) {
        this.#cuda.attempt('cuCtxSetCurrent', [this.#context]);
        pending.abandon();
      }
      throw error;
    }
  }

  copy(from: DeviceBuffer, fromByte: number, to: DeviceBuffer, toByte: number, bytes: number): void {
    this.#queue.guard(() => {
      const source = this.#range('copy from', from, fromByte, bytes);
      const target = this.#range('copy to', to, toByte, bytes);
      if (bytes > 0) this.#cuda.call('cuMemcpyDtoDAsync_v2', [target, source, bytes, this.#stream], `"${from.label}" to "${to.label}"`);
    });
  }

  async build(launches: readonly PlacedLaunch[]): Promise<Executable> {
    this.#queue.guard(() => undefined);
    const executable = await buildExecutable(this.#host, launches);
    this.#executables.add(executable);
    return executable;
  }

  async synchronize(): Promise<void> {
    const event = this.#queue.guard(() => this.#staging.event('synchronize()'));
    try {
      this.#queue.guard(() => this.#cuda.call('cuEventRecord', [event, this.#stream]));
      await this.#queue.wait(event, 'synchronize()');
    } finally {
      this.#staging.dropEvent(event);
    }
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Waits for what is under way, then gives everything back. */
  dispose(): void {
    if (this.#disposed) return;
    const cuda = this.#cuda;
    cuda.attempt('cuCtxSetCurrent', [this.#context]);
    cuda.attempt('cuStreamSynchronize', [this.#stream]);
    for (const executable of [...this.#executables]) executable.dispose();
    for (const buffer of [...this.#buffers]) buffer.dispose();
    this.#disposed = true;
    this.#queue.dispose();
    this.#staging.dispose();
    this.#kernels.dispose();
    this.#host.block.dispose();
    cuda.attempt('cuStreamSynchronize', [this.#stream]);
    this.#pool.dispose();
    cuda.attempt('cuStreamDestroy_v2', [this.#stream]);
    cuda.attempt('cuDevicePrimaryCtxRelease_v2', [this.gpu.device]);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
