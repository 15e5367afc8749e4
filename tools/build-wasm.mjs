/**
 * Compiles kernels/wasm/*.ts with AssemblyScript into src/generated/wasm-simd.ts and wasm-relaxed.ts (base64 in a module, so that
 * bundlers need no loader). Every exported function of these files is a kernel, found by its name; files under lib/ are theirs to
 * share. Elementwise kernels are written first, from src/ops/unary-expressions.ts, binary-expressions.ts and the one template.
 *
 * `node tools/build-wasm.mjs [--force]`, or `import { buildWasm }` from tools/generate.mjs: `await buildWasm()` does nothing when
 * sources and compiler are unchanged. It returns the names of the files written.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'kernels/wasm');
const outFolder = join(root, 'src/generated');

/** What goes to the compiler, by name; `elementwise.ts` comes from the template. */
async function sources() {
  const files = new Map();
  for (const part of ['', 'lib/']) {
    for (const name of readdirSync(join(folder, part)).filter((n) => n.endsWith('.ts')).sort()) {
      files.set(part + name, readFileSync(join(folder, part, name), 'utf8'));
    }
  }
  const template = join(folder, 'elementwise.template.mjs');
  if (existsSync(template)) {
    const { elementwiseSource } = await import(pathToFileURL(template).href);
    files.set('elementwise.ts', await elementwiseSource(root));
  }
  return files;
}

/** Both; FOVEA_WASM_BUILDS=simd leaves the relaxed one as it is, for tools/faults.ts, which builds again and again. */
function wantedBuilds() {
  const builds = ['simd', 'relaxed'];
  const wanted = process.env.FOVEA_WASM_BUILDS?.split(',') ?? builds;
  return builds.filter((name) => wanted.includes(name));
}

export async function buildWasm({ force = false, log = console.log } = {}) {
  const files = await sources();
  const version = createRequire(import.meta.url)('assemblyscript/package.json').version;
  const digest = createHash('sha256').update(`asc ${version}\n${readFileSync(fileURLToPath(import.meta.url), 'utf8')}`);
  for (const [name, text] of files) digest.update(`${name}\n${text}\n`);
  const hash = digest.digest('hex').slice(0, 16);
  mkdirSync(outFolder, { recursive: true });
  const written = [];
  for (const variant of wantedBuilds()) {
    const target = join(outFolder, `wasm-${variant}.ts`);
    if (!force && existsSync(target) && readFileSync(target, 'utf8').slice(0, 400).includes(hash)) continue;
    const started = Date.now();
    const { default: asc } = await import('assemblyscript/asc');
    let binary;
    const entries = [...files.keys()].filter((name) => !name.includes('/'));
    const options = [
      ...entries, '--outFile', 'out.wasm', '--runtime', 'stub', '--noAssert', '--use', 'abort=', '--disableWarning', '112',
      '--optimizeLevel', '3', '--shrinkLevel', '0', '--importMemory', '--sharedMemory',
      '--initialMemory', '16', '--maximumMemory', '65536', '--memoryBase', '1024', '--exportTable',
      '--enable', 'threads', '--enable', 'simd', '--enable', 'bulk-memory',
      ...(variant === 'relaxed' ? ['--enable', 'relaxed-simd'] : []),
    ];
    let messages = '';
    const { error } = await asc.main(options, {
      stdout: { write: (text) => { messages += text; } },
      stderr: { write: (text) => { messages += text; } },
      readFile: (name) => files.get(name.replaceAll('\\', '/').replace(/^\.\//, '')) ?? null,
      writeFile: (name, contents) => { if (name.endsWith('.wasm')) binary = contents; },
      listFiles: () => [],
    });
    if (error || !binary) throw new Error(`AssemblyScript failed (${variant}): ${error?.message ?? ''}\n${messages}`);
    if (messages.trim()) log(messages.trim());
    const text = Buffer.from(binary).toString('base64');
    const temporary = `${target}.${process.pid}.tmp`;
    writeFileSync(temporary,
      `// Written by tools/build-wasm.mjs from kernels/wasm; not for editing.\nexport const hash: string = '${hash}';\n`
      + `export const wasm: string = '${text}';\n`);
    renameSync(temporary, target);
    written.push(`wasm-${variant}.ts`);
    log(`kernels/wasm -> src/generated/wasm-${variant}.ts, ${binary.length} bytes, ${Date.now() - started} ms`);
  }
  return written;
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  await buildWasm({ force: process.argv.includes('--force') });
}
