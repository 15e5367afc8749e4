// Finds Chromium for the browser tests: on PATH, else Debian's package unpacked into .cache/chromium (nothing is
// installed on the system). FOVEA_NO_DOWNLOAD=1 forbids fetching it.
//
//   node tools/chromium.mjs
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { unpackPackages } from './debian.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache', 'chromium');
const TRIPLETS = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/**
 * @typedef {object} Chromium
 * @property {string} path
 * @property {Record<string, string>} env what to add to its environment
 */

/** @returns {Chromium | undefined} */
export function findChromium() {
  if (process.env.FOVEA_CHROMIUM) return { path: process.env.FOVEA_CHROMIUM, env: {} };
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const place of (process.env.PATH ?? '').split(delimiter)) {
      if (place !== '' && existsSync(join(place, name))) return { path: join(place, name), env: {} };
    }
  }
  if (!existsSync(join(folder, 'complete'))) return undefined;
  const triplet = TRIPLETS[process.arch] ?? '';
  const libraries = ['usr/lib', 'lib'].flatMap((path) => {
    return [join(folder, path, triplet), join(folder, path, triplet, 'pulseaudio'), join(folder, path, triplet, 'blas')];
  });
  const env = {
    LD_LIBRARY_PATH: libraries.filter((path) => existsSync(path)).join(':'),
    FONTCONFIG_PATH: existsSync('/etc/fonts/fonts.conf') ? '/etc/fonts' : join(folder, 'etc/fonts'),
  };
  return { path: join(folder, 'usr/lib/chromium/chromium'), env };
}

/** Whether it starts at all, and what it says if not. */
function probe({ path, env }) {
  const child = spawnSync(path, ['--version', '--no-sandbox'], {
    env: { ...process.env, ...env }, encoding: 'utf8', timeout: 60_000,
  });
  if (child.status === 0) return { version: child.stdout.trim() };
  return { reason: (child.stderr ?? child.error?.message ?? '').trim().split('\n')[0] || `ended with ${child.status}` };
}

/** @returns {{ chromium?: Chromium, version?: string, reason?: string }} Chromium, or why there is none and what to do */
export function ensureChromium() {
  let chromium = findChromium();
  if (chromium === undefined) {
    if (process.platform !== 'linux') return { reason: 'Chromium is not on PATH: install it, or set FOVEA_CHROMIUM' };
    const problem = unpackPackages({ packages: ['chromium'], folder, purpose: 'Chromium' });
    if (problem !== undefined) return { reason: problem };
    chromium = findChromium();
  }
  const { version, reason } = probe(chromium);
  return version === undefined ? { reason: `${chromium.path} does not start: ${reason}` } : { chromium, version };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { chromium, version, reason } = ensureChromium();
  console.log(chromium === undefined ? `Chromium: none: ${reason}` : `${version} (${chromium.path})`);
  process.exitCode = chromium === undefined ? 1 : 0;
}
