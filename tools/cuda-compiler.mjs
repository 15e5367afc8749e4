// Gets NVRTC, CUDA's compiler as a library, for tests on a machine that has none: NVIDIA's Python package is unpacked into .cache/cuda, where
// the product looks too. There need be no GPU, and nothing is installed on the system.
//
//   node tools/cuda-compiler.mjs
//
// It takes some 170 MB. FOVEA_NO_DOWNLOAD=1 forbids downloads; without Python's pip, tests that need NVRTC are skipped by name.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache', 'cuda');

/** A version that the kernels are known to compile with: the table of resources is of it. */
const PACKAGE = 'nvidia-cuda-nvrtc>=13,<14';

/**
 * Fetches NVRTC if it is not there yet.
 * @returns {string | undefined} why not, with what to do
 */
export function ensureNvrtc() {
  if (existsSync(join(folder, 'complete')) || process.env.FOVEA_NVRTC) return undefined;
  if (process.platform !== 'linux') return 'NVRTC is fetched on Linux alone';
  const command = `python3 -m pip install --target .cache/cuda "${PACKAGE}"`;
  if (process.env.FOVEA_NO_DOWNLOAD === '1') return `FOVEA_NO_DOWNLOAD=1 forbids fetching NVRTC: ${command}`;
  mkdirSync(folder, { recursive: true });
  console.log(command);
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--upgrade', '--target', folder, PACKAGE];
  const child = spawnSync('python3', args, { encoding: 'utf8', timeout: 600_000 });
  if (child.status !== 0) return `${command} failed: ${(child.stderr || child.error?.message || '').trim().split('\n').slice(-1)[0]}`;
  writeFileSync(join(folder, 'complete'), '');
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = ensureNvrtc();
  if (problem !== undefined) {
    console.error(problem);
    process.exitCode = 1;
  }
}
