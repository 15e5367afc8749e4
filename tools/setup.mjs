// Sets up what is missing on a fresh clone: packages, generated sources and, with --driver, a software WebGPU driver
// where there is no adapter; with --lavapipe one more, which tests of f16 and subgroups need. `npm test` and `npm run train` begin with
// it; it needs nothing but Node.js and npm.
//
//   node tools/setup.mjs [--driver] [--lavapipe]
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Why packages must be installed, or `undefined` when node_modules holds what package-lock.json names. */
function whyInstall() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'node_modules is missing';
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages;
  for (const [path, { version, optional, devOptional }] of Object.entries(locked)) {
    if (path === '' || present[path]?.version === version) continue;
    // Packages for other platforms are absent by right.
    if (present[path] === undefined && (optional || devOptional)) continue;
    return `${path} is not of version ${version}`;
  }
  return undefined;
}

/** @throws Error that says what to do, when a step cannot be done */
export async function setUp({ driver = true, lavapipe = false } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new Error(`Node.js 20 or later is needed; this is ${major}.${minor}`);
  const reason = whyInstall();
  if (reason !== undefined) {
    if (process.env.FOVEA_NO_DOWNLOAD === '1') {
      throw new Error(`${reason}, and FOVEA_NO_DOWNLOAD=1 forbids fetching it: unset it, or run npm ci`);
    }
    console.log(`npm ci    (${reason})`);
    const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    // npm is a script for a shell on Windows, a program elsewhere.
    const child = spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
    if (child.status !== 0) throw new Error('npm ci failed: see above');
  }
  const { generate } = await import('./generate.mjs');
  const written = await generate();
  if (written.length > 0) console.log(`generated src/generated: ${written.join(', ')}`);
  if (!driver) return;
  const { ensureDriver, ensureLavapipe } = await import('./webgpu-driver.mjs');
  const { adapter, reason: why } = ensureDriver();
  console.log(adapter === undefined ? `WebGPU: none: ${why}` : `WebGPU: ${adapter}`);
  const problem = lavapipe ? ensureLavapipe() : undefined;
  if (problem !== undefined) console.log(`lavapipe: none: ${problem}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setUp({ driver: process.argv.includes('--driver'), lavapipe: process.argv.includes('--lavapipe') }).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
