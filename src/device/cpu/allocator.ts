import { OutOfMemoryError } from '../../errors.ts';
import { ALIGNMENT } from './layout.ts';

interface Block {
  start: number;
  bytes: number;
}

const MIB = 1024 * 1024;

/** Bytes as a reader wants them: `12.5 MiB`. */
export function formatBytes(bytes: number): string {
  return bytes < MIB ? `${bytes} bytes` : `${(bytes / MIB).toFixed(1)} MiB`;
}

/**
 * Hands out pieces of one memory that can only grow: a free list in address order, best fit, neighbours joined on release.
 * It keeps numbers alone and touches no memory; `grow` is asked for more when nothing fits.
 */
export class Allocator {
  /** Address from which on memory has never been handed out, so that it is still zero. */
  fresh: number;
  used = 0;
  readonly #start: number;
  readonly #limit: number;
  readonly #grow: (end: number) => void;
  #end: number;
  #free: Block[] = [];

  /** Addresses from `start` to `limit`; those below `end` exist already. `grow(end)` makes them exist up to `end` or throws. */
  constructor(start: number, end: number, limit: number, grow: (end: number) => void) {
    this.#start = start;
    this.#end = end;
    this.#limit = limit;
    this.#grow = grow;
    this.fresh = start;
    if (end > start) this.#free.push({ start, bytes: end - start });
  }

  /** Most that can be in use at once. */
  get capacity(): number {
    return this.#limit - this.#start;
  }

  static round(bytes: number): number {
    return Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
  }

  /** Address of `bytes` bytes, a multiple of 256. Throws OutOfMemoryError. */
  allocate(bytes: number, label: string): number {
    const size = Allocator.round(bytes);
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const block = this.#free[i];
      if (block.bytes >= size && (best < 0 || block.bytes < this.#free[best].bytes)) best = i;
    }
    if (best < 0) {
      this.#extend(size, bytes, label);
      best = this.#free.length - 1;
    }
    const block = this.#free[best];
    const address = block.start;
    if (block.bytes === size) this.#free.splice(best, 1);
    else {
      block.start += size;
      block.bytes -= size;
    }
    this.used += size;
    if (address + size > this.fresh) this.fresh = address + size;
    return address;
  }

  release(address: number, bytes: number): void {
    const size = Allocator.round(bytes);
    this.used -= size;
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#free[middle].start < address) low = middle + 1;
      else high = middle;
    }
    this.#free.splice(low, 0, { start: address, bytes: size });
    this.#join(low);
    this.#join(low - 1);
  }

  /** Joins free block `i` with the next where they touch. */
  #join(i: number): void {
    const block = this.#free[i];
    const next = this.#free[i + 1];
    if (block === undefined || next === undefined || block.start + block.bytes !== next.start) return;
    block.bytes += next.bytes;
    this.#free.splice(i + 1, 1);
  }

  /** Makes the last free block at least `size` long. */
  #extend(size: number, asked: number, label: string): void {
    const last = this.#free[this.#free.length - 1];
    const tail = last !== undefined && last.start + last.bytes === this.#end ? last.bytes : 0;
    const end = this.#end + size - tail;
    const fail = (why: string): never => {
      throw new OutOfMemoryError(`cpu device: ${formatBytes(asked)} asked for "${label}", ${formatBytes(this.used)} in use of `
        + `${formatBytes(this.capacity)} (WebAssembly memory)${why}`);
    };
    if (end > this.#limit) fail('');
    try {
      this.#grow(end);
    } catch (error) {
      fail(`; the system gave no more: ${(error as Error).message}`);
    }
    if (tail > 0) last.bytes += end - this.#end;
    else this.#free.push({ start: this.#end, bytes: end - this.#end });
    this.#end = end;
  }
}
