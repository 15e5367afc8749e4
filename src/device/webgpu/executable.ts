/** Launches encoded for replay: pipelines and bind groups are made once, each run encodes one compute pass a segment. */
import { DeviceError } from '../../errors.ts';
import type { DeviceCounters, Executable, Placed, PlacedLaunch, Scratch, WebgpuLaunch } from '../types.ts';
import { BufferUsage } from './constants.ts';
import { boundRange, TEXTURE_WIDTH } from './launch.ts';
import type { Pipelines } from './pipelines.ts';
import { describeLaunch } from './pipelines.ts';
import type { Textures } from './textures.ts';
import type { Tuner } from './tuner.ts';

/** Uniform blocks lie this far apart: the largest `minUniformBufferOffsetAlignment` that WebGPU allows an adapter. */
const SLOT = 256;

/** A software adapter blocks JavaScript while it computes, so its segments are kept about this long. */
const SEGMENT_MS = 50;

/** First guess of a software adapter's speed, by which the first run is cut; later runs are cut by what the first one took. */
const FIRST_GUESS_FLOP_PER_MS = 5e6;
const FIRST_GUESS_LAUNCH_MS = 0.2;

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
  readonly tuner: Tuner;
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

interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly placed: PlacedLaunch;
  /** Values that are copied into textures before the launch. */
  readonly copies: readonly TextureCopy[];
}

interface TextureCopy {
  readonly buffer: GPUBuffer;
  readonly start: number;
  readonly texels: number;
  readonly texture: GPUTexture;
}

export async function buildExecutable(host: ExecutableHost, launches: readonly PlacedLaunch[]): Promise<Executable> {
  const suitable = launches.filter((p) => {
    const only = (p.launch as WebgpuLaunch).adapter;
    return only === undefined || (only === 'software') === host.softwareKernels;
  });
  const chosen = await host.tuner.choose(suitable.map((p) => p.launch as WebgpuLaunch));
  const kept = suitable.map((p, i) => ({ ...p, launch: chosen[i] }));
  for (const placed of kept) checkLaunch(host, placed);
  const pipelines = await Promise.allSettled(kept.map((placed) => host.pipelines.get(placed)));
  for (const made of pipelines) if (made.status === 'rejected') throw made.reason;
  host.check();

  const { words, offsets } = packUniforms(kept);
  const uniforms = words.length === 0 ? undefined :
    host.createBuffer(words.byteLength, 'uniforms', BufferUsage.UNIFORM | BufferUsage.COPY_DST);
  if (uniforms !== undefined) host.device.queue.writeBuffer(uniforms, 0, words);
  const encoded: Encoded[] = [];
  const textures: GPUTexture[] = [];
  const release = (): void => {
    if (uniforms !== undefined) host.releaseBuffer(uniforms);
    for (const texture of textures) host.textures.release(texture);
  };
  try {
    takeTextures(host, kept, textures);
    const make = (i: number): void => {
      const made = (pipelines[i] as PromiseFulfilledResult<Awaited<ReturnType<Pipelines['get']>>>).value;
      const { group, copies } = bindGroup(host, kept[i], made.layout, uniforms, offsets[i], textures);
      encoded.push({ pipeline: made.pipeline, group, grid: (kept[i].launch as WebgpuLaunch).grid, placed: kept[i], copies });
    };
    const error = await scoped(host.device, () => kept.forEach((_, i) => make(i)));
    if (error !== undefined) {
      // One scope for all is cheap; which launch it was is asked only when there was an error.
      for (let i = 0; i < kept.length; i++) {
        const own = await scoped(host.device, () => make(i));
        if (own !== undefined) throw new DeviceError(`createBindGroup failed for ${describeLaunch(kept[i])}: ${own}`);
      }
      throw new DeviceError(`createBindGroup failed: ${error}`);
    }
  } catch (error) {
    release();
    throw error;
  }
  return new WebgpuExecutable(host, encoded, release);
}

/** Bytes of what a value binds, in whole vectors, so that the last element of a vec4 array is within its bounds. */
function wholeVectors(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

/** Texture `i` serves the i-th texture binding of every launch: launches run one after another, so all share it. */
function takeTextures(host: ExecutableHost, launches: readonly PlacedLaunch[], textures: GPUTexture[]): void {
  const rows: number[] = [];
  for (const { launch } of launches) {
    (launch as WebgpuLaunch).bindings.filter((b) => b.access === 'texture').forEach((b, slot) => {
      rows[slot] = Math.max(rows[slot] ?? 1, Math.ceil(wholeVectors(boundRange(b.value).bytes) / 16 / TEXTURE_WIDTH));
    });
  }
  rows.forEach((n, slot) => textures.push(host.textures.take(slot, n)));
}

/** Runs `work` in error scopes and returns the first error's words. */
async function scoped(device: GPUDevice, work: () => void): Promise<string | undefined> {
  const filters: GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];
  for (const filter of filters) device.pushErrorScope(filter);
  let popped: Promise<GPUError | null>[] = [];
  try {
    work();
  } finally {
    popped = filters.map(() => device.popErrorScope());
  }
  for (const error of await Promise.all(popped)) if (error !== null) return error.message;
  return undefined;
}

/** What WebGPU would refuse, told in our own terms and before anything is made. */
function checkLaunch(host: ExecutableHost, placed: PlacedLaunch): void {
  const { bindings, grid } = placed.launch as WebgpuLaunch;
  if (bindings.length > host.limits.storageBuffers) {
    throw new DeviceError(`${describeLaunch(placed)} binds ${bindings.length} buffers, the adapter takes ${host.limits.storageBuffers}`);
  }
  for (const n of grid) {
    if (!(n >= 1 && n <= 65535)) throw new DeviceError(`${describeLaunch(placed)} has a grid of ${grid.join(' x ')} workgroups`);
  }
  for (const b of bindings) {
    const { bytes } = boundRange(b.value);
    if (bytes > host.limits.binding) {
      const { binding } = host.limits;
      const what = 'shape' in b.value ? `a value of shape [${b.value.shape.join(', ')}]` : 'scratch memory';
      const first = 'shape' in b.value && b.value.shape.length > 1 ? b.value.shape[0] : 1;
      const fits = first > 1 ? `; at most ${Math.floor((first * binding) / bytes)} of ${first} along the first axis fit` : '';
      throw new DeviceError(`${describeLaunch(placed)} binds ${what}, ${bytes} bytes; the adapter's limit is ${binding}${fits}`);
    }
    const writes = b.access === 'write' || b.access === 'read-write';
    const clash = !writes ? undefined : bindings.find((o) => o !== b && o.access === 'read' &&
      o.value.buffer === b.value.buffer);
    if (clash !== undefined) throw new DeviceError(`${describeLaunch(placed)} reads and writes buffer "${b.value.buffer.label}"`);
  }
}

const asBits = new Float32Array(1);
const bits = new Uint32Array(asBits.buffer);

function packUniforms(launches: readonly PlacedLaunch[]): { words: Uint32Array<ArrayBuffer>; offsets: number[] } {
  const offsets: number[] = [];
  let total = 0;
  for (const { launch } of launches) {
    offsets.push(total);
    total += Math.max(1, Math.ceil(((launch as WebgpuLaunch).uniforms.length * 4) / SLOT)) * SLOT;
  }
  const words = new Uint32Array(total / 4);
  launches.forEach(({ launch }, i) => {
    (launch as WebgpuLaunch).uniforms.forEach((value, j) => {
      if (typeof value !== 'number') asBits[0] = value.f32;
      words[offsets[i] / 4 + j] = typeof value === 'number' ? value : bits[0];
    });
  });
  return { words, offsets };
}

function bindGroup(
  host: ExecutableHost, placed: PlacedLaunch, layout: GPUBindGroupLayout, uniforms: GPUBuffer | undefined, offset: number,
  textures: readonly GPUTexture[],
): { group: GPUBindGroup; copies: TextureCopy[] } {
  const launch = placed.launch as WebgpuLaunch;
  const size = Math.max(16, Math.ceil((launch.uniforms.length * 4) / 16) * 16);
  const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: uniforms!, offset, size } }];
  const copies: TextureCopy[] = [];
  launch.bindings.forEach((b, i) => {
    const buffer = host.bufferOf(b.value);
    const { start, bytes } = boundRange(b.value);
    const size = Math.min(wholeVectors(bytes), buffer.size - start);
    if (b.access === 'texture') {
      const texture = textures[copies.length];
      copies.push({ buffer, start, texels: size / 16, texture });
      entries.push({ binding: i + 1, resource: texture.createView() });
    } else {
      entries.push({ binding: i + 1, resource: { buffer, offset: start, size } });
    }
  });
  return { group: host.device.createBindGroup({ label: describeLaunch(placed), layout, entries }), copies };
}

/** Lets timers, signals and other promises have their turn. */
const turn: () => Promise<void> = typeof setImmediate === 'function' ?
  () => new Promise((resolve) => setImmediate(resolve)) : () => new Promise((resolve) => setTimeout(resolve, 0));

class WebgpuExecutable implements Executable {
  readonly #host: ExecutableHost;
  readonly #launches: readonly Encoded[];
  readonly #release: () => void;
  /** Estimated milliseconds of each launch, on software adapters. */
  readonly #cost: number[];
  #cuts: readonly number[];
  #checked = false;
  #disposed = false;

  constructor(host: ExecutableHost, launches: readonly Encoded[], release: () => void) {
    this.#host = host;
    this.#launches = launches;
    this.#release = release;
    this.#cost = launches.map((e) => FIRST_GUESS_LAUNCH_MS + e.placed.flop / FIRST_GUESS_FLOP_PER_MS);
    this.#cuts = host.software ? cut(this.#cost) : [launches.length];
  }

  run(): Promise<void> {
    if (this.#disposed) throw new DeviceError('run() of an executable that was disposed');
    return this.#host.inOrder(() => this.#run());
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
    for (const end of this.#cuts) {
      if (start > 0 && host.software) await turn();
      const before = performance.now();
      this.#submit(start, end);
      measured.push(performance.now() - before);
      start = end;
    }
    if (host.software && measured.some((ms) => ms > 2 * SEGMENT_MS)) this.#recut(measured);
  }

  /** Segment by segment in error scopes: a pipeline that failed to compile would otherwise run in no time at all. */
  async #firstRun(): Promise<void> {
    const host = this.#host;
    const measured: number[] = [];
    let start = 0;
    for (const end of this.#cuts) {
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
    const { device } = this.#host;
    const encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    for (let i = start; i < end; i++) {
      if (this.#launches[i].copies.length > 0) {
        pass?.end();
        pass = undefined;
        copyToTextures(encoder, this.#launches[i]);
      }
      pass ??= encoder.beginComputePass();
      dispatch(pass, this.#launches[i]);
    }
    pass?.end();
    device.queue.submit([encoder.finish()]);
  }

  /** Spreads what each segment took over its launches and cuts again. */
  #recut(measured: readonly number[]): void {
    let start = 0;
    this.#cuts.forEach((end, s) => {
      let estimated = 0;
      for (let i = start; i < end; i++) estimated += this.#cost[i];
      for (let i = start; i < end; i++) this.#cost[i] *= measured[s] / estimated;
      start = end;
    });
    this.#cuts = cut(this.#cost);
  }

  profile(): Promise<{ label: string; node: string; ms: number }[]> {
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
    const { device } = this.#host;
    const rows: { label: string; node: string; ms: number }[] = [];
    const most = 2048;
    for (let start = 0; start < this.#launches.length; start += most) {
      const count = Math.min(most, this.#launches.length - start);
      const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * count });
      const resolved = this.#host.createBuffer(16 * count, 'timestamps', BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC);
      const staging = this.#host.createBuffer(16 * count, 'timestamps', BufferUsage.MAP_READ | BufferUsage.COPY_DST);
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < count; i++) {
        copyToTextures(encoder, this.#launches[start + i]);
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
        });
        dispatch(pass, this.#launches[start + i]);
        pass.end();
      }
      encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * count);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(1);
      const times = new BigUint64Array(staging.getMappedRange().slice(0));
      for (let i = 0; i < count; i++) rows.push({ ...this.#row(start + i), ms: Number(times[2 * i + 1] - times[2 * i]) / 1e6 });
      staging.unmap();
      this.#host.releaseBuffer(staging);
      this.#host.releaseBuffer(resolved);
      querySet.destroy();
    }
    return rows;
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

/** Ends of segments of at most SEGMENT_MS, or one launch. */
function cut(cost: readonly number[]): number[] {
  const ends: number[] = [];
  let sum = 0;
  cost.forEach((ms, i) => {
    if (sum > 0 && sum + ms > SEGMENT_MS) {
      ends.push(i);
      sum = 0;
    }
    sum += ms;
  });
  ends.push(cost.length);
  return ends;
}
