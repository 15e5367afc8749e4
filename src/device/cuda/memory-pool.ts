/**
 * A GPU's default memory pool, from which memory is allocated in the stream's order. What was freed is kept for the next allocation, where the
 * driver would give it back at every wait; that is a setting of the pool, which all of the process share, so the last to go restores it.
 */
import type { Bindings } from './bindings.ts';

const RELEASE_THRESHOLD = 4;

/**
 * How many devices have each pool keep its memory, and from how many bytes on it gave back before. Each thread of JavaScript counts its own: where
 * two have devices of one GPU, and the one that came first goes first, it restores the setting under the other, which is right and slower from then
 * on, and the other leaves what it found: that all is kept. What these devices had is given back all the same; others of the process see the setting.
 */
const keeping = new Map<bigint, { users: number; readonly before: BigUint64Array }>();

export class MemoryPool {
  readonly #cuda: Bindings;
  readonly #handle: bigint;

  /** @throws CudaError; nothing is left changed then */
  constructor(cuda: Bindings, device: number, about: string) {
    this.#cuda = cuda;
    this.#handle = cuda.handle('cuDeviceGetDefaultMemPool', [device], about);
    const others = keeping.get(this.#handle);
    if (others !== undefined) {
      others.users++;
      return;
    }
    const before = new BigUint64Array(1);
    cuda.call('cuMemPoolGetAttribute', [this.#handle, RELEASE_THRESHOLD, before], about);
    cuda.call('cuMemPoolSetAttribute', [this.#handle, RELEASE_THRESHOLD, new BigUint64Array([2n ** 64n - 1n])], about);
    keeping.set(this.#handle, { users: 1, before });
  }

  /** Gives back what is kept. */
  trim(about: string): void {
    this.#cuda.call('cuMemPoolTrimTo', [this.#handle, 0], about);
  }

  /** To be called once, in the GPU's context. */
  dispose(): void {
    this.#cuda.attempt('cuMemPoolTrimTo', [this.#handle, 0]);
    const held = keeping.get(this.#handle)!;
    if (--held.users > 0) return;
    keeping.delete(this.#handle);
    this.#cuda.attempt('cuMemPoolSetAttribute', [this.#handle, RELEASE_THRESHOLD, held.before]);
  }
}
