// Keeps what package.json says of the package's parts in step with the sources:
//
//   exports   `.` for src/index.ts and `./PART` for each public src/PART/index.ts
//   browser   files that only Node can run (they import Node's modules at once, or say "Node only; reach it by dynamic import"; the
//             rest reaches them by dynamic import), and the modules that only Node has: bundlers for browsers leave them out
//
//   node tools/exports.mjs           say what differs; exit code 1 if anything does
//   node tools/exports.mjs --write   bring package.json up to date
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The parts that users may import by name; the others are reached through `.`. */
const PARTS = ['nn', 'models', 'optim', 'data', 'train', 'formats', 'screening', 'testing'];

/** What a browser does not have: optional packages, and those modules of Node's that sources load dynamically. */
const NODE_ONLY = [
  'webgpu', 'sharp', 'koffi',
  ...['child_process', 'crypto', 'fs', 'fs/promises', 'module', 'os', 'path', 'process', 'stream', 'stream/promises',
    'url', 'util', 'v8', 'worker_threads', 'zlib'].map((name) => `node:${name}`),
];

function entry(path) {
  return {
    types: `./dist/${path}.d.ts`,
    node: `./dist/${path}.js`,
    browser: `./dist/${existsSync(join(root, 'src', `${path}.browser.ts`)) ? `${path}.browser` : path}.js`,
    default: `./dist/${path}.js`,
  };
}

function sources() {
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && one.name.endsWith('.ts'))
    .map((one) => relative(join(root, 'src'), join(one.parentPath ?? one.path, one.name)).replaceAll('\\', '/'))
    .sort();
}

/** What package.json should have. */
export function wanted() {
  const exports = {};
  if (existsSync(join(root, 'src', 'index.ts'))) exports['.'] = entry('index');
  for (const part of PARTS) {
    if (existsSync(join(root, 'src', part, 'index.ts'))) exports[`./${part}`] = entry(`${part}/index`);
  }
  exports['./package.json'] = './package.json';
  const browser = {};
  for (const file of sources()) {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    // `import type` is erased, so it ties nothing to Node.
    const names = (pattern) => [...text.matchAll(pattern)].map((match) => match[1]);
    const values = names(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+'([^']+)'/gm);
    const isNodeOnly = (name) => name.startsWith('node:') || NODE_ONLY.includes(name);
    if (file.startsWith('cli/')) continue;
    const [opening = ''] = /^\/\*\*[^]*?\*\//.exec(text) ?? [];
    const saysSo = /Node only;\s[*\s]*reach it by dynamic import/.test(opening);
    if (values.some(isNodeOnly) || saysSo) browser[`./dist/${file.replace(/\.ts$/, '.js')}`] = false;
  }
  for (const name of NODE_ONLY) browser[name] = false;
  return { exports, browser };
}

/** @returns {string[]} what differs, in words */
export function differences() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return Object.entries(wanted()).flatMap(([field, value]) => {
    const same = JSON.stringify(manifest[field]) === JSON.stringify(value);
    return same ? [] : [`package.json: "${field}" is not what the sources say: run node tools/exports.mjs --write`];
  });
}

/** Brings package.json up to date. Returns whether anything had to change. */
export function writeExports() {
  if (differences().length === 0) return false;
  const path = join(root, 'package.json');
  const manifest = { ...JSON.parse(readFileSync(path, 'utf8')), ...wanted() };
  writeFileSync(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) writeExports();
  else {
    for (const line of differences()) {
      console.error(line);
      process.exitCode = 1;
    }
  }
}
