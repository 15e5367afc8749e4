/**
 * Textures through which software adapters read: llvmpipe loads a vec4 for eight threads from a storage buffer lane by lane in some
 * 240 ns, from a texture in 28 (measured), and copies 12 GB/s into one. Programs of a device share them, since their work is in order.
 */
import type { DeviceCounters } from '../types.ts';
import { TextureUsage } from './constants.ts';
import { TEXTURE_WIDTH } from './launch.ts';

interface Entry {
  readonly slot: number;
  readonly rows: number;
  readonly texture: GPUTexture;
  users: number;
}

const textureBytes = (rows: number): number => 16 * TEXTURE_WIDTH * rows;

export class Textures {
  readonly #device: GPUDevice;
  readonly #counters: DeviceCounters;
  readonly #entries: Entry[] = [];

  constructor(device: GPUDevice, counters: DeviceCounters) {
    this.#device = device;
    this.#counters = counters;
  }

  /** A texture of at least so many rows for the given place among a launch's textures; `release` it. */
  take(slot: number, rows: number): GPUTexture {
    let entry = this.#entries.find((e) => e.slot === slot && e.rows >= rows);
    if (entry === undefined) {
      const texture = this.#device.createTexture({
        label: `texture ${slot}`, size: [TEXTURE_WIDTH, rows], format: 'rgba32float', usage: TextureUsage.COPY_DST | TextureUsage.TEXTURE_BINDING,
      });
      entry = { slot, rows, texture, users: 0 };
      this.#entries.push(entry);
      const c = this.#counters;
      c.allocations++;
      c.bytesAllocated += textureBytes(rows);
      c.textureBytes += textureBytes(rows);
      c.peakBytes = Math.max(c.peakBytes, c.bytesAllocated);
    }
    entry.users++;
    return entry.texture;
  }

  release(texture: GPUTexture): void {
    const at = this.#entries.findIndex((e) => e.texture === texture);
    const entry = this.#entries[at];
    if (--entry.users > 0) return;
    this.#entries.splice(at, 1);
    this.#counters.bytesAllocated -= textureBytes(entry.rows);
    this.#counters.textureBytes -= textureBytes(entry.rows);
    texture.destroy();
  }
}
