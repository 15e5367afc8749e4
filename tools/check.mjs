// The static checks. `npm run check` runs all, `node tools/check.mjs NAME...` those named.
//
//   types     tsc, strict, over sources, tests, tools and benchmarks
//   lint      eslint
//   imports   dependency-cruiser: imports point one way (.dependency-cruiser.cjs)
//   exports   package.json names the parts that there are
//   lines     no line over 160 columns
//   package   builds, packs, and checks the tarball as a user would meet it (tools/package-check.mjs)
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { generate } from './generate.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program of node_modules. Its output is shown when it fails. */
function tool(path, ...args) {
  const script = join(root, 'node_modules', ...path.split('/'));
  if (!existsSync(script)) return `${path} is missing: run npm ci`;
  const child = spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  return child.status === 0 ? undefined : `${child.stdout}${child.stderr}`.trim() || `ended with ${child.status}`;
}

function longLines() {
  const found = [];
  for (const folder of ['src', 'test', 'tools', 'bench', 'kernels', 'shaders']) {
    if (!existsSync(join(root, folder))) continue;
    for (const one of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      const path = relative(root, join(one.parentPath ?? one.path, one.name));
      if (!one.isFile() || !/\.(ts|mjs|wgsl|cu)$/.test(path) || /generated|node_modules/.test(path)) continue;
      readFileSync(join(root, path), 'utf8').split('\n').forEach((line, i) => {
        // A string that cannot be broken without harm, as a published vector, may say so.
        if (line.length > 160 && !line.includes('long line')) found.push(`${path}:${i + 1}: ${line.length} columns`);
      });
    }
  }
  return found.length > 0 ? found.join('\n') : undefined;
}

/** Each returns what is wrong, or `undefined`; `package` returns several. */
const checks = {
  types: () => tool('typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json'),
  lint: () => tool('eslint/bin/eslint.js', '.', '--max-warnings', '0'),
  imports: () => tool('dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.cjs', 'src'),
  exports: async () => {
    const { differences } = await import('./exports.mjs');
    return differences().join('\n') || undefined;
  },
  lines: longLines,
  package: async () => (await import('./package-check.mjs')).checkPackage(),
};

/**
 * Runs checks and prints a line for each.
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runChecks(names = Object.keys(checks)) {
  const count = { passed: 0, failed: 0 };
  await generate();
  const note = (name, problem, seconds) => {
    count[problem === undefined ? 'passed' : 'failed'] += 1;
    console.log(`${problem === undefined ? 'ok  ' : 'FAIL'} ${name}  ${seconds.toFixed(1)} s`);
    if (problem !== undefined) console.log(problem.replace(/^/gm, '     | '));
  };
  for (const name of names) {
    const start = performance.now();
    const took = () => (performance.now() - start) / 1000;
    try {
      const result = await checks[name]();
      if (Array.isArray(result)) for (const one of result) note(`${name}: ${one.name}`, one.problem, one.seconds);
      else note(name, result, took());
    } catch (error) {
      note(name, error.stack, took());
    }
  }
  return count;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !(name in checks));
  if (unknown !== undefined) {
    console.error(`no check named ${unknown}; there are ${Object.keys(checks).join(', ')}`);
    process.exit(2);
  }
  const { passed, failed } = await runChecks(names.length > 0 ? names : undefined);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
