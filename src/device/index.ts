/** Choosing a device. */
import { DeviceError, FoveaError, OptionError } from '../errors.ts';
import type { CpuOptions } from './cpu/index.ts';
import { factsOf } from './facts.ts';
import { deviceNames } from './names.ts';
import type { Device } from './types.ts';

export interface DeviceOptions extends CpuOptions {
  /** Receives the line that says which device was taken and why. */
  readonly log?: (line: string) => void;
  /** On CUDA: multiply float32 in matrix products and convolutions as TF32, with 10 bits of mantissa in place of 23. Default: false. */
  readonly tf32?: boolean;
}

type OpenOptions = Omit<DeviceOptions, 'log'>;

/** What a look for devices found. */
export interface DeviceReport {
  readonly name: string;
  readonly available: boolean;
  readonly why: string;
  /** What was found on the way and what was refused, a line each. */
  readonly details: readonly string[];
}

const open = new Map<string, Promise<Found>>();
let chosen: Device | undefined;

/**
 * Opens a device, or returns the one that is open under that name already.
 *
 * @param name `auto`: a CUDA device, else a hardware WebGPU adapter, else the CPU, never a software adapter. `cpu`. `webgpu`: hardware,
 *   else software. `webgpu:NAME`: the adapter whose name contains NAME. `cuda`: the first GPU of the CUDA driver. `cuda:1`: by number
 * @throws OptionError for an unknown name, or a wrong value of a variable FOVEA_CUDA_*; DeviceError when there is no such device
 */
export async function device(name: string | Device = 'auto', options: DeviceOptions = {}): Promise<Device> {
  if (typeof name !== 'string') return name;
  const { log, ...others } = options;
  const key = `${name} ${JSON.stringify(others)}`;
  const before = open.get(key);
  // One that its user disposed of is gone; the next to ask gets a new one.
  if (before !== undefined && (await before).device.disposed && open.get(key) === before) open.delete(key);
  let found = open.get(key);
  if (found === undefined) {
    found = find(name, others);
    open.set(key, found);
    found.catch(() => open.delete(key));
  }
  const { device: made, why } = await found;
  log?.(`device: ${made.name} (${why})`);
  return made;
}

/** Where uncompiled graphs run that touch no variable of a device: what `setDefaultDevice` chose, else `auto`. */
export async function defaultDevice(): Promise<Device> {
  if (chosen === undefined || chosen.disposed) chosen = await device('auto');
  return chosen;
}

export function setDefaultDevice(device: Device | undefined): void {
  chosen = device;
}

/** Looks for every kind of device and says what was found, or why not. */
export async function describeDevices(options: CpuOptions = {}): Promise<DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const name of ['cpu', 'webgpu']) {
    try {
      const { device: made, why, details = [] } = await find(name, options);
      const most = `largest buffer: ${(made.memory.maxBuffer / 2 ** 20).toFixed(0)} MiB`;
      reports.push({ name: made.name, available: true, why, details: [...details, ...factsOf(made), most] });
      made.dispose();
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      reports.push({ name, available: false, why: error.message, details: [] });
    }
  }
  if (isNode()) {
    const { describeCuda } = await import('./cuda/describe.ts');
    reports.push(...(await describeCuda()));
  } else {
    reports.push({ name: 'cuda', available: false, why: notInBrowsers, details: [] });
  }
  return reports;
}

const isNode = (): boolean => typeof process === 'object' && typeof process.versions?.node === 'string';

const notInBrowsers = 'browsers have no CUDA; use webgpu or cpu';

interface Found {
  readonly device: Device;
  readonly why: string;
  /** What was refused on the way to it. */
  readonly details?: readonly string[];
}

async function find(name: string, options: OpenOptions): Promise<Found> {
  if (name === 'auto') return findBest(options);
  if (name === 'cpu') return { device: await openCpu(options), why: 'asked for' };
  if (name === 'webgpu' || name.startsWith('webgpu:')) {
    const { webgpu } = await import('./webgpu/index.ts');
    const adapter = name.slice('webgpu:'.length) || undefined;
    const made = await webgpu({ adapter });
    return { device: made, why: made.why, details: made.refused.map((what) => `refused: ${what}`) };
  }
  if (name === 'cuda' || /^cuda:\d+$/.test(name)) {
    const made = await openCuda(Number(name.slice('cuda:'.length)), options);
    return { device: made, why: made.why };
  }
  if (name.startsWith('cuda:')) throw new OptionError(`device "${name}": a number was expected, as in cuda:1`);
  throw new OptionError(`unknown device "${name}"; auto, ${deviceNames} was expected`);
}

/** The order of preference: CUDA, WebGPU on hardware, the CPU. What came before says why it was not. */
async function findBest(options: OpenOptions): Promise<Found> {
  const refused: string[] = [];
  const attempts: (() => Promise<Found>)[] = [
    async () => {
      const made = await openCuda(0, options);
      return { device: made, why: made.why };
    },
    async () => {
      const { webgpu } = await import('./webgpu/index.ts');
      const made = await webgpu({ hardwareOnly: true });
      return { device: made, why: made.why };
    },
  ];
  for (const attempt of attempts) {
    try {
      const { device: made, why } = await attempt();
      return { device: made, why: [why, ...refused].join('; ') };
    } catch (error) {
      // A device that is not there is passed over; what its user asked for in vain is not.
      if (!(error instanceof FoveaError) || error instanceof OptionError) throw error;
      refused.push(error.message);
    }
  }
  return { device: await openCpu(options), why: refused.join('; ') };
}

async function openCuda(index: number, { tf32 }: OpenOptions): Promise<Device & { readonly why: string }> {
  if (!isNode()) throw new DeviceError(notInBrowsers);
  const { cuda } = await import('./cuda/index.ts');
  return cuda({ index, tf32 });
}

async function openCpu(options: CpuOptions): Promise<Device> {
  const { cpu } = await import('./cpu/index.ts');
  return cpu(options);
}
