import type { Device, DeviceBuffer } from '../device/types.ts';

/**
 * The temporary memory of a device, shared by all its Programs: they never run at the same time, so the largest decides.
 * When it grows, `generation` goes up and each Program binds anew before its next run.
 */
export class Arena {
  readonly #device: Device;
  #buffers: (DeviceBuffer | undefined)[] = [];
  generation = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Makes buffer `i` at least `sizes[i]` bytes, for all i. */
  ensure(sizes: readonly number[]): void {
    if (sizes.every((bytes, i) => bytes <= (this.#buffers[i]?.bytes ?? -1))) return;
    this.generation++;
    sizes.forEach((bytes, i) => {
      const old = this.#buffers[i];
      if (old !== undefined && old.bytes >= bytes) return;
      // Forgotten before the new one is made: where there is no memory for it, the arena has none, not a disposed one.
      old?.dispose();
      this.#buffers[i] = undefined;
      this.#buffers[i] = this.#device.allocate(bytes, `arena ${i}`);
    });
  }

  buffer(index: number): DeviceBuffer {
    return this.#buffers[index]!;
  }

  /** Of buffer `index`, 0 where there is none. */
  bytesOf(index: number): number {
    return this.#buffers[index]?.bytes ?? 0;
  }

  /** Gives the memory back; Programs allocate it again when they next run. */
  release(): void {
    for (const buffer of this.#buffers) buffer?.dispose();
    this.#buffers = [];
    this.generation++;
  }
}

const arenas = new WeakMap<Device, Arena>();

export function arenaOf(device: Device): Arena {
  let arena = arenas.get(device);
  if (arena === undefined) arenas.set(device, (arena = new Arena(device)));
  return arena;
}
