// Builds the package into dist: generated sources, the parts named in package.json (tools/exports.mjs), then the
// TypeScript compiler (declarations included).
//
//   node tools/build.mjs
import { renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { writeExports } from './exports.mjs';
import { generate } from './generate.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @returns {Promise<number>} exit code */
export async function build() {
  await generate();
  if (writeExports()) console.log('package.json: parts brought up to date; commit it');
  const partial = join(root, '.cache', `build-${process.pid}`);
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', partial];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) {
    // A build that fails leaves the last good one.
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    renameSync(partial, join(root, 'dist'));
  }
  rmSync(partial, { recursive: true, force: true });
  return status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await build().catch((error) => {
    console.error(error.message);
    return 1;
  });
}
