/** Replay of encoded launches: each run encodes one compute pass a segment, or one between copies into textures. */
import { DeviceError } from '../../errors.ts';
import type { Tuner } from '../tuner.ts';
import type { DeviceCounters, Executable, Placed, PlacedLaunch, Scratch, WebgpuLaunch } from '../types.ts';
import { BufferUsage, MAP_MODE_READ } from './constants.ts';
import { TEXTURE_WIDTH } from './launch.ts';
import type { Pipelines } from './pipelines.ts';
import { describeLaunch } from './pipelines.ts';
import { scoped } from './scopes.ts';
import { Segments } from './segments.ts';
import type { Textures } from './textures.ts';

/** What a device lends its executables. */
export interface ExecutableHost {
  readonly device: GPUDevice;
  /** The adapter blocks JavaScript while it computes. */
  readonly software: boolean;
  /** Launches for software adapters are taken, else those for hardware. */
  readonly softwareKernels: boolean;
  readonly timestamps: boolean;
  readonly pipelines: Pipelines;
  readonly textures: Textures;
  readonly tuner: Tuner<WebgpuLaunch>;
  readonly counters: DeviceCounters;
  readonly limits: { readonly binding: number; readonly storageBuffers: number };
  bufferOf(value: Placed | Scratch): GPUBuffer;
  createBuffer(bytes: number, label: string, usage: number): GPUBuffer;
  releaseBuffer(buffer: GPUBuffer): void;
  /** Throws what went wrong since the last look: a lost device, an error outside every scope. */
  check(): void;
  /** Runs one piece of work after those before it. */
  inOrder<T>(work: () => Promise<T>): Promise<T>;
}

export interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly placed: PlacedLaunch;
  /** Values that are copied into textures before the launch. */
  readonly copies: readonly TextureCopy[];
}

export interface TextureCopy {
  readonly buffer: GPUBuffer;
  readonly start: number;
  readonly texels: number;
  readonly texture: GPUTexture;
}

/** Lets timers, signals and other promises have their turn. */
const turn: () => Promise<void> = typeof setImmediate === 'function' ?
  () => new Promise((resolve) => setImmediate(resolve)) : () => new Promise((resolve) => setTimeout(resolve, 0));

export class WebgpuExecutable implements Executable {
  readonly bytes: number;
  readonly #host: ExecutableHost;
  readonly #launches: readonly Encoded[];
  readonly #release: () => void;
  /** On software adapters; elsewhere a run is one. */
  readonly #segments: Segments | undefined;
  #checked = false;
  #disposed = false;

  /** @param bytes what it holds of the device's memory, but for the textures that it shares with other executables */
  constructor(host: ExecutableHost, launches: readonly Encoded[], bytes: number, release: () => void) {
    this.#host = host;
    this.bytes = bytes;
    this.#launches = launches;
    this.#release = release;
    this.#segments = host.software ? new Segments(launches.map((e) => e.placed.flop)) : undefined;
  }

  get #ends(): readonly number[] {
    return this.#segments?.ends ?? [this.#launches.length];
  }

  async run(): Promise<void> {
    this.#usable('run');
    await this.#host.inOrder(() => this.#run());
  }

  async #run(): Promise<void> {
    const host = this.#host;
    host.check();
    host.counters.runs++;
    host.counters.launches += this.#launches.length;
    if (!this.#checked) {
      await this.#firstRun();
      return;
    }
    const measured: number[] = [];
    let start = 0;
    for (const end of this.#ends) {
      if (start > 0 && host.software) await turn();
      const before = performance.now();
      this.#submit(start, end);
      measured.push(performance.now() - before);
      start = end;
    }
    this.#segments?.took(measured);
  }

  /** Segment by segment in error scopes: a pipeline that failed to compile would otherwise run in no time at all. */
  async #firstRun(): Promise<void> {
    const host = this.#host;
    const measured: number[] = [];
    let start = 0;
    for (const end of this.#ends) {
      const before = performance.now();
      const error = await scoped(host.device, () => this.#submit(start, end));
      measured.push(performance.now() - before);
      if (error !== undefined) {
        const names = this.#launches.slice(start, end).map((e) => describeLaunch(e.placed));
        const shown = names.length > 4 ? [...names.slice(0, 4), `${names.length - 4} more`] : names;
        throw new DeviceError(`submit failed for ${shown.join(', ')}: ${error}`);
      }
      start = end;
      if (host.software) await turn();
    }
    host.check();
    this.#checked = true;
  }

  #submit(start: number, end: number): void {
    const { device, counters } = this.#host;
    const began = performance.now();
    const encoder = device.createCommandEncoder();
    this.#encode(encoder, start, end);
    const commands = encoder.finish();
    counters.encodeMs += performance.now() - began;
    device.queue.submit([commands]);
  }

  /** Launches `start` to `end` in one pass, or one between copies into textures; timestamps are for one pass. */
  #encode(encoder: GPUCommandEncoder, start: number, end: number, timestampWrites?: GPUComputePassTimestampWrites): void {
    let pass: GPUComputePassEncoder | undefined;
    for (let i = start; i < end; i++) {
      if (this.#launches[i].copies.length > 0) {
        pass?.end();
        pass = undefined;
        copyToTextures(encoder, this.#launches[i]);
      }
      pass ??= encoder.beginComputePass(timestampWrites && { timestampWrites });
      dispatch(pass, this.#launches[i]);
    }
    pass?.end();
  }

  /**
   * Milliseconds that one run takes, in one piece: between timestamps where the device has them, else by the clock until it is done. After
   * a run.
   */
  time(): Promise<number> {
    const { device, timestamps, check, inOrder } = this.#host;
    return inOrder(async () => {
      check();
      await device.queue.onSubmittedWorkDone();
      const before = performance.now();
      const all = this.#launches.length;
      let ms = 0;
      if (timestamps && this.#launches.every(({ copies }) => copies.length === 0)) {
        [ms] = await this.#timestamps(1, (encoder, writes) => this.#encode(encoder, 0, all, writes(0)));
      } else {
        this.#submit(0, all);
        await device.queue.onSubmittedWorkDone();
      }
      check();
      // Timestamps come in steps of 0.1 ms, and some drivers' are of no use.
      return ms > 0 ? ms : performance.now() - before;
    });
  }

  async profile(): Promise<{ label: string; node: string; ms: number }[]> {
    this.#usable('profile');
    return this.#host.inOrder(async () => {
      this.#host.check();
      const rows = this.#host.timestamps ? await this.#profileByTimestamps() : await this.#profileBySubmits();
      this.#host.check();
      return rows;
    });
  }

  async #profileBySubmits(): Promise<{ label: string; node: string; ms: number }[]> {
    const rows: { label: string; node: string; ms: number }[] = [];
    await this.#host.device.queue.onSubmittedWorkDone();
    for (let i = 0; i < this.#launches.length; i++) {
      const before = performance.now();
      this.#submit(i, i + 1);
      await this.#host.device.queue.onSubmittedWorkDone();
      rows.push({ ...this.#row(i), ms: performance.now() - before });
    }
    return rows;
  }

  async #profileByTimestamps(): Promise<{ label: string; node: string; ms: number }[]> {
    const rows: { label: string; node: string; ms: number }[] = [];
    const most = 2048;
    for (let start = 0; start < this.#launches.length; start += most) {
      const count = Math.min(most, this.#launches.length - start);
      const times = await this.#timestamps(count, (encoder, writes) => {
        for (let i = 0; i < count; i++) this.#encode(encoder, start + i, start + i + 1, writes(i));
      });
      times.forEach((ms, i) => rows.push({ ...this.#row(start + i), ms }));
    }
    return rows;
  }

  /** Submits what `encode` encodes, `count` passes with the timestamps of `writes(i)`, and returns how many milliseconds each took. */
  async #timestamps(
    count: number, encode: (encoder: GPUCommandEncoder, writes: (i: number) => GPUComputePassTimestampWrites) => void,
  ): Promise<number[]> {
    const { device } = this.#host;
    const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * count });
    const resolved = this.#host.createBuffer(16 * count, 'timestamps', BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC);
    const staging = this.#host.createBuffer(16 * count, 'timestamps', BufferUsage.MAP_READ | BufferUsage.COPY_DST);
    try {
      const encoder = device.createCommandEncoder();
      encode(encoder, (i) => ({ querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 }));
      encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * count);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_MODE_READ);
      const times = new BigUint64Array(staging.getMappedRange().slice(0));
      return Array.from({ length: count }, (_, i) => Number(times[2 * i + 1] - times[2 * i]) / 1e6);
    } finally {
      this.#host.releaseBuffer(staging);
      this.#host.releaseBuffer(resolved);
      querySet.destroy();
    }
  }

  #row(i: number): { label: string; node: string } {
    const { launch, node } = this.#launches[i].placed;
    return { label: launch.label ?? (launch as WebgpuLaunch).shader, node };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  #usable(method: string): void {
    if (this.#disposed) throw new DeviceError(`${method}() of an executable that was disposed`);
  }
}

function copyToTextures(encoder: GPUCommandEncoder, { copies }: Encoded): void {
  const bytesPerRow = 16 * TEXTURE_WIDTH;
  for (const { buffer, start, texels, texture } of copies) {
    const rows = Math.floor(texels / TEXTURE_WIDTH);
    const rest = texels - rows * TEXTURE_WIDTH;
    if (rows > 0) encoder.copyBufferToTexture({ buffer, offset: start, bytesPerRow }, { texture }, [TEXTURE_WIDTH, rows]);
    if (rest > 0) {
      encoder.copyBufferToTexture({ buffer, offset: start + rows * bytesPerRow, bytesPerRow }, { texture, origin: [0, rows] }, [rest, 1]);
    }
  }
}

function dispatch(pass: GPUComputePassEncoder, e: Encoded): void {
  pass.setPipeline(e.pipeline);
  pass.setBindGroup(0, e.group);
  pass.dispatchWorkgroups(e.grid[0], e.grid[1], e.grid[2]);
}
