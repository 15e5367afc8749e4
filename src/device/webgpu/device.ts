/** The WebGPU device: memory, copies and programs on one adapter. */
import { DeviceError, OutOfMemoryError } from '../../errors.ts';
import { shaders, webgpuLowerings } from '../../generated/sources.ts';
import { trialsOn } from '../trials.ts';
import { Tuner } from '../tuner.ts';
import type { Tuning } from '../tuner.ts';
import type {
  DType, Device, DeviceBuffer, DeviceCounters, Executable, GpuFeatures, Placed, PlacedLaunch, Scratch, WebgpuLaunch,
} from '../types.ts';
import type { FoundAdapter } from './adapter.ts';
import { BufferUsage } from './constants.ts';
import { buildExecutable } from './encode.ts';
import type { ExecutableHost } from './executable.ts';
import { BINDING_ALIGNMENT } from './launch.ts';
import { Pipelines } from './pipelines.ts';
import type { Probed } from './probe.ts';
import { Staging } from './staging.ts';
import { Textures } from './textures.ts';
import { trialHost } from './trials.ts';
import { tuningTable } from './tuning-table.ts';

const STORAGE_USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

class WebgpuBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly label: string;
  readonly owner: WebgpuDevice;
  gpu: GPUBuffer | undefined;

  constructor(owner: WebgpuDevice, gpu: GPUBuffer, bytes: number, label: string) {
    this.owner = owner;
    this.gpu = gpu;
    this.bytes = bytes;
    this.label = label;
  }

  dispose(): void {
    if (this.gpu === undefined) return;
    this.owner.release(this.gpu);
    this.gpu = undefined;
  }
}

export class WebgpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly name: string;
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
  readonly counters: DeviceCounters = {
    allocations: 0, bytesAllocated: 0, textureBytes: 0, peakBytes: 0, launches: 0, compilations: 0, runs: 0, encodeMs: 0,
  };
  readonly features: GpuFeatures;
  readonly memory: Device['memory'];
  /** Computes on the CPU. */
  readonly software: boolean;
  /** Why this adapter, and what was found of its subgroups and matrix units: `a hardware adapter; no matrix units: ...`. */
  readonly why: string;
  /** What was found or missed before this adapter, and not taken. */
  readonly refused: readonly string[];

  readonly #device: GPUDevice;
  /** Adapters and devices die with their instance, so it is held. */
  readonly #found: FoundAdapter;
  readonly #pipelines: Pipelines;
  readonly #staging: Staging;
  readonly #host: ExecutableHost;
  #failure: DeviceError | undefined;
  #lost: DeviceError | undefined;
  #disposed = false;
  #tail: Promise<unknown> = Promise.resolve();

  /** Chooses among the kernels' variants. */
  readonly tuner: Tuner<WebgpuLaunch>;

  constructor(device: GPUDevice, found: FoundAdapter, softwareKernels: boolean, tuning: Tuning, probed?: Probed) {
    this.#device = device;
    this.#found = found;
    this.software = found.software;
    this.name = `webgpu (${found.name}${found.software ? ', software' : ''})`;
    this.refused = found.refused;
    this.why = [found.why, ...(probed?.words ?? [])].join('; ');
    this.features = { hardware: !softwareKernels, ...probed?.features };
    const { matrices } = this.features;
    this.fingerprint = {
      kind: 'webgpu', adapter: found.name, driver: found.driver, dawn: found.implementation, kernels: shaders, lowerings: webgpuLowerings,
      ...(matrices === undefined ? {} : { matrices: `${matrices.M}x${matrices.N}x${matrices.K}` }),
    };
    const maxBuffer = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
    this.memory = { arena: 'slots', alignment: BINDING_ALIGNMENT, maxBuffer };
    this.#pipelines = new Pipelines(device, this.counters);
    this.#staging = new Staging(device, this.counters);
    // What was the fastest of one version's kernels says nothing about another's.
    const adapter = [found.name, found.driver, found.implementation, `kernels ${shaders}`].join(' | ');
    const shipped = tuningTable.find((entry) => entry.adapter.test(adapter))?.choices;
    this.tuner = new Tuner(tuning, adapter, trialsOn(() => trialHost(this, this.#host)), shipped);
    this.#host = {
      tuner: this.tuner,
      device,
      software: found.software,
      softwareKernels,
      timestamps: device.features.has('timestamp-query'),
      pipelines: this.#pipelines,
      textures: new Textures(device, this.counters),
      counters: this.counters,
      limits: { binding: maxBuffer, storageBuffers: device.limits.maxStorageBuffersPerShaderStage },
      bufferOf: (v) => this.#gpuBuffer((v as Placed | Scratch).buffer),
      createBuffer: (bytes, label, usage) => this.#create(bytes, label, usage),
      releaseBuffer: (buffer) => this.release(buffer),
      check: () => this.#check(),
      inOrder: (work) => this.#inOrder(work),
    };
    void device.lost.then((info) => {
      if (this.#disposed) return;
      this.#lost = new DeviceError(`${this.name} was lost: ${info.message || info.reason || 'no reason given'}`);
    });
    device.onuncapturederror = (event) => {
      event.preventDefault?.();
      const { message } = event.error;
      const memory = event.error.constructor.name === 'GPUOutOfMemoryError';
      this.#failure ??= memory ? new OutOfMemoryError(`${this.name} is out of memory with ${this.counters.bytesAllocated} bytes ` +
        `in use: ${message}`) : new DeviceError(`${this.name}: ${message}`);
    };
  }

  /** Throws what happened since the last look. */
  #check(): void {
    if (this.#disposed) throw new DeviceError(`${this.name} was disposed`);
    if (this.#lost !== undefined) throw this.#lost;
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #create(bytes: number, label: string, usage: number): GPUBuffer {
    const { maxBufferSize } = this.#device.limits;
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const inUse = `${this.counters.bytesAllocated} bytes are in use`;
    if (!(size <= maxBufferSize)) {
      throw new OutOfMemoryError(`${this.name} cannot allocate ${bytes} bytes for ${label}: ` +
        `a buffer holds ${maxBufferSize} at most; ${inUse}`);
    }
    let buffer: GPUBuffer;
    try {
      buffer = this.#device.createBuffer({ label, size, usage });
    } catch (cause) {
      throw new OutOfMemoryError(`${this.name} cannot allocate ${bytes} bytes for ${label}; ${inUse}`, { cause });
    }
    const c = this.counters;
    c.allocations++;
    c.bytesAllocated += size;
    c.peakBytes = Math.max(c.peakBytes, c.bytesAllocated);
    return buffer;
  }

  /** Frees a buffer and takes it off the count. */
  release(buffer: GPUBuffer): void {
    this.counters.bytesAllocated -= buffer.size;
    buffer.destroy();
  }

  #gpuBuffer(buffer: DeviceBuffer): GPUBuffer {
    if (!(buffer instanceof WebgpuBuffer) || buffer.owner !== this) {
      throw new DeviceError(`buffer "${buffer.label}" belongs to another device than ${this.name}`);
    }
    if (buffer.gpu === undefined) throw new DeviceError(`buffer "${buffer.label}" was disposed`);
    return buffer.gpu;
  }

  supports(dtype: DType): boolean {
    return dtype === 'float16' ? this.half === 'float16' : dtype !== 'bfloat16';
  }

  get half(): 'float16' | undefined {
    return this.#device.features.has('shader-f16') ? 'float16' : undefined;
  }

  allocate(bytes: number, label: string): DeviceBuffer {
    this.#check();
    return new WebgpuBuffer(this, this.#create(bytes, label, STORAGE_USAGE), bytes, label);
  }

  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView): void {
    this.#check();
    const gpu = this.#gpuBuffer(buffer);
    checkRange('write', buffer, byteOffset, data.byteLength);
    if (byteOffset % 4 !== 0) {
      throw new DeviceError(`write to "${buffer.label}" at byte ${byteOffset}: WebGPU writes whole words, at multiples of 4`);
    }
    const whole = data.byteLength - (data.byteLength % 4);
    let source = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    // Dawn in Node refuses shared memory, browsers take it.
    if (!(data.buffer instanceof ArrayBuffer)) source = source.slice();
    if (whole > 0) this.#device.queue.writeBuffer(gpu, byteOffset, source, 0, whole);
    if (whole < data.byteLength) {
      // Values start at multiples of 256 bytes, so what the last word overwrites belongs to nobody.
      const last = new Uint8Array(4);
      last.set(source.subarray(whole));
      this.#device.queue.writeBuffer(gpu, byteOffset + whole, last);
    }
  }

  async read(buffer: DeviceBuffer, byteOffset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange('read', buffer, byteOffset, bytes);
    return this.#inOrder(async () => {
      this.#check();
      const gpu = this.#gpuBuffer(buffer);
      try {
        const data = await this.#staging.read(gpu, byteOffset, bytes);
        this.#check();
        return data;
      } catch (cause) {
        this.#check();
        throw new DeviceError(`reading ${bytes} bytes of "${buffer.label}" failed: ${(cause as Error).message}`, { cause });
      }
    });
  }

  copy(from: DeviceBuffer, fromByte: number, to: DeviceBuffer, toByte: number, bytes: number): void {
    this.#check();
    checkRange('copy from', from, fromByte, bytes);
    checkRange('copy to', to, toByte, bytes);
    if (fromByte % 4 !== 0 || toByte % 4 !== 0) {
      throw new DeviceError(`copy of "${from.label}" at byte ${fromByte} to "${to.label}" at byte ${toByte}: not at multiples of 4`);
    }
    const [source, target] = [this.#gpuBuffer(from), this.#gpuBuffer(to)];
    const whole = Math.ceil(bytes / 4) * 4;
    const encoder = this.#device.createCommandEncoder();
    if (source !== target) {
      encoder.copyBufferToBuffer(source, fromByte, target, toByte, whole);
      this.#device.queue.submit([encoder.finish()]);
      return;
    }
    const between = this.#create(whole, 'copy within a buffer', STORAGE_USAGE);
    encoder.copyBufferToBuffer(source, fromByte, between, 0, whole);
    encoder.copyBufferToBuffer(between, 0, target, toByte, whole);
    this.#device.queue.submit([encoder.finish()]);
    this.release(between);
  }

  async build(launches: readonly PlacedLaunch[]): Promise<Executable> {
    this.#check();
    return buildExecutable(this.#host, launches);
  }

  async synchronize(): Promise<void> {
    await this.#inOrder(async () => {
      this.#check();
      await this.#device.queue.onSubmittedWorkDone();
      this.#check();
    });
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#staging.dispose();
    this.#device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The adapter's own name. */
  get adapterName(): string {
    return this.#found.name;
  }
}

function checkRange(what: string, buffer: DeviceBuffer, start: number, bytes: number): void {
  if (!(start >= 0 && bytes >= 0 && start + bytes <= buffer.bytes)) {
    throw new DeviceError(`${what} "${buffer.label}": bytes ${start} to ${start + bytes} of ${buffer.bytes}`);
  }
}
