/** Choosing a device. */
import { DeviceError, FoveaError, OptionError } from '../errors.ts';
import type { CpuOptions } from './cpu/index.ts';
import type { Device } from './types.ts';

export interface DeviceOptions extends CpuOptions {
  /** Receives the line that says which device was taken and why. */
  readonly log?: (line: string) => void;
}

/** What a look for devices found. */
export interface DeviceReport {
  readonly name: string;
  readonly available: boolean;
  readonly why: string;
}

const open = new Map<string, Promise<{ device: Device; why: string }>>();
let chosen: Device | undefined;

/**
 * Opens a device, or returns the one that is open under that name already.
 *
 * @param name `auto`: a hardware WebGPU adapter, else the CPU, never a software adapter. `cpu`. `webgpu`: hardware, else software.
 *   `webgpu:NAME`: the adapter whose name contains NAME
 * @throws OptionError for an unknown name, DeviceError when there is no such device
 */
export async function device(name: string | Device = 'auto', options: DeviceOptions = {}): Promise<Device> {
  if (typeof name !== 'string') return name;
  const { log, ...cpuOptions } = options;
  const key = `${name} ${JSON.stringify(cpuOptions)}`;
  const before = open.get(key);
  // One that its user disposed of is gone; the next to ask gets a new one.
  if (before !== undefined && (await before).device.disposed && open.get(key) === before) open.delete(key);
  let found = open.get(key);
  if (found === undefined) {
    found = find(name, cpuOptions);
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
      const { device: made, why } = await find(name, options);
      reports.push({ name: made.name, available: true, why });
      made.dispose();
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      reports.push({ name, available: false, why: error.message });
    }
  }
  return reports;
}

async function find(name: string, options: CpuOptions): Promise<{ device: Device; why: string }> {
  if (name === 'auto') return findBest(options);
  if (name === 'cpu') return { device: await openCpu(options), why: 'asked for' };
  if (name === 'webgpu' || name.startsWith('webgpu:')) {
    const { webgpu } = await import('./webgpu/index.ts');
    const adapter = name.slice('webgpu:'.length) || undefined;
    const made = await webgpu({ adapter });
    return { device: made, why: made.why };
  }
  if (name === 'cuda' || name.startsWith('cuda:')) throw new DeviceError('this version has no CUDA device; use webgpu or cpu');
  throw new OptionError(`unknown device "${name}"; auto, cpu, webgpu or webgpu:NAME was expected`);
}

/** The order of preference; a CUDA device will come first. */
async function findBest(options: CpuOptions): Promise<{ device: Device; why: string }> {
  try {
    const { webgpu } = await import('./webgpu/index.ts');
    const made = await webgpu({ hardwareOnly: true });
    return { device: made, why: made.why };
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return { device: await openCpu(options), why: error.message };
  }
}

async function openCpu(options: CpuOptions): Promise<Device> {
  const { cpu } = await import('./cpu/index.ts');
  return cpu(options);
}
