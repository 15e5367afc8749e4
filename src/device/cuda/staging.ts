/**
 * Page-locked memory through which bytes pass between JavaScript and the GPU. The driver copies from and to it while JavaScript goes
 * on, so what is written may be changed at once, and nothing that the garbage collector moves or frees is under a running copy.
 */
import type { Bindings } from './bindings.ts';

interface Pinned {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

interface Block extends Pinned {
  /** Recorded behind the last copy from it. */
  readonly event: bigint;
}

/** Bytes of a block that writes are packed into; longer ones go through several. */
const BLOCK = 8 << 20;
/** Blocks of writes under way at most: beyond that a write waits for the oldest. */
const MOST_BLOCKS = 32;
/** Of reads, what is kept for the next ones. */
const KEPT_FOR_READS = 64 << 20;
const SMALLEST_READ = 4096;

const DISABLE_TIMING = 2;

export class Staging {
  readonly #cuda: Bindings;
  readonly #stream: bigint;
  #current: { readonly block: Block; used: number } | undefined;
  /** Blocks whose copies may be under way, oldest first. */
  readonly #busy: Block[] = [];
  readonly #free: Block[] = [];
  readonly #all = new Set<Pinned>();
  readonly #events = new Set<bigint>();
  readonly #reads: Pinned[] = [];
  #keptForReads = 0;

  constructor(cuda: Bindings, stream: bigint) {
    this.#cuda = cuda;
    this.#stream = stream;
  }

  /** Bytes that are held. */
  get bytes(): number {
    let sum = 0;
    for (const pinned of this.#all) sum += pinned.bytes.length;
    return sum;
  }

  /** Copies `source` to device address `target` in the stream's order. `source` may change as soon as this returns. */
  write(target: bigint, source: Uint8Array, about: string): void {
    for (let at = 0; at < source.length;) {
      const current = this.#current ?? this.#begin(about);
      const length = Math.min(source.length - at, BLOCK - current.used);
      current.block.bytes.set(source.subarray(at, at + length), current.used);
      const from = current.block.address + BigInt(current.used);
      this.#cuda.call('cuMemcpyHtoDAsync_v2', [target + BigInt(at), from, length, this.#stream], about);
      at += length;
      // Copies are fastest from addresses that are multiples of 256.
      current.used = Math.ceil((current.used + length) / 256) * 256;
      if (current.used >= BLOCK) this.#retire(about);
    }
  }

  #begin(about: string): { block: Block; used: number } {
    if (this.#free.length === 0) this.#reclaim(about);
    let block = this.#free.pop();
    if (block === undefined) {
      const event = this.event(about);
      try {
        block = { ...this.#allocate(BLOCK, about), event };
      } catch (error) {
        this.dropEvent(event);
        throw error;
      }
      this.#all.add(block);
    }
    this.#current = { block, used: 0 };
    return this.#current;
  }

  #retire(about: string): void {
    const { block } = this.#current!;
    this.#current = undefined;
    try {
      this.#cuda.call('cuEventRecord', [block.event, this.#stream], about);
    } catch (error) {
      this.#abandon(block.event, block);
      throw error;
    }
    this.#busy.push(block);
  }

  #reclaim(about: string): void {
    while (this.#busy.length > 0 && this.#cuda.ready(this.#busy[0].event, about)) this.#free.push(this.#busy.shift()!);
    if (this.#free.length > 0 || this.#busy.length < MOST_BLOCKS) return;
    this.#cuda.call('cuEventSynchronize', [this.#busy[0].event], about);
    this.#free.push(this.#busy.shift()!);
  }

  /**
   * Starts copying `bytes` from device address `source` in the stream's order.
   * @returns the event behind the copy, and what takes the bytes, to be called once, when the copy is done; or `abandon`, where that is not
   *   to be learned
   */
  read(source: bigint, bytes: number, about: string): { event: bigint; take(): Uint8Array<ArrayBuffer>; abandon(): void } {
    const event = this.event(about);
    let taken: Pinned | undefined;
    try {
      taken = this.#takeForRead(bytes, about);
      this.#cuda.call('cuMemcpyDtoHAsync_v2', [taken.address, source, bytes, this.#stream], about);
      this.#cuda.call('cuEventRecord', [event, this.#stream], about);
    } catch (error) {
      this.#abandon(event, taken);
      throw error;
    }
    const pinned = taken;
    const take = (): Uint8Array<ArrayBuffer> => {
      const result = pinned.bytes.slice(0, bytes) as Uint8Array<ArrayBuffer>;
      this.dropEvent(event);
      if (this.#keptForReads + pinned.bytes.length <= KEPT_FOR_READS) {
        this.#keptForReads += pinned.bytes.length;
        this.#reads.push(pinned);
      } else {
        this.#release(pinned);
      }
      return result;
    };
    return { event, take, abandon: () => this.#abandon(event, pinned) };
  }

  /** Gives back what a failure has left. A copy may be under way all the same: where it cannot be waited for, its memory stays until `dispose`. */
  #abandon(event: bigint, pinned?: Pinned): void {
    this.dropEvent(event);
    if (pinned === undefined || !this.#all.has(pinned)) return;
    try {
      this.#cuda.call('cuStreamSynchronize', [this.#stream]);
    } catch {
      return;
    }
    this.#release(pinned);
  }

  #takeForRead(bytes: number, about: string): Pinned {
    let size = SMALLEST_READ;
    while (size < bytes) size *= 2;
    const at = this.#reads.findIndex((pinned) => pinned.bytes.length === size);
    if (at >= 0) {
      this.#keptForReads -= size;
      return this.#reads.splice(at, 1)[0];
    }
    const pinned = this.#allocate(size, about);
    this.#all.add(pinned);
    return pinned;
  }

  #allocate(size: number, about: string): Pinned {
    const address = this.#cuda.handle('cuMemHostAlloc', [size, 0], `${size} bytes of page-locked memory for ${about}`);
    return { address, bytes: new Uint8Array(this.#cuda.koffi.view(address, size)) };
  }

  #release(pinned: Pinned): void {
    if (!this.#all.delete(pinned)) return;
    this.#cuda.attempt('cuMemFreeHost', [pinned.address]);
  }

  /** An event that only marks an order. */
  event(about: string): bigint {
    const event = this.#cuda.handle('cuEventCreate', [DISABLE_TIMING], about);
    this.#events.add(event);
    return event;
  }

  dropEvent(event: bigint): void {
    if (this.#events.delete(event)) this.#cuda.attempt('cuEventDestroy_v2', [event]);
  }

  /** Frees all, when nothing is under way any more. */
  dispose(): void {
    for (const pinned of [...this.#all]) this.#release(pinned);
    for (const event of [...this.#events]) this.dropEvent(event);
    this.#busy.length = this.#free.length = this.#reads.length = 0;
    this.#current = undefined;
  }
}
