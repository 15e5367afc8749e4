/** Launches made ready for replay: variants chosen, pipelines, uniforms, textures and bind groups made once. */
import { DeviceError } from '../../errors.ts';
import type { PlacedLaunch, WebgpuLaunch } from '../types.ts';
import { BufferUsage } from './constants.ts';
import type { Encoded, ExecutableHost, TextureCopy } from './executable.ts';
import { WebgpuExecutable } from './executable.ts';
import { boundRange, TEXTURE_WIDTH } from './launch.ts';
import type { Pipelines } from './pipelines.ts';
import { describeLaunch } from './pipelines.ts';
import { scoped } from './scopes.ts';

/** Uniform blocks lie this far apart: the largest `minUniformBufferOffsetAlignment` that WebGPU allows an adapter. */
const SLOT = 256;

export async function buildExecutable(host: ExecutableHost, launches: readonly PlacedLaunch[]): Promise<WebgpuExecutable> {
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
    // A buffer for which there was no memory is told of by now, and explains why it cannot be bound.
    host.check();
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
  return new WebgpuExecutable(host, encoded, uniforms?.size ?? 0, release);
}

/** Bytes of what a value binds, in whole vectors, so that the last element of a vec4 array is within its bounds. */
function wholeVectors(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

const textureRows = ({ value }: WebgpuLaunch['bindings'][number]): number => Math.ceil(wholeVectors(boundRange(value).bytes) / 16 / TEXTURE_WIDTH);

/** Texture bindings of a launch, the largest first. */
const bySize = ({ bindings }: WebgpuLaunch): WebgpuLaunch['bindings'] =>
  bindings.filter((b) => b.access === 'texture').sort((a, b) => textureRows(b) - textureRows(a));

/** Texture `i` serves the i-th largest texture binding of every launch: launches run one after another, so all share it. */
function takeTextures(host: ExecutableHost, launches: readonly PlacedLaunch[], textures: GPUTexture[]): void {
  const rows: number[] = [];
  for (const { launch } of launches) {
    bySize(launch as WebgpuLaunch).forEach((b, slot) => {
      rows[slot] = Math.max(rows[slot] ?? 1, textureRows(b));
    });
  }
  rows.forEach((n, slot) => textures.push(host.textures.take(slot, n)));
}

/** What WebGPU would refuse, told in our own terms and before anything is made. */
function checkLaunch(host: ExecutableHost, placed: PlacedLaunch): void {
  const { bindings, grid } = placed.launch as WebgpuLaunch;
  const buffers = bindings.filter((b) => b.access !== 'texture').length;
  if (buffers > host.limits.storageBuffers) {
    throw new DeviceError(`${describeLaunch(placed)} binds ${buffers} buffers, the adapter takes ${host.limits.storageBuffers}`);
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
  const slots = bySize(launch);
  launch.bindings.forEach((b, i) => {
    const buffer = host.bufferOf(b.value);
    const { start, bytes } = boundRange(b.value);
    const size = Math.min(wholeVectors(bytes), buffer.size - start);
    if (b.access === 'texture') {
      const texture = textures[slots.indexOf(b)];
      copies.push({ buffer, start, texels: size / 16, texture });
      entries.push({ binding: i + 1, resource: texture.createView() });
    } else {
      entries.push({ binding: i + 1, resource: { buffer, offset: start, size } });
    }
  });
  return { group: host.device.createBindGroup({ label: describeLaunch(placed), layout, entries }), copies };
}
