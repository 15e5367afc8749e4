/** Buffers through which results are read back. They are kept and used again, so steady reading allocates nothing. */
import type { DeviceCounters } from '../types.ts';
import { BufferUsage, MAP_MODE_READ } from './constants.ts';

/** Longer reads go through pieces of this size, two at a time. */
const PIECE = 16 << 20;

const MIN_BYTES = 4096;

export class Staging {
  readonly #device: GPUDevice;
  readonly #counters: DeviceCounters;
  readonly #free: GPUBuffer[] = [];

  constructor(device: GPUDevice, counters: DeviceCounters) {
    this.#device = device;
    this.#counters = counters;
  }

  /** Bytes `start .. start + bytes` of `buffer`, after the work submitted so far. `start` need not be aligned. */
  async read(buffer: GPUBuffer, start: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(bytes);
    const pending: Promise<void>[] = [];
    for (let at = 0; at < bytes; at += PIECE) {
      if (pending.length >= 2) await pending[pending.length - 2];
      pending.push(this.#piece(buffer, start + at, result.subarray(at, Math.min(at + PIECE, bytes))));
    }
    await Promise.all(pending);
    return result;
  }

  async #piece(buffer: GPUBuffer, start: number, result: Uint8Array): Promise<void> {
    const aligned = Math.floor(start / 4) * 4;
    const length = Math.min(Math.ceil((start + result.length - aligned) / 4) * 4, buffer.size - aligned);
    const staging = this.#take(length);
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, aligned, staging, 0, length);
      this.#device.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_MODE_READ, 0, length);
      result.set(new Uint8Array(staging.getMappedRange(0, length), start - aligned, result.length));
      staging.unmap();
    } catch (error) {
      this.#drop(staging);
      throw error;
    }
    this.#free.push(staging);
  }

  #take(bytes: number): GPUBuffer {
    let size = MIN_BYTES;
    while (size < bytes) size *= 2;
    const at = this.#free.findIndex((b) => b.size === size);
    if (at >= 0) return this.#free.splice(at, 1)[0];
    const c = this.#counters;
    c.allocations++;
    c.bytesAllocated += size;
    c.peakBytes = Math.max(c.peakBytes, c.bytesAllocated);
    return this.#device.createBuffer({ label: 'staging', size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
  }

  #drop(buffer: GPUBuffer): void {
    this.#counters.bytesAllocated -= buffer.size;
    buffer.destroy();
  }

  dispose(): void {
    for (const buffer of this.#free.splice(0)) this.#drop(buffer);
  }
}
