/** Our devices, as many as are present and asked for. */
import { device as openDevice } from '../device/index.ts';
import type { Device } from '../device/types.ts';
import { FoveaError } from '../errors.ts';
import { closeRunDevice, openRunDevice } from '../train/run-device.ts';

export interface Target {
  /** The device's; with what was asked for where several would have one name. */
  readonly name: string;
  /** `fovea, 2 threads`, `fovea`; `fovea, lavapipe` where there are several adapters. */
  readonly contestant: string;
  readonly device: Device;
  /** Of the cpu device; 1 elsewhere. */
  readonly threads: number;
  readonly openSeconds: number;
  /** Disposes of the device, unless somebody else uses it. */
  close(): void;
  /** The name in `webgpu:NAME`, by which others find the same adapter. */
  readonly adapter?: string | undefined;
}

export interface TargetOptions {
  /** `cpu`, `webgpu`, `webgpu:NAME`, `cuda` or `cuda:NUMBER`. */
  readonly devices: readonly string[];
  readonly threads: readonly number[];
  /** False: the cpu's kernels without relaxed SIMD. */
  readonly relaxed: boolean;
  /** CUDA devices a second time, for products in TF32: contestants whose name ends in `, tf32`. */
  readonly tf32?: boolean | undefined;
  readonly log: (line: string) => void;
}

export type Opened = Pick<Target, 'device' | 'close'>;

/** The cpu device, with relaxed SIMD where there is some, or without it. */
export async function openCpu(threads: number, relaxed: boolean): Promise<Opened> {
  if (!relaxed) return opened(await openDevice('cpu', { threads, relaxedSimd: false }));
  const device = await openRunDevice({ device: 'cpu', threads });
  return { device, close: () => closeRunDevice(device) };
}

const opened = (device: Device): Opened => ({ device, close: () => device.dispose() });

/** How devices are opened; tests hand in their own. */
export interface Openers {
  cpu(threads: number, relaxed: boolean): Promise<Opened>;
  other(name: string, tf32: boolean): Promise<Opened>;
}

const openers: Openers = { cpu: openCpu, other: async (name, tf32) => opened(await openDevice(name, tf32 ? { tf32 } : {})) };

/** Opens them; one that is absent is said and left out. Where one fails in another way, those before it are closed. */
export async function openTargets({ devices, threads, relaxed, tf32 = false, log }: TargetOptions, open: Openers = openers): Promise<Target[]> {
  const targets: Target[] = [];
  const several = new Set(devices.filter((name) => name !== 'cpu')).size > 1;
  const add = async (contestant: string, count: number, opening: () => Promise<Opened>, adapter?: string, asked = ''): Promise<void> => {
    const started = performance.now();
    const { device, close } = await opening();
    const name = targets.some((t) => t.name === device.name) ? `${device.name}, ${asked}` : device.name;
    targets.push({ name, contestant, device, threads: count, openSeconds: (performance.now() - started) / 1000, close, adapter });
  };
  // Of the cpu one number of threads may fail and another not: each is said by itself.
  const present = async (what: string, adding: () => Promise<void>): Promise<void> => {
    try {
      await adding();
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      log(`${what}: absent (${error.message})`);
    }
  };
  try {
    for (const name of new Set(devices)) {
      if (name === 'cpu') {
        for (const count of threads) {
          const many = `${count} thread${count === 1 ? '' : 's'}`;
          await present(threads.length > 1 ? `cpu, ${many}` : 'cpu', () => add(`fovea, ${many}`, count, () => open.cpu(count, relaxed)));
        }
      } else {
        const adapter = name.startsWith('webgpu:') ? name.slice('webgpu:'.length) : undefined;
        const asked = adapter ?? name;
        const contestant = several ? `fovea, ${asked}` : 'fovea';
        await present(name, () => add(contestant, 1, () => open.other(name, false), adapter, asked));
        if (!tf32 || !/^cuda(:|$)/.test(name) || !targets.some((t) => t.contestant === contestant)) continue;
        await present(`${name}, tf32`, () => add(`${contestant}, tf32`, 1, () => open.other(name, true), adapter, 'tf32'));
      }
    }
  } catch (error) {
    for (const target of targets) target.close();
    throw error;
  }
  return targets;
}

/** Multiplies float32 as TF32: entered where that makes a difference. */
export const isTf32 = ({ device }: Pick<Target, 'device'>): boolean => device.features?.cuda?.tf32 === true;

/** Whose figures pass through the 19 bits of TF32, ours or another's. */
export const saysTf32 = (contestant: string): boolean => contestant.endsWith(', tf32');

export const isSoftware = (device: Device): boolean => (device as { software?: boolean }).software === true;
export const isGpu = (device: Device): boolean => device.kind !== 'cpu' && !isSoftware(device);
