/** Our devices, as many as are present and asked for. */
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { FoveaError } from '../errors.ts';
import { openRunDevice } from '../train/run-device.ts';

export interface Target {
  /** `fovea, 2 threads`, `fovea`. */
  readonly contestant: string;
  readonly device: Device;
  /** Of the cpu device; 1 elsewhere. */
  readonly threads: number;
  readonly openSeconds: number;
}

export interface TargetOptions {
  /** `cpu`, `webgpu` or `webgpu:NAME`. */
  readonly devices: readonly string[];
  readonly threads: readonly number[];
  /** False: the cpu's kernels without relaxed SIMD. */
  readonly relaxed: boolean;
  readonly log: (line: string) => void;
}

/** Opens them; one that is absent is said and left out. */
export async function openTargets({ devices, threads, relaxed, log }: TargetOptions): Promise<Target[]> {
  const targets: Target[] = [];
  const add = async (contestant: string, count: number, open: () => Promise<Device>): Promise<void> => {
    const started = performance.now();
    const device = await open();
    targets.push({ contestant, device, threads: count, openSeconds: (performance.now() - started) / 1000 });
  };
  for (const name of devices) {
    try {
      if (name === 'cpu') {
        for (const count of threads) {
          await add(`fovea, ${count} thread${count === 1 ? '' : 's'}`, count, () =>
            relaxed ? openRunDevice({ device: 'cpu', threads: count }) : openDevice('cpu', { threads: count, relaxedSimd: false }));
        }
      } else {
        await add('fovea', 1, () => openDevice(name));
      }
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      log(`${name}: absent (${error.message})`);
    }
  }
  return targets;
}
