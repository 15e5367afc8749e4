/** The CUDA driver and NVRTC that tests build from C: what they record, and how they are made to fail. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Koffi } from '../../../src/device/cuda/bindings.ts';
import { importKoffi } from '../../../src/device/cuda/bindings.ts';
import { MissingPackageError } from '../../../src/errors.ts';

/** As fake_libcuda.c documents them. */
export interface FakeDriver {
  readonly path: string;
  /** A fresh driver with one GPU of compute capability 9.0, 1 GiB and CUDA 13.0. Returns how many things the one before still held. */
  reset(): number;
  fail(call: string, nth: number, code: number): void;
  failKernel(name: string, code: number): void;
  time(kernel: string, blocks: number, ms: number): void;
  set(key: 'version' | 'count' | 'major' | 'minor' | 'pools' | 'total' | 'hold', value: number): void;
  /** Names of the calls since the reset. */
  calls(): string[];
  launches(): { kernel: string; grid: number[]; block: number; shared: number; args: Buffer }[];
  /** What is held: `{ memory: 2, modules: 0, ... }`. */
  live(): Record<string, number>;
  threshold(): number | bigint;
}

export interface FakeNvrtc {
  readonly path: string;
  compilations(): number;
  /** The last source, and behind it a line for each header with its name and length. */
  source(): string;
}

/** The folder of all that is built, until the process ends. */
export const folder: string = mkdtempSync(join(tmpdir(), 'fovea-cuda-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Compiles a C file beside this one to a shared library. */
function build(file: string, name: string): string {
  const path = join(folder, name);
  const source = fileURLToPath(new URL(file, import.meta.url));
  const child = spawnSync('cc', ['-std=gnu11', '-O1', '-shared', '-fPIC', '-o', path, source], { encoding: 'utf8' });
  if (child.status !== 0) throw new Error(child.stderr);
  return path;
}

/** Builds both, or says why that cannot be. */
export async function buildFakes(): Promise<{ driver: FakeDriver; nvrtc: FakeNvrtc; reason?: undefined } | { reason: string }> {
  let koffi: Koffi;
  try {
    koffi = await importKoffi();
  } catch (error) {
    if (error instanceof MissingPackageError) return { reason: error.message };
    throw error;
  }
  if (process.platform !== 'linux' || spawnSync('cc', ['--version']).status !== 0) return { reason: 'no C compiler (cc) on Linux' };
  return { driver: fakeDriver(koffi, build('fake_libcuda.c', 'libcuda.so.1')), nvrtc: fakeNvrtc(koffi, build('fake_nvrtc.c', 'libnvrtc.so.13')) };
}

function fakeDriver(koffi: Koffi, path: string): FakeDriver {
  const library = koffi.load(path);
  const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
  const log = library.func('fake_log', 'str', []), launched = library.func('fake_launches', 'str', []);
  const live = library.func('fake_live', 'str', []);
  return {
    path,
    reset: library.func('fake_reset', 'int', []) as () => number,
    fail: library.func('fake_fail', 'void', ['str', 'int', 'int']) as FakeDriver['fail'],
    failKernel: library.func('fake_fail_kernel', 'void', ['str', 'int']) as FakeDriver['failKernel'],
    time: library.func('fake_time', 'void', ['str', 'uint', 'int']) as FakeDriver['time'],
    set: library.func('fake_set', 'void', ['str', 'uint64']) as FakeDriver['set'],
    threshold: library.func('fake_threshold', 'uint64', []) as FakeDriver['threshold'],
    calls: () => lines(log() as string),
    launches: () => lines(launched() as string).map((line) => {
      const [kernel, x, y, z, block, shared, args] = line.split(' ');
      return { kernel, grid: [x, y, z].map(Number), block: Number(block), shared: Number(shared), args: Buffer.from(args, 'hex') };
    }),
    live: () => {
      const words = (live() as string).split(' ');
      return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 ? [[word, Number(words[i + 1])]] : [])));
    },
  };
}

function fakeNvrtc(koffi: Koffi, path: string): FakeNvrtc {
  const library = koffi.load(path);
  return {
    path,
    compilations: library.func('fake_compilations', 'int', []) as () => number,
    source: library.func('fake_source', 'str', []) as () => string,
  };
}
