/**
 * The CUDA device on a machine without a GPU: the product's own driver layer over a libcuda that runs kernels in software
 * (kernels/cuda/host), with g++ for the kernels' compiler. What is built is kept under .cache/cuda-host by the hash of all that it is made of.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Koffi } from '../../src/device/cuda/bindings.ts';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { cuda } from '../../src/device/cuda/index.ts';
import type { Compile, CudaDeviceInfo, CudaOptions } from '../../src/device/cuda/index.ts';
import { DeviceError, MissingPackageError } from '../../src/errors.ts';

const kernels = fileURLToPath(new URL('../../kernels/cuda', import.meta.url));
const folder = fileURLToPath(new URL('../../.cache/cuda-host', import.meta.url));

/** Whether fmaf is an instruction here. Nothing else is contracted into it, so that bits are the same without. */
function hasFma(): boolean {
  return process.arch === 'x64' && existsSync('/proc/cpuinfo') && / fma /.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

const common = ['-std=c++20', '-fPIC', '-DFOVEA_HOST', '-ffp-contract=off', '-fno-gnu-unique', '-fvisibility=hidden'];
/**
 * For kernels, which are many and small, so that most of the suite's time is the compiler's: with the header precompiled and without the C++
 * library one takes 0.15 to 0.25 s (0.5 s otherwise), with -O0 hardly less.
 */
const forKernels = [...common, '-O1', '-w', '-fno-exceptions', '-fno-asynchronous-unwind-tables', ...(hasFma() ? ['-mfma'] : [])];

/** Files that a kernel or the emulator may include; the kernel itself is told apart. */
function headers(): string {
  const files = ['lib', 'host'].flatMap((part) => readdirSync(join(kernels, part)).filter((name) => /\.(cuh|h)$/.test(name)).map((name) => join(part, name)));
  return files.sort().map((name) => `${name}\n${readFileSync(join(kernels, name), 'utf8')}`).join('');
}

const hashOf = (...parts: string[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}\n${part}`);
  return hash.digest('hex').slice(0, 32);
};

/** Runs g++; resolves with what it said where it failed. */
function gxx(args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn('g++', [`-I${kernels}`, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0 ? undefined : said || `g++ ended with ${code}`));
  });
}

/** Makes `path` by `make`, which writes another file, unless it is there; two that make it do not meet. */
async function kept(path: string, make: (temporary: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const temporary = join(folder, `${randomUUID()}.tmp`);
  try {
    await make(temporary);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  return path;
}

/** At most so many at a time. */
class Places {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async with<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** The emulator as a library that stands in for libcuda. */
async function buildDriver(version: string): Promise<string> {
  const sources = readdirSync(join(kernels, 'host/emulator')).sort().map((name) => join(kernels, 'host/emulator', name));
  const hash = hashOf(version, headers(), ...common, ...sources.map((file) => readFileSync(file, 'utf8')));
  return kept(join(folder, `libcuda-${hash}.so`), async (temporary) => {
    const said = await gxx([...common, '-O2', '-shared', ...sources.filter((file) => file.endsWith('.cpp')), '-ldl', '-o', temporary]);
    if (said !== undefined) throw new Error(said);
  });
}

/** Compiles kernels for the host. `compiled` counts what was not in the cache. */
export async function hostCompiler(version: string): Promise<{ compile: Compile; readonly compiled: { count: number; ms: number } }> {
  const all = headers();
  const places = new Places(availableParallelism());
  const compiled = { count: 0, ms: 0 };
  const precompiled = join(folder, `all-${hashOf(version, all, ...forKernels)}`);
  // What all kernels include is read once. g++ looks for NAME.h.gch where NAME.h is included.
  const includes = ['fovea', 'mma', 'async_copy'].map((name) => `#include "lib/${name}.cuh"\n`).join('');
  await kept(`${precompiled}.h`, async (temporary) => writeFileSync(temporary, includes));
  await kept(`${precompiled}.h.gch`, async (temporary) => {
    const said = await gxx([...forKernels, '-x', 'c++-header', `${precompiled}.h`, '-o', temporary]);
    if (said !== undefined) throw new Error(said);
  });
  return {
    compiled,
    compile: async (kernel, source) => {
      const path = await kept(join(folder, `${kernel}-${hashOf(version, all, source, ...forKernels)}.so`), (temporary) => places.with(async () => {
        const began = performance.now();
        const file = `${temporary}.cpp`;
        writeFileSync(file, `#include "${precompiled}.h"\n${source}\nHOST_ENTRY(${kernel})\n`);
        const said = await gxx([...forKernels, '-shared', '-nostdlib', file, '-lm', '-o', temporary]).finally(() => rmSync(file));
        if (said !== undefined) throw new DeviceError(`g++: ${said}`);
        compiled.count++;
        compiled.ms += performance.now() - began;
      }));
      return readFileSync(path);
    },
  };
}

/** What stands in for libcuda, and a compiler for it. Throws DeviceError or MissingPackageError where they cannot be had here. */
export async function cudaHost(): Promise<{ koffi: Koffi; libcuda: string; compile: Compile; compiled: { count: number; ms: number } }> {
  const koffi = await importKoffi();
  const version = spawnSync('g++', ['--version'], { encoding: 'utf8' });
  if (process.platform !== 'linux' || version.status !== 0) throw new DeviceError('cuda-host: no C++ compiler (g++) on Linux');
  return { koffi, libcuda: await buildDriver(version.stdout), ...await hostCompiler(version.stdout) };
}

export interface CudaHostOptions extends Omit<CudaOptions, 'libcuda' | 'compile'> {
  /** 80 (the default) for compute capability 8.0. */
  readonly capability?: number;
  /** Told of each kernel that is asked for; gives the text that is compiled. */
  readonly edit?: (kernel: string, source: string) => string;
}

/**
 * Opens the device, whose time in software says nothing of a GPU's: it tunes nothing unless told to. Throws DeviceError or MissingPackageError
 * where it cannot be had here.
 */
export async function openCudaHost(
  { capability = 80, edit = (_kernel, source) => source, tuning = 'off', ...rest }: CudaHostOptions = {},
): Promise<CudaDeviceInfo> {
  const { koffi, libcuda, compile } = await cudaHost();
  koffi.load(libcuda).func('fovea_host_capability', 'void', ['int'])(capability);
  return cuda({ ...rest, tuning, libcuda, compile: (kernel, source, ...more) => compile(kernel, edit(kernel, source), ...more) });
}

/** Why there is no such device here; undefined where there is. */
export async function cudaHostAbsent(): Promise<string | undefined> {
  try {
    (await openCudaHost()).dispose();
    return undefined;
  } catch (error) {
    if (!(error instanceof DeviceError || error instanceof MissingPackageError)) throw error;
    return error.message;
  }
}
