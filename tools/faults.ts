/**
 * Do the tests see? Seeds faults into kernels (tools/faults/), one at a time, and runs the test that should see each.
 *
 *   node --import tsx tools/faults.ts                      all of them
 *   node --import tsx tools/faults.ts conv wgsl-pool       those with one of the words in name or file
 *   node --import tsx tools/faults.ts --list               names, what is wrong, and the test
 *   node --import tsx tools/faults.ts --jobs 2             two at a time
 *   node --import tsx tools/faults.ts --out FILE           keeps what was found in FILE.json and FILE.md, beside what other runs found
 *   node --import tsx tools/faults.ts --out FILE --rest    only those that FILE.json does not have as caught: goes on with what was stopped
 *
 * docs/faults.md is what --out docs/faults found.
 *
 * All of it happens in temporary copies of the tree. Each test is run without a fault first. A fault is caught where a test ran and
 * failed. One that does not compile, with which the file runs out of time or ends before a test has failed, proves nothing and counts
 * as a failure, as does one that nothing sees. One for an adapter that is not there is not tried, and said so. Exit code 0: all tried
 * were caught.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { clock, renderTable } from '../src/cli/terminal.ts';
import { cudaFaults } from './faults/cuda.ts';
import { cudaProductFaults } from './faults/cuda-products.ts';
import type { Fault, FaultTest } from './faults/fault.ts';
import { commandOf, environmentOf, withFault } from './faults/fault.ts';
import type { Result } from './faults/record.ts';
import { entryOf, readRecord, record } from './faults/record.ts';
import type { Ended } from './faults/verdict.ts';
import { skipped, verdictOf } from './faults/verdict.ts';
import { wasmFaults } from './faults/wasm.ts';
import { wgslFaults } from './faults/wgsl.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const copied = ['src', 'kernels', 'shaders', 'test', 'tools', 'package.json', 'tsconfig.json'];
const linked = ['node_modules', '.cache'];

/** Seconds for a test without a fault; with one, five times what that took, and at least four minutes: drivers compile what has changed anew. */
const LIMIT = 300;

/** Process groups that run, to be killed with this process, and trees, to be removed. */
const running = new Set<number>();
const trees = new Set<Tree>();

function run(cwd: string, args: readonly string[], env: Record<string, string>, limit: number): Promise<Ended> {
  const begun = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FOVEA_NO_DOWNLOAD: '1', FOVEA_WASM_BUILDS: 'simd', NO_COLOR: '1', FORCE_COLOR: '0', ...env },
    });
    running.add(child.pid!);
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const timer = setTimeout(() => {
      hung = true;
      process.kill(-child.pid!, 'SIGKILL');
    }, limit * 1000);
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(child.pid!);
      // Without the machine's own paths, wherever it goes.
      resolve({ code, output: output.replaceAll(`${cwd}/`, '').replaceAll(`${root}/`, ''), hung, seconds: (performance.now() - begun) / 1000 });
    });
  });
}

/** A copy of the tree, with what was generated from it. */
class Tree {
  readonly path = mkdtempSync(join(tmpdir(), 'fovea-faults-'));

  constructor() {
    trees.add(this);
    for (const name of copied) cpSync(join(root, name), join(this.path, name), { recursive: true });
    for (const name of linked) if (existsSync(join(root, name))) symlinkSync(join(root, name), join(this.path, name));
  }

  generate(): Promise<Ended> {
    return run(this.path, ['tools/generate.mjs', '--quiet'], {}, LIMIT);
  }

  test(test: FaultTest, limit: number): Promise<Ended> {
    return run(this.path, ['--import', 'tsx', test.file], environmentOf(test), limit);
  }

  put(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  /** Takes a file, and all that is generated, from the tree that this is a copy of. */
  restore(file: string): void {
    cpSync(join(root, file), join(this.path, file));
    cpSync(join(root, 'src/generated'), join(this.path, 'src/generated'), { recursive: true });
  }

  remove(): void {
    trees.delete(this);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** How tests end without a fault, each run once. */
const sound = new Map<string, Promise<Ended>>();

function withoutFault(tree: Tree, test: FaultTest): Promise<Ended> {
  const key = commandOf(test);
  const known = sound.get(key) ?? tree.test(test, LIMIT);
  sound.set(key, known);
  return known;
}

async function tryFault(tree: Tree, fault: Fault): Promise<Result> {
  const before = await withoutFault(tree, fault.test);
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  if (before.code !== 0) return { fault, verdict: 'fails without the fault', seconds: before.seconds, output: before.output };
  const absent = fault.test.needs === undefined ? undefined : skipped(before.output, fault.test.needs);
  if (absent !== undefined) return { fault, verdict: 'not tried', seconds: 0, output: absent };
  try {
    tree.put(fault.file, withFault(readFileSync(join(root, fault.file), 'utf8'), fault));
    const generated = await tree.generate();
    if (generated.code !== 0) return { fault, verdict: 'does not compile', seconds: seconds(), output: generated.output };
    const ended = await tree.test(fault.test, Math.max(240, 5 * before.seconds));
    return { fault, ...verdictOf(ended), seconds: seconds(), output: ended.output };
  } finally {
    tree.restore(fault.file);
  }
}

interface Options {
  readonly jobs: string;
  readonly list?: boolean;
  readonly out?: string;
  readonly rest?: boolean;
}

async function main(words: readonly string[], { jobs, list, out, rest }: Options): Promise<number> {
  const all = [...wasmFaults, ...wgslFaults, ...cudaFaults, ...cudaProductFaults];
  const named = all.filter(({ name, file }) => words.length === 0 || words.some((word) => name.includes(word) || file.includes(word)));
  if (named.length === 0) {
    console.error(`no fault has ${words.join(' or ')} in its name or file; --list shows all`);
    return 2;
  }
  if (rest && out === undefined) {
    console.error('--rest: expected --out FILE, whose record says what is left');
    return 2;
  }
  const caught = new Set(rest ? readRecord(out!).filter(({ verdict }) => verdict === 'caught').map(({ name }) => name) : []);
  const faults = named.filter(({ name }) => !caught.has(name));
  if (list) {
    for (const { name, what, file, test } of faults) console.log(`${name}: ${what}\n    ${file}\n    ${commandOf(test)}`);
    return 0;
  }
  const lanes = Number(jobs);
  if (!Number.isInteger(lanes) || lanes < 1) {
    console.error(`--jobs: expected an integer of 1 or more, got ${jobs}`);
    return 2;
  }
  // Entries that have fallen behind the code are told before anything is run.
  for (const fault of faults) withFault(readFileSync(join(root, fault.file), 'utf8'), fault);
  // Both builds, which trees are copied with; with a fault in it, a tree builds one.
  const made = await run(root, ['tools/generate.mjs', '--quiet'], { FOVEA_WASM_BUILDS: 'simd,relaxed' }, LIMIT);
  if (made.code !== 0) throw new Error(made.output);

  const results: Result[] = [];
  const begun = performance.now();
  const waiting = [...faults];
  const lane = async (): Promise<void> => {
    const tree = new Tree();
    try {
      for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
        const result = await tryFault(tree, fault);
        results.push(result);
        if (out !== undefined) record(out, all, results.map(entryOf));
        const left = ((performance.now() - begun) / 1000 / results.length) * (faults.length - results.length);
        console.log(`${results.length}/${faults.length}  ${result.verdict.padEnd(12)} ${fault.name}  ${result.seconds.toFixed(1)} s  `
          + `(${clock(left)} left)`);
        if (result.verdict !== 'caught') console.log(result.output.trim().slice(-2000).replace(/^/gm, '     | '));
      }
    } finally {
      tree.remove();
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, faults.length) }, lane));

  const order = (r: Result): number => faults.indexOf(r.fault);
  const rows = results.sort((a, b) => order(a) - order(b))
    .map(({ fault: { name, what, test }, verdict, failure }) => [name, what, failure?.test ?? test.file, verdict]);
  console.log(await renderTable({ head: ['fault', 'what is wrong', 'seen by', 'verdict'], rows }));
  const tried = results.filter(({ verdict }) => verdict !== 'not tried');
  const missed = tried.filter(({ verdict }) => verdict !== 'caught');
  console.log(`${tried.length - missed.length} of ${tried.length} faults caught, in ${clock((performance.now() - begun) / 1000)}`
    + (tried.length < results.length ? `; ${results.length - tried.length} not tried` : ''));
  for (const { fault, verdict } of missed) console.log(`${verdict}: ${fault.name}: ${commandOf(fault.test)}`);
  return missed.length > 0 ? 1 : 0;
}

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  process.on(signal, () => {
    for (const pid of running) process.kill(-pid, 'SIGKILL');
    for (const tree of trees) tree.remove();
    process.exit(code);
  });
}
const program = new Command('faults').argument('[words...]', 'only faults with one of these in name or file')
  .description('Seed faults into kernels and see that the tests see them.')
  .option('--jobs <n>', 'faults at a time', '1').option('--list', 'show them and run nothing')
  .option('--out <file>', 'keep what was found in FILE.json and FILE.md').option('--rest', 'only what FILE.json does not have as caught');
program.parse();
try {
  process.exitCode = await main(program.args, program.opts());
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
