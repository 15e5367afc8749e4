/**
 * Kernels to cubins for one GPU's architecture, by NVRTC, each kept in a file: the next process that asks for the same text from the same
 * compiler reads it. Node only; reach it by dynamic import.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeviceError } from '../../errors.ts';
import { cacheFolder } from '../cache-folder.ts';
import type { Koffi } from './bindings.ts';
import type { FoundLibrary } from './find.ts';
import type { Compile, Compiler } from './kernels.ts';
import { nvrtcInfo, NvrtcPool } from './nvrtc.ts';
import type { NvrtcInfo } from './nvrtc.ts';

/** Goes up when what is kept in a file changes. */
const FORMAT = 1;

/**
 * The architecture to compile for: `sm_90a` on 9.0, whose matrix units only code for just that GPU can use; elsewhere the GPU's own, or the
 * last of its generation that the compiler knows, which it runs as well.
 *
 * @throws DeviceError where the compiler knows none of its generation
 */
export function architectureFor(capability: number, { version, architectures }: NvrtcInfo): string {
  const major = Math.floor(capability / 10);
  const usable = architectures.filter((one) => Math.floor(one / 10) === major && one <= capability);
  if (usable.length === 0) {
    throw new DeviceError(`NVRTC ${version} does not know compute capability ${(capability / 10).toFixed(1)}; a newer one does: `
      + 'pip install --upgrade nvidia-cuda-nvrtc');
  }
  const best = Math.max(...usable);
  return best === 90 ? 'sm_90a' : `sm_${best}`;
}

/** What NVRTC is told: multiply-adds contract, as by default, and nothing is `fast`. */
export const nvrtcOptions = (architecture: string): string[] => [`--gpu-architecture=${architecture}`, '--std=c++20'];

export interface NvrtcCompilerOptions {
  readonly koffi: Koffi;
  readonly library: FoundLibrary;
  /** Compute capability of the GPU, as 90 for 9.0. */
  readonly capability: number;
  /** The driver's CUDA version, `12.4`. */
  readonly driver: string;
  /** Default: `cuda` in the user's cache folder. */
  readonly folder?: string | undefined;
  /** Modules compiled at once. Default: as many as there are cores, eight at most. */
  readonly threads?: number;
}

/** The architecture that a library compiles for. @throws DeviceError where it is no NVRTC, or too old for the GPU */
export const architectureBy = (koffi: Koffi, library: FoundLibrary, capability: number): string =>
  architectureFor(capability, nvrtcInfo(koffi, library.path));

/** @throws DeviceError where the library is no NVRTC, or too old for the GPU */
export function nvrtcCompiler({ koffi, library, capability, driver, folder = join(cacheFolder(), 'cuda'), threads }: NvrtcCompilerOptions): Compiler {
  const info = nvrtcInfo(koffi, library.path);
  const architecture = architectureFor(capability, info);
  const options = nvrtcOptions(architecture);
  const pool = new NvrtcPool(library.path, threads);
  const fileOf: (...request: Parameters<Compile>) => string = (kernel, source, _defines, headers) => {
    const parts = [FORMAT, architecture, driver, info.version, ...options, kernel, source, ...Object.entries(headers).flat()].map(String);
    const hash = createHash('sha256');
    for (const part of parts) hash.update(`${part.length}\n`).update(part);
    return join(folder, `${kernel}-${architecture}-${hash.digest('hex').slice(0, 32)}.cubin`);
  };
  const recompile: Compile = async (kernel, source, defines, headers) => {
    const { cubin } = await pool.compile({ name: `${kernel}.cu`, source, options, headers });
    await keep(fileOf(kernel, source, defines, headers), cubin);
    return cubin;
  };
  return {
    version: `NVRTC ${info.version} for ${architecture}`,
    compile: async (...request) => await kept(fileOf(...request)) ?? recompile(...request),
    recompile,
    dispose: () => pool.dispose(),
  };
}

async function kept(file: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(file);
    return bytes.length > 0 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the file in one step. A cache that cannot be written costs time, not the run. */
async function keep(file: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${file}.${randomUUID()}`;
  try {
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(temporary, bytes);
    await rename(temporary, file);
  } catch {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}
