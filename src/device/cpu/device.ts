/**
 * The cpu device: WASM SIMD kernels over one memory that all threads share.
 *
 * Launches are encoded once into that memory (`build`); a run only tells the workers where they lie. Work is done in the order
 * in which it was submitted. While a run is pending, writes, copies and releases wait for it in a queue; else they happen at once.
 */
import { DeviceError } from '../../errors.ts';
import { cpuLowerings } from '../../generated/sources.ts';
import {
  bytesPerElement, type CpuArg, type CpuLaunch, type DType, type Device, type DeviceBuffer, type DeviceCounters, type Executable,
  isHalfType, type PlacedLaunch,
} from '../types.ts';
import { Allocator } from './allocator.ts';
import { ALIGNMENT, COMMAND_BYTES, CONTROL_ADDRESS, control, HEAP_START, notKernels, SCRATCH_BYTES } from './layout.ts';
import { availableThreads, enableRelaxedSimd, loadModule } from './module.ts';
import { canShareMemory, startInline, startPool, type Pool, type Walk } from './worker.ts';

export interface CpuOptions {
  /** Worker threads; default: as many as the machine or its control group gives. The results do not depend on it. */
  readonly threads?: number;
  /**
   * True: the relaxed-SIMD kernels (fused multiply-add), switching V8's flag on where Node needs it; throws where there are none.
   * False: the plain ones. Default: relaxed where they validate as things are.
   */
  readonly relaxedSimd?: boolean;
  /**
   * False: no worker threads, the calling thread computes, in slices between which it does other work. Default: workers, but in pages
   * that are not cross-origin isolated, which cannot share memory with them. With false, `threads` means nothing.
   */
  readonly workers?: boolean;
}

const PAGE = 65536;
const MAX_THREADS = 64;

class CpuBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly label: string;
  readonly address: number;
  readonly device: CpuDevice;
  disposed = false;

  constructor(device: CpuDevice, address: number, bytes: number, label: string) {
    this.device = device;
    this.address = address;
    this.bytes = bytes;
    this.label = label;
  }

  dispose(): void {
    this.device.release(this);
  }
}

/**
 * Makes a cpu device.
 * @throws OptionError for a thread count that is no integer from 1 to 64
 * @throws DeviceError where WebAssembly or the SIMD asked for is missing
 */
export async function cpu(options: CpuOptions = {}): Promise<Device> {
  const threads = Math.min(MAX_THREADS, await availableThreads(options.threads));
  if (options.relaxedSimd === true) await enableRelaxedSimd();
  const { module, relaxed, hash } = await loadModule(options.relaxedSimd);
  const device = new CpuDevice(module, relaxed, hash, (options.workers ?? canShareMemory()) ? threads : 0);
  await device.start();
  return device;
}

/** Address space that the system will reserve: 4 GiB, less where it refuses. */
function makeMemory(): { memory: WebAssembly.Memory; limit: number } {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      const memory = new WebAssembly.Memory({ initial: 16, maximum, shared: true });
      // Addresses are 32-bit words: the last page is left out, so that one past the end is still an address.
      return { memory, limit: (maximum - 1) * PAGE };
    } catch (error) {
      if (maximum <= 1024) throw new DeviceError('cpu device: no WebAssembly memory could be made', { cause: error });
    }
  }
}

class CpuDevice implements Device {
  readonly kind = 'cpu' as const;
  readonly name: string;
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
  readonly counters: DeviceCounters = {
    allocations: 0, bytesAllocated: 0, textureBytes: 0, peakBytes: 0, launches: 0, compilations: 0, runs: 0, encodeMs: 0,
  };
  readonly memory: Device['memory'];
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #allocator: Allocator;
  /** 0: no workers, this thread walks. */
  readonly #threads: number;
  readonly #kernels = new Map<string, number>();
  #bytes: Uint8Array;
  #pool: Pool | undefined;
  /** Work that waits for the run in progress; undefined when nothing is in progress. */
  #queue: (() => void | Promise<void>)[] | undefined;
  #disposed = false;
  /** Why the device can no longer be used. */
  #lost: Error | undefined;

  constructor(module: WebAssembly.Module, relaxed: boolean, hash: string, threads: number) {
    this.#module = module;
    this.#threads = threads;
    const made = makeMemory();
    this.#memory = made.memory;
    this.#bytes = new Uint8Array(made.memory.buffer);
    this.#allocator = new Allocator(HEAP_START, made.memory.buffer.byteLength - PAGE, made.limit, (end) => this.#grow(end));
    this.memory = { arena: 'slab', alignment: ALIGNMENT, maxBuffer: this.#allocator.capacity };
    const count = threads === 0 ? 'no workers' : `${threads} thread${threads === 1 ? '' : 's'}`;
    this.name = `cpu (${count}, ${relaxed ? 'relaxed SIMD' : 'SIMD'})`;
    this.fingerprint = { kind: 'cpu', relaxedSimd: relaxed, kernels: hash, lowerings: cpuLowerings };
    WebAssembly.Module.exports(module).filter((e) => e.kind === 'function' && !notKernels.has(e.name))
      .map((e) => e.name).sort().forEach((name, i) => this.#kernels.set(name, i));
  }

  async start(): Promise<void> {
    const names = [...this.#kernels.keys()];
    const scratch = Array.from({ length: Math.max(1, this.#threads) },
      () => this.#allocator.allocate(SCRATCH_BYTES, 'thread scratch'));
    this.#pool = this.#threads === 0
      ? startInline(this.#module, this.#memory, names, scratch[0])
      : await startPool(this.#module, this.#memory, names, scratch);
    this.counters.compilations++;
  }

  #grow(end: number): void {
    // One page more than is handed out: a kernel may read some bytes past the end of a value, which it then does not use.
    const need = Math.ceil((end + PAGE - this.#memory.buffer.byteLength) / PAGE);
    if (need > 0) this.#memory.grow(need);
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  #check(): void {
    if (this.#disposed) throw new DeviceError(`${this.name}: used after dispose()`);
    if (this.#lost) throw this.#lost;
  }

  #own(buffer: DeviceBuffer, what: string): CpuBuffer {
    if (!(buffer instanceof CpuBuffer) || buffer.device !== this) {
      throw new DeviceError(`${this.name}: ${what} got buffer "${buffer.label}" of another device`);
    }
    if (buffer.disposed) throw new DeviceError(`${this.name}: ${what} got buffer "${buffer.label}", which is disposed`);
    return buffer;
  }

  #range(buffer: CpuBuffer, offset: number, bytes: number, what: string): number {
    if (offset < 0 || bytes < 0 || offset + bytes > buffer.bytes) {
      throw new DeviceError(`${this.name}: ${what} of bytes ${offset} to ${offset + bytes} of buffer "${buffer.label}", `
        + `which has ${buffer.bytes}`);
    }
    return buffer.address + offset;
  }

  /** Does the work now where nothing is pending, else after all that was submitted before. */
  #submit(work: () => void | Promise<void>): void {
    if (this.#queue !== undefined) {
      this.#queue.push(work);
      return;
    }
    const pending = work();
    if (pending === undefined) return;
    this.#queue = [];
    void this.#drain(pending);
  }

  async #drain(first: Promise<void>): Promise<void> {
    // Each piece of work hands its own failure to whoever waits for it; none may stop those after it.
    await first.catch(() => {});
    const queue = this.#queue!;
    for (let i = 0; i < queue.length; i++) {
      try {
        await queue[i]();
      } catch {
        continue;
      }
    }
    this.#queue = undefined;
  }

  /** Like `#submit`, with a promise of the result; what still waits when the device is lost or disposed of is rejected. */
  #submitAsync<T>(work: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#submit(() => {
        try {
          if (this.#disposed) throw new DeviceError(`${this.name}: disposed while work was pending`);
          if (this.#lost) throw this.#lost;
          const result = work();
          if (result instanceof Promise) return result.then(resolve, reject);
          resolve(result);
        } catch (error) {
          reject(error as Error);
        }
        return undefined;
      });
    });
  }

  supports(dtype: DType): boolean {
    return !isHalfType(dtype);
  }

  allocate(bytes: number, label: string): DeviceBuffer {
    this.#check();
    const fresh = this.#allocator.fresh;
    const address = this.#allocator.allocate(bytes, label);
    const size = Allocator.round(bytes);
    // Memory that was never handed out is zero already. Releases wait for pending runs, so nobody uses the rest.
    if (address < fresh) this.#bytes.fill(0, address, Math.min(address + size, fresh));
    this.counters.allocations++;
    this.counters.bytesAllocated += size;
    this.counters.peakBytes = Math.max(this.counters.peakBytes, this.counters.bytesAllocated);
    return new CpuBuffer(this, address, bytes, label);
  }

  release(buffer: CpuBuffer): void {
    if (buffer.disposed || this.#disposed) return;
    buffer.disposed = true;
    this.counters.bytesAllocated -= Allocator.round(buffer.bytes);
    this.#submit(() => this.#allocator.release(buffer.address, buffer.bytes));
  }

  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView): void {
    this.#check();
    const address = this.#range(this.#own(buffer, 'write'), byteOffset, data.byteLength, 'write');
    let bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (this.#queue !== undefined) bytes = bytes.slice();
    this.#submit(() => this.#bytes.set(bytes, address));
  }

  async read(buffer: DeviceBuffer, byteOffset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    const address = this.#range(this.#own(buffer, 'read'), byteOffset, bytes, 'read');
    return this.#submitAsync(() => {
      const result = new Uint8Array(bytes);
      result.set(this.#bytes.subarray(address, address + bytes));
      return result;
    });
  }

  copy(from: DeviceBuffer, fromByte: number, to: DeviceBuffer, toByte: number, bytes: number): void {
    this.#check();
    const source = this.#range(this.#own(from, 'copy'), fromByte, bytes, 'copy');
    const target = this.#range(this.#own(to, 'copy'), toByte, bytes, 'copy');
    this.#submit(() => void this.#bytes.copyWithin(target, source, source + bytes));
  }

  async build(launches: readonly PlacedLaunch[]): Promise<Executable> {
    this.#check();
    const words: number[] = [];
    const starts = launches.map(({ launch, node, site }) => {
      const start = words.length;
      if (!('tiles' in launch)) throw new DeviceError(`${this.name}: ${node} was lowered for another device`);
      if (!this.#kernels.has(launch.kernel)) {
        throw new DeviceError(`${this.name}: no kernel "${launch.kernel}" (${node}${site ? `, ${site}` : ''})`);
      }
      launch.args.forEach((arg, i) => words.push(this.#word(arg, launch, i, node)));
      return start;
    });
    const argsOffset = launches.length * COMMAND_BYTES;
    const bytes = Math.max(4, argsOffset + words.length * 4);
    const address = this.#allocator.allocate(bytes, 'commands');
    const view = new Int32Array(this.#memory.buffer, address, bytes >> 2);
    launches.forEach(({ launch }, i) => {
      const { kernel, tiles } = launch as CpuLaunch;
      view[i * 4] = this.#pool!.firstKernel + this.#kernels.get(kernel)!;
      view[i * 4 + 1] = tiles;
      view[i * 4 + 2] = address + argsOffset + starts[i] * 4;
      view[i * 4 + 3] = 0;
    });
    view.set(words, argsOffset >> 2);
    this.counters.compilations++;
    this.counters.bytesAllocated += Allocator.round(bytes);
    this.counters.peakBytes = Math.max(this.counters.peakBytes, this.counters.bytesAllocated);
    return new CpuExecutable(this, launches, address, Allocator.round(bytes), () => {
      if (this.#disposed) return;
      this.counters.bytesAllocated -= Allocator.round(bytes);
      this.#submit(() => this.#allocator.release(address, bytes));
    });
  }

  /** The 32-bit word that a kernel reads for an argument. */
  #word(arg: CpuArg, launch: CpuLaunch, index: number, node: string): number {
    if (typeof arg === 'number') {
      if (!Number.isInteger(arg) || arg < -0x80000000 || arg > 0xffffffff) {
        throw new DeviceError(`${this.name}: argument ${index} of kernel "${launch.kernel}" (${node}) is ${arg}, not a 32-bit integer`);
      }
      return arg | 0;
    }
    if ('f32' in arg) {
      floatWord[0] = arg.f32;
      return integerWord[0];
    }
    const place = arg.address;
    const buffer = this.#own(place.buffer, `kernel "${launch.kernel}" (${node})`);
    const offset = 'byteOffset' in place ? place.byteOffset : place.offset * bytesPerElement[place.dtype];
    return (buffer.address + offset) | 0;
  }

  /** Runs launches of an executable; `times` receives (launches + 1) moments in milliseconds. */
  execute(executable: CpuExecutable, times?: Float64Array): Promise<void> {
    this.#check();
    const count = executable.launches.length;
    return this.#submitAsync(async () => {
      this.counters.runs++;
      this.counters.launches += count;
      if (count === 0) return;
      const timesBytes = (count + 1) * 8;
      const timesAddress = times ? this.#allocator.allocate(timesBytes, 'launch times') : 0;
      try {
        await this.#walk({ commands: executable.address, count, times: timesAddress }, executable);
        if (times) times.set(new Float64Array(this.#memory.buffer, timesAddress, count + 1));
      } finally {
        if (times) this.#allocator.release(timesAddress, timesBytes);
      }
    });
  }

  async #walk(run: Walk, executable: CpuExecutable): Promise<void> {
    try {
      await this.#pool!.walk(run);
    } catch (error) {
      if (this.#disposed) throw error;
      const at = new Int32Array(this.#memory.buffer)[(CONTROL_ADDRESS + control.current) >> 2];
      const placed = executable.launches[at];
      const kernel = placed === undefined ? '' : ` in kernel "${(placed.launch as CpuLaunch).kernel}" of ${placed.node}`
        + (placed.site ? ` (${placed.site})` : '');
      this.#lost = new DeviceError(`${this.name} was lost${kernel}: ${(error as Error).message}`, { cause: error });
      throw this.#lost;
    }
  }

  async synchronize(): Promise<void> {
    this.#check();
    await this.#submitAsync(() => {});
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#pool?.terminate();
    this.#bytes = new Uint8Array(0);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const floatWord = new Float32Array(1);
const integerWord = new Int32Array(floatWord.buffer);

class CpuExecutable implements Executable {
  readonly launches: readonly PlacedLaunch[];
  readonly address: number;
  readonly bytes: number;
  readonly #device: CpuDevice;
  #release: (() => void) | undefined;

  constructor(device: CpuDevice, launches: readonly PlacedLaunch[], address: number, bytes: number, release: () => void) {
    this.#device = device;
    this.launches = launches;
    this.address = address;
    this.bytes = bytes;
    this.#release = release;
  }

  /** Resolves when the launches are done. */
  async run(): Promise<void> {
    this.#usable();
    await this.#device.execute(this);
  }

  async profile(): Promise<{ label: string; node: string; ms: number }[]> {
    this.#usable();
    const times = new Float64Array(this.launches.length + 1);
    await this.#device.execute(this, times);
    return this.launches.map(({ launch, node }, i) => ({
      label: launch.label ?? (launch as CpuLaunch).kernel, node, ms: times[i + 1] - times[i],
    }));
  }

  dispose(): void {
    this.#release?.();
    this.#release = undefined;
  }

  #usable(): void {
    if (this.#release === undefined) throw new DeviceError(`${this.#device.name}: an executable was run after dispose()`);
  }
}
