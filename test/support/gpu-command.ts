/** The command tools/gpu.ts as tests run it: at small settings, where nothing of the machine is in its way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseBenchmarkOptions } from '../../src/benchmark/options.ts';
import type { BenchmarkOptions } from '../../src/benchmark/options.ts';

export const root: string = fileURLToPath(new URL('../../', import.meta.url));

/** Of what is written, until the process ends. */
export const folder: string = mkdtempSync(join(tmpdir(), 'fovea-gpu-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** What the benchmark makes of a part's arguments. */
export function optionsOf(args: readonly string[]): BenchmarkOptions {
  const given: Record<string, unknown> = {};
  for (let i = 1; i < args.length; i++) {
    const name = args[i].replace(/^--(no-)?/, '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    given[name] = args[i].startsWith('--no-') ? false : args[i + 1]?.startsWith('--') !== false ? true : args[++i];
  }
  return parseBenchmarkOptions(given, (name) => name);
}

export const commandOf = (...args: string[]): string[] => ['--import', 'tsx', 'tools/gpu.ts', '--devices', 'cpu', '--quick', '--out', folder, ...args];

/** Without a driver, and without fixtures, as where a GPU is lent. */
export const environment = (env: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...process.env, FOVEA_LIBCUDA: '/nowhere/libcuda.so.1', FOVEA_SHARED: folder,
  FOVEA_CUDA_RUNG: undefined, FOVEA_CUDA_PROLOGUES: undefined, FOVEA_CUDA_CHECK: undefined, FOVEA_OPS: undefined, ...env,
});
