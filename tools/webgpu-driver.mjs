// Gets the software WebGPU driver (Mesa's llvmpipe) for a machine without a GPU: Debian packages are downloaded and
// unpacked into .cache/mesa. Nothing is installed on the system and no root is needed.
//
//   node tools/webgpu-driver.mjs            fetch it if no adapter is found without it
//   node tools/webgpu-driver.mjs --probe    say which adapter there is; exit code 1 if none
//   node tools/webgpu-driver.mjs --force    have the packages unpacked even where the system has Mesa
//   node tools/webgpu-driver.mjs --lavapipe fetch Mesa's Vulkan driver too, which has f16, subgroups and timestamps
//
// FOVEA_NO_DOWNLOAD=1 forbids downloads. Plain JavaScript, so that it runs before anything is built.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { debianRelease, unpackPackages } from './debian.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache', 'mesa');
const PACKAGES = ['libegl1', 'libegl-mesa0', 'libgles2', 'libgl1-mesa-dri'];

/**
 * Runs a compute shader on whatever adapter there is, in a process of its own (a driver that crashes takes only that
 * down, and Dawn reads its environment once).
 * @returns {{ adapter?: string, reason?: string }}
 */
export function probe(env = process.env) {
  const script = join(root, 'tools', 'webgpu-probe.ts');
  const child = spawnSync(process.execPath, ['--import', 'tsx', script], {
    cwd: root, env, encoding: 'utf8', timeout: 60_000,
  });
  const line = (child.stdout ?? '').split('\n').find((text) => text.startsWith('adapter: '));
  if (child.status === 0 && line !== undefined) return { adapter: line.slice('adapter: '.length) };
  const said = (child.stderr ?? '').split('\n').filter((text) => /\S/.test(text) && !text.startsWith('Warning: max'));
  return { reason: said.slice(-1)[0] ?? `the probe ended with ${child.signal ?? child.status}` };
}

/**
 * Fetches and unpacks the driver if it is not there yet.
 * @returns {string | undefined} why not, with what to do
 */
export function unpackDriver({ all = true } = {}) {
  if (existsSync(join(folder, 'complete'))) return undefined;
  return unpackPackages({ packages: PACKAGES, folder, purpose: 'a software WebGPU driver (Mesa llvmpipe)', all });
}

/**
 * Makes sure that there is a WebGPU adapter where one can be had.
 * @returns {{ adapter?: string, reason?: string }} the adapter, or why there is none and what to do
 */
export function ensureDriver({ force = false } = {}) {
  const first = force ? {} : probe();
  if (first.adapter !== undefined) return first;
  if (process.platform !== 'linux') return { reason: first.reason };
  const problem = unpackDriver({ all: force });
  if (problem !== undefined) return { reason: problem };
  return probe(force ? { ...process.env, FOVEA_MESA: folder } : process.env);
}

const lavapipeFolder = join(root, '.cache', 'lavapipe');

/** Releases whose own Mesa is too old to start under Dawn. */
const needsBackports = new Set(['bookworm']);

/**
 * Fetches and unpacks Mesa's software Vulkan driver if it is not there yet, for tests of kernels that need a GPU's features.
 * @returns {string | undefined} why not, with what to do
 */
export function ensureLavapipe() {
  if (process.platform !== 'linux') return 'lavapipe is fetched from Debian\'s packages, on Linux alone';
  if (existsSync(join(lavapipeFolder, 'complete'))) return undefined;
  const debian = debianRelease();
  const backports = debian !== undefined && needsBackports.has(debian.release) ? debian : undefined;
  return unpackPackages({
    packages: ['mesa-vulkan-drivers', 'libvulkan1'], folder: lavapipeFolder, purpose: 'a software Vulkan driver (Mesa lavapipe)', backports,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--lavapipe')) {
    const problem = ensureLavapipe();
    console.log(`lavapipe: ${problem ?? 'ready'}`);
  }
  const result = process.argv.includes('--probe') ? probe() : ensureDriver({ force: process.argv.includes('--force') });
  console.log(result.adapter === undefined ? `WebGPU: none: ${result.reason}` : `WebGPU: ${result.adapter}`);
  process.exitCode = result.adapter === undefined ? 1 : 0;
}
