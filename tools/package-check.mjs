// Builds, packs, and checks the tarball as a user would meet it: its size and contents, publint, are-the-types-wrong,
// strict consumers under nodenext and bundler resolution, and Node itself importing every part.
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { build } from './build.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MAX_BYTES = 3_000_000;

function run(command, args, cwd = root) {
  const child = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 600_000 });
  const output = child.stdout ?? '';
  return { ok: child.status === 0, output, text: `${output}${child.stderr ?? ''}`.trim() };
}

function runNode(script, args, cwd) {
  return run(process.execPath, [join(root, 'node_modules', script), ...args], cwd);
}

/**
 * Packs what `dist` holds.
 * @returns {{ tarball: string, files: string[], bytes: number }}
 */
export function pack() {
  const folder = join(root, '.cache', 'pack');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { ok, text, output } = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  if (!ok) throw new Error(`npm pack failed: ${text}`);
  // npm 10 gives an array, npm 11 and later may give an object keyed by name.
  const parsed = JSON.parse(output.slice(output.search(/^[[{]/m)));
  const [{ filename, files }] = Array.isArray(parsed) ? parsed : Object.values(parsed);
  const tarball = join(folder, filename);
  return { tarball, files: files.map(({ path }) => path), bytes: statSync(tarball).size };
}

/** Unpacks the tarball as `node_modules/fovea` of a folder under .cache, whose other packages are the repository's. */
export function installInto(folder, tarball) {
  rmSync(folder, { recursive: true, force: true });
  const target = join(folder, 'node_modules', 'fovea');
  mkdirSync(target, { recursive: true });
  const { ok, text } = run('tar', ['-xzf', tarball, '-C', target, '--strip-components=1']);
  if (!ok) throw new Error(`cannot unpack ${tarball}: ${text}`);
  return target;
}

function contents({ files, bytes }, manifest) {
  if (bytes > MAX_BYTES) return `${bytes} bytes, more than ${MAX_BYTES}`;
  const has = (pattern) => files.some((file) => pattern.test(file));
  const missing = Object.entries({
    'LICENSE': /^LICENSE$/, 'README.md': /^README\.md$/, 'types': /^dist\/.*\.d\.ts$/, 'shaders': /\.wgsl$/,
    'kernels': /^kernels\/wasm\/.*\.ts$/, 'WASM': /^dist\/generated\/wasm-simd\.js$/,
  }).filter(([, pattern]) => !has(pattern)).map(([name]) => name);
  if (missing.length > 0) return `the tarball lacks ${missing.join(', ')}`;
  const bin = Object.values(manifest.bin ?? {}).map((path) => path.replace(/^\.\//, ''));
  const absent = bin.find((path) => !files.includes(path));
  if (absent !== undefined) return `"bin" names ${absent}, which is not in the tarball`;
  const known = /^(dist|shaders|kernels\/wasm)\/|^(README\.md|LICENSE|NOTICE|package\.json)$/;
  const stray = files.find((file) => !known.test(file));
  return stray === undefined ? undefined : `the tarball has ${stray}`;
}

/** Compiles test/package/consumer/main.ts, and an import of every part, against the installed tarball, with library checks on. */
function consume(mode, tarball, parts) {
  const folder = join(root, '.cache', 'consumer', mode);
  installInto(folder, tarball);
  const nodenext = mode === 'nodenext';
  const config = {
    compilerOptions: {
      target: 'es2023', strict: true, noEmit: true, skipLibCheck: false, exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      module: nodenext ? 'nodenext' : 'esnext', moduleResolution: nodenext ? 'nodenext' : 'bundler',
      // One consumer is a Node program without the DOM, the other a page without Node; neither has WebGPU's types.
      lib: nodenext ? ['es2023', 'esnext.disposable'] : ['es2023', 'esnext.disposable', 'dom'],
      types: nodenext ? ['node'] : [],
    },
    include: ['*.ts'],
  };
  const names = parts.map((part) => (part === '.' ? 'fovea' : `fovea${part.slice(1)}`));
  const imports = names.map((name, i) => `import * as part${i} from '${name}';\n`).join('');
  const uses = `console.log(${names.map((_, i) => `Object.keys(part${i}).length`).join(', ')});\n`;
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }\n');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'every-part.ts'), imports + uses);
  copyFileSync(join(root, 'test', 'package', 'consumer', 'main.ts'), join(folder, 'main.ts'));
  const { ok, text } = runNode('typescript/bin/tsc', ['-p', folder]);
  return ok ? undefined : text;
}

/** Node imports every part of the installed package; that changes no global, no environment variable and no flag. */
function importParts(tarball, parts) {
  const folder = join(root, '.cache', 'consumer', 'node');
  installInto(folder, tarball);
  const names = parts.map((part) => (part === '.' ? 'fovea' : `fovea${part.slice(1)}`));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }\n');
  writeFileSync(join(folder, 'import.js'), `
    const state = () => JSON.stringify([Object.getOwnPropertyNames(globalThis).sort(), process.env, process.execArgv]);
    const before = state();
    for (const name of ${JSON.stringify(names)}) {
      const part = await import(name);
      if (Object.keys(part).length === 0) throw new Error(name + ' exports nothing');
    }
    if (state() !== before) throw new Error('importing changes globals or the environment');
  `);
  const { ok, text } = run(process.execPath, [join(folder, 'import.js')], folder);
  return ok ? undefined : text;
}

function help(tarball, manifest) {
  const folder = join(root, '.cache', 'consumer', 'bin');
  const target = installInto(folder, tarball);
  for (const [name, path] of Object.entries(manifest.bin ?? {})) {
    const first = readFileSync(join(target, path), 'utf8').split('\n')[0];
    if (first !== '#!/usr/bin/env node') return `${path} does not begin with #!/usr/bin/env node`;
    const { ok, text } = run(process.execPath, [join(target, path), '--help'], folder);
    if (!ok || !text.includes('Usage')) return `${name} --help: ${text}`;
  }
  return undefined;
}

/** @returns {Promise<{ name: string, problem: string | undefined, seconds: number }[]>} */
export async function checkPackage() {
  const results = [];
  const check = async (name, body) => {
    const start = performance.now();
    let problem;
    try {
      problem = await body();
    } catch (error) {
      problem = error.message;
    }
    results.push({ name, problem, seconds: (performance.now() - start) / 1000 });
    return problem === undefined;
  };
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const parts = Object.keys(manifest.exports ?? {}).filter((part) => !part.endsWith('.json'));
  const built = await check('build', async () => ((await build()) === 0 ? undefined : 'tsc found errors: see above'));
  if (!built) return results;
  let packed;
  if (!(await check('pack', () => void (packed = pack())))) return results;
  const { tarball, bytes } = packed;
  await check(`contents (${(bytes / 1e6).toFixed(2)} MB of ${MAX_BYTES / 1e6})`, () => contents(packed, manifest));
  await check('publint', () => {
    const { ok, text } = runNode('publint/src/cli.js', ['run', tarball, '--strict']);
    return ok ? undefined : text;
  });
  await check('are the types wrong', () => {
    const args = [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'];
    const { ok, text } = runNode('@arethetypeswrong/cli/dist/index.js', args);
    return ok ? undefined : text;
  });
  await check('a strict consumer, nodenext', () => consume('nodenext', tarball, parts));
  await check('a strict consumer, bundler', () => consume('bundler', tarball, parts));
  await check('Node imports every part', () => importParts(tarball, parts));
  await check('fovea --help', () => help(tarball, manifest));
  return results;
}
