/** Which WASM build to load, and how many threads the machine gives. */
import { DeviceError, OptionError } from '../../errors.ts';
import { isNode } from './worker.ts';

/** A module of one function that does f32x4.relaxed_madd: what `WebAssembly.validate` is asked about. */
const relaxedProbe = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0, 65, 1, 253, 15, 65, 2, 253, 15, 65, 3,
  253, 15, 253, 133, 2, 11,
);

export function hasRelaxedSimd(): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(relaxedProbe);
}

/**
 * Switches relaxed SIMD on in this process (Node 20 and 21; later ones and browsers have it). Must come before any worker starts.
 * @throws DeviceError where it cannot be had
 */
export async function enableRelaxedSimd(): Promise<void> {
  if (hasRelaxedSimd()) return;
  if (isNode()) {
    const v8 = await import('node:v8');
    v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  }
  if (!hasRelaxedSimd()) throw new DeviceError('cpu device: relaxed SIMD was asked for, and this JavaScript engine has none');
}

/**
 * The compiled kernels: relaxed SIMD where asked for or found.
 * @internal
 */
export async function loadModule(relaxedSimd: boolean | undefined): Promise<{
  module: WebAssembly.Module; relaxed: boolean; hash: string;
}> {
  if (typeof WebAssembly !== 'object') throw new DeviceError('cpu device: this JavaScript engine has no WebAssembly');
  const relaxed = relaxedSimd ?? hasRelaxedSimd();
  const { wasm, hash } = relaxed
    ? await import('../../generated/wasm-relaxed.ts') : await import('../../generated/wasm-simd.ts');
  const bytes = Uint8Array.from(atob(wasm), (c) => c.charCodeAt(0));
  try {
    return { module: await WebAssembly.compile(bytes), relaxed, hash };
  } catch (error) {
    throw new DeviceError('cpu device: the kernels do not compile; WebAssembly with SIMD, threads and bulk memory is needed '
      + '(Node 20, Chrome 91, Firefox 89, Safari 16.4 or later)', { cause: error });
  }
}

/** Threads asked for, else the processors that the machine, its affinity mask and its control group leave to this process. */
export async function availableThreads(asked: number | undefined): Promise<number> {
  if (asked !== undefined) {
    if (!Number.isInteger(asked) || asked < 1 || asked > 64) {
      throw new OptionError(`cpu device: threads is ${asked}, expected an integer from 1 to 64`);
    }
    return asked;
  }
  if (!isNode()) return Math.max(1, globalThis.navigator?.hardwareConcurrency ?? 1);
  const { availableParallelism } = await import('node:os');
  return Math.max(1, Math.min(availableParallelism(), await cgroupLimit()));
}

/** Processors that the control group allows, rounded to the nearest, at least 1; Infinity without a limit. */
async function cgroupLimit(): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const read = async (path: string): Promise<string> => readFile(path, 'utf8').then((t) => t.trim(), () => '');
  // Version 2: "QUOTA PERIOD" or "max PERIOD", of this group and those above it; version 1: two files, quota -1 without a limit.
  const own = /^0::(.*)$/m.exec(await read('/proc/self/cgroup'))?.[1] ?? '/';
  let limit = Infinity;
  for (let path = own; ; path = path.slice(0, path.lastIndexOf('/'))) {
    limit = Math.min(limit, quota((await read(`/sys/fs/cgroup${path === '/' ? '' : path}/cpu.max`)).split(' ')));
    if (path === '' || path === '/') break;
  }
  return Math.min(limit, quota([
    await read('/sys/fs/cgroup/cpu/cpu.cfs_quota_us'), await read('/sys/fs/cgroup/cpu/cpu.cfs_period_us'),
  ]));
}

function quota([quotaMicroseconds, period]: readonly string[]): number {
  const ratio = Number(quotaMicroseconds) / Number(period);
  return Number.isFinite(ratio) && ratio > 0 ? Math.max(1, Math.round(ratio)) : Infinity;
}
