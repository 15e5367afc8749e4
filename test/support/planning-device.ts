import type { Device, DeviceBuffer } from '../../src/device/types.ts';

/**
 * A device that holds no memory and runs nothing: Programs are rewritten, ordered, planned and lowered for it.
 *
 * @param maxBuffer the most bytes that it binds
 */
export function planningDevice(maxBuffer = 2 ** 32, kind: 'webgpu' | 'cuda' = 'webgpu'): Device {
  const counters = { allocations: 0, bytesAllocated: 0, textureBytes: 0, peakBytes: 0, launches: 0, compilations: 0, runs: 0, encodeMs: 0 };
  const nothing = (): void => undefined;
  return {
    kind, name: 'planning', fingerprint: {}, counters,
    memory: { arena: kind === 'cuda' ? 'slab' : 'slots', alignment: 256, maxBuffer },
    supports: () => true,
    allocate(bytes: number, label: string): DeviceBuffer {
      counters.allocations++;
      counters.bytesAllocated += bytes;
      return { bytes, label, dispose: () => void (counters.bytesAllocated -= bytes) };
    },
    write: nothing, copy: nothing, dispose: nothing, [Symbol.dispose]: nothing, disposed: false,
    read: async (_buffer, _at, bytes) => new Uint8Array(bytes),
    build: async () => ({ bytes: 0, run: async () => nothing(), profile: async () => [], dispose: nothing }),
    synchronize: async () => nothing(),
  };
}
