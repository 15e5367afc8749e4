import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from '../../../tools/build.mjs';
import { installInto, pack } from '../../../tools/package-check.mjs';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const pages = join(root, 'test', 'browser', 'pages');

/** A folder with the packed package in node_modules and the pages of test/browser/pages beside it. */
export async function installPacked(): Promise<string> {
  if ((await build()) !== 0) throw new Error('the package does not build: see above');
  const { tarball } = pack();
  const folder = join(root, '.cache', 'consumer', 'browser');
  installInto(folder, tarball);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }\n');
  for (const file of readdirSync(pages)) copyFileSync(join(pages, file), join(folder, file));
  return folder;
}

/**
 * Bundles a page as a user would: `esbuild PAGE --bundle --format=esm`, without a configuration or polyfills.
 *
 * @returns path of the bundle
 * @throws Error with esbuild's words
 */
export function bundle(folder: string, page: string, ...options: string[]): string {
  const out = join(folder, 'out', page);
  mkdirSync(dirname(out), { recursive: true });
  const args = [page, '--bundle', '--format=esm', '--log-level=warning', `--outfile=${out}`, ...options];
  const child = spawnSync(join(root, 'node_modules', '.bin', 'esbuild'), args, { cwd: folder, encoding: 'utf8' });
  if (child.status !== 0) throw new Error(`esbuild ${args.join(' ')}\n${child.stderr}`);
  return out;
}

/** Bytes of `import * from 'fovea'`, minified and gzipped, without the WASM and the shaders. */
export function coreSize(folder: string): number {
  writeFileSync(join(folder, 'core.js'), "import * as fovea from 'fovea';\nglobalThis.fovea = fovea;\n");
  const generated = join(folder, 'node_modules', 'fovea', 'dist', 'generated');
  const kept = ['wasm-simd.js', 'wasm-relaxed.js', 'shaders.js'].filter((file) => existsSync(join(generated, file)));
  const texts = kept.map((file) => readFileSync(join(generated, file)));
  try {
    for (const file of kept) writeFileSync(join(generated, file), emptied(readFileSync(join(generated, file), 'utf8')));
    return gzipSync(readFileSync(bundle(folder, 'core.js', '--minify')), { level: 9 }).byteLength;
  } finally {
    kept.forEach((file, i) => writeFileSync(join(generated, file), texts[i]));
  }
}

/** The same exports, with nothing in them. */
function emptied(text: string): string {
  return [...text.matchAll(/^export const (\w+)/gm)].map(([, name]) => `export const ${name} = '';\n`).join('');
}
