/**
 * Everything that a GPU is asked for, by one command, in parts that fit into the minutes for which one is lent: what is found there, the op
 * suite on it, and the benchmark beside PyTorch with cuDNN. Nothing is fetched, and nothing built but the kernels that are run.
 *
 *   npm run gpu                                      all parts, as far as the time goes
 *   npm run gpu -- --plan                            what they are
 *   npm run gpu -- --parts kernels,suite,step-128 --limit 540
 *
 * On a machine without npm: `node --import tsx tools/gpu.ts`, with src/generated as it was made before (node tools/generate.mjs).
 *
 * Files go to FOLDER/bench-results as DEVICE-PART-DATE.json (or .txt), and to DEVICE-parts-DATE.json what became of each part; with --keep
 * figures are copied to bench/results. A part that the limit does not leave time for is not begun, and named with the command that runs it.
 * Nothing runs on a device that is not there, nor on a software adapter where `webgpu` was asked for, nor do parts for Hopper's own kernels on another
 * GPU: that is said to be not run, and why. Exit code 1 where a part failed or was not run on all that was asked for, 2 for a wrong option, 130 where it
 * was interrupted.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { Report } from '../src/benchmark/types.ts';
import { exitCodes } from '../src/cli/exit.ts';
import { OptionError } from '../src/errors.ts';
import { runTool } from './command.ts';
import { refusalOf } from './gpu/look.ts';
import type { Looks } from './gpu/look.ts';
import { checkEnvironment, chosenParts, devicesOf, planOf } from './gpu/options.ts';
import { parts } from './gpu/parts.ts';
import type { Part, Settings } from './gpu/parts.ts';
import { allPassed, keep, passedOver } from './gpu/results.ts';
import type { Outcome } from './gpu/results.ts';
import { generate } from './generate.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Where measured figures are kept, under version control. */
const results = join(root, 'bench/results');

/** Seconds that a part has to write what it measured, once it was told to end. */
const ENDING = 15;

/** `h100` of `cuda:0 (NVIDIA H100 80GB HBM3)`, `llvmpipe` of `webgpu (llvmpipe, LLVM 15)`: of the first device that is there. */
export function deviceWord(listing: string, devices: readonly string[]): string {
  const there = [...listing.matchAll(/^yes +(cuda|webgpu|cpu)\S* \((.*?)\)?:/gm)]
    .filter(([, kind]) => devices.some((d) => d.startsWith(kind)));
  const best = there.find(([, kind]) => kind === 'cuda') ?? there[0];
  if (best === undefined || best[1] === 'cpu') return best === undefined ? 'none' : 'cpu';
  const words = best[2].split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && !/^(nvidia|tesla|geforce|gpu)$/i.test(word));
  return (words[0] ?? 'gpu').toLowerCase();
}

/** Whether somebody stops this. */
let stopping = false;

/** The part that is under way. */
let current: ChildProcess | undefined;

/** The first signal lets a part write what it measured, and begins no other; the second ends all at once. */
function stop(): void {
  if (stopping) {
    current?.kill('SIGKILL');
    process.exit(exitCodes.interrupted);
  }
  stopping = true;
  current?.kill('SIGINT');
}

/**
 * Runs a part under its limit. What it prints goes to the terminal, and to a file. It is in a group of its own: a terminal's Ctrl-C comes to this
 * process alone, which tells it once, so that it writes what it measured.
 */
function run(
  { args, env }: Pick<Part, 'args' | 'env'>, log: string, seconds: number,
): Promise<{ code: number; late: boolean; said: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
      cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, detached: true,
    });
    const file = createWriteStream(log);
    let said = '';
    let late = false;
    for (const [stream, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        file.write(text);
        to.write(text);
      });
    }
    const timers = Number.isFinite(seconds) ? [
      setTimeout(() => {
        late = true;
        child.kill('SIGINT');
      }, Math.max(1, seconds - ENDING) * 1000),
      setTimeout(() => child.kill('SIGKILL'), Math.max(2, seconds) * 1000),
    ] : [];
    current = child;
    child.on('close', (code) => {
      timers.forEach((timer) => clearTimeout(timer));
      current = undefined;
      file.end(() => resolve({ code: code ?? 1, late, said }));
    });
  });
}

/** Looks which devices will do, in a process that a driver may take with it; within so many seconds. */
async function look(devices: readonly string[], folder: string, seconds: number): Promise<Looks> {
  const file = join(folder, 'look.json'), log = join(folder, 'look.txt');
  rmSync(file, { force: true });
  const { code, late } = await run({ args: ['tools/gpu/look.ts', file, ...devices] }, log, seconds);
  rmSync(log);
  if (!existsSync(file)) {
    const why = late ? 'the look for it did not end' : `the look for it ended with code ${code}`;
    return Object.fromEntries(devices.map((name) => [name, { refusal: why }]));
  }
  const looks = JSON.parse(readFileSync(file, 'utf8')) as Looks;
  rmSync(file);
  return looks;
}

/** Parts named as they are in a command that runs them. */
const again = (left: readonly string[]): string => `npm run gpu -- --parts ${left.join(',')}`;

interface Options {
  readonly parts?: string;
  readonly limit?: string;
  readonly out?: string;
  readonly keep?: true;
  readonly devices: string;
  readonly python: string;
  readonly quick?: true;
  readonly plan?: true;
}

async function main(options: Options): Promise<number> {
  const { quick = false } = options;
  const limit = options.limit === undefined ? Infinity : Number(options.limit);
  if (!(limit > 0)) throw new OptionError(`--limit: a number of seconds was expected, got "${options.limit}"`);
  if (options.keep && quick) throw new OptionError('--keep: figures at smallest settings are none to keep');
  const folder = join(options.out ?? process.env.OUT ?? join(root, '.cache/gpu'), 'bench-results');
  const settings: Settings = { devices: devicesOf(options.devices), python: options.python, quick };
  const wanted = chosenParts(settings, options.parts);
  if (options.plan) {
    for (const line of planOf(wanted, limit)) console.log(line);
    return 0;
  }
  checkEnvironment();
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new OptionError(`--out: no folder can be made of ${folder} (${(error as Error).message})`, { cause: error });
  }
  // Each part is a process that would find stale files in its own way.
  await generate();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const began = performance.now();
  const left = (): number => limit - (performance.now() - began) / 1000;
  const date = new Date().toISOString().slice(0, 10);
  const listing = join(folder, 'devices.txt');
  const listed = await run({ args: ['src/cli/main.ts', 'devices', '--verbose'] }, listing, Math.min(left(), 120));
  const looks = await look(settings.devices, folder, Math.min(left(), 120));
  const usable = settings.devices.filter((name) => looks[name].refusal === null);
  const device = deviceWord(listed.said, usable);
  const named = (part: string, ending: string): string => join(folder, `${device}-${part}-${date}.${ending}`);
  renameSync(listing, named('devices', 'txt'));
  const devices = readFileSync(named('devices', 'txt'), 'utf8').split('\n');
  const outcomes: Outcome[] = [];
  const add = (outcome: Outcome): void => {
    outcomes.push(outcome);
    writeFileSync(named('parts', 'json'), `${JSON.stringify({ device, date, devices, outcomes }, undefined, 1)}\n`);
  };
  for (const planned of wanted) {
    const refusals = planned.devices.map((name) => [name, refusalOf(looks[name], planned.capability)] as const);
    for (const [name, why] of refusals) if (why !== undefined) add({ part: planned.name, seconds: 0, result: 'not run', why: `${name}: ${why}` });
    const on = refusals.flatMap(([name, why]) => (why === undefined ? [name] : []));
    const part = parts({ ...settings, devices: on }).find(({ name }) => name === planned.name);
    if (part === undefined) continue;
    const { name, seconds } = part;
    if (stopping || left() < seconds) {
      add({ part: name, seconds: 0, result: 'not begun' });
      continue;
    }
    console.log(`\n== ${name}: ${part.what}`);
    const started = performance.now();
    const json = named(name, 'json');
    rmSync(json, { force: true });
    const { code, late, said } = await run({ ...part, args: [...part.args, ...(part.report ? ['--out', json] : [])] }, named(name, 'txt'), left());
    // One file a part: of a benchmark its report, and what it printed only where that failed.
    const file = part.report && existsSync(json) ? json : named(name, 'txt');
    if (file === json && code === 0) rmSync(named(name, 'txt'));
    const report = file === json ? JSON.parse(readFileSync(json, 'utf8')) as Report : undefined;
    const why = code === 0 && !late && !stopping ? passedOver(said, part, report) : undefined;
    add({
      part: name, seconds: Math.round((performance.now() - started) / 1000),
      result: stopping ? 'interrupted' : late ? 'ended at the limit' : code !== 0 ? 'failed' : why !== undefined ? 'not run' : 'passed',
      ...(why !== undefined && { why }), file: basename(file),
    });
  }
  console.log('');
  for (const { part, seconds, result, why, file } of outcomes) {
    console.log(`${part}: ${result}${file === undefined ? '' : `, ${seconds} s, ${file}`}${why === undefined ? '' : `, ${why}`}`);
  }
  if (options.keep) for (const line of keep(folder, outcomes, basename(named('parts', 'json')), results)) console.log(line);
  const undone = outcomes.filter(({ result }) => ['not begun', 'ended at the limit', 'interrupted'].includes(result)).map(({ part }) => part);
  if (undone.length > 0) console.log(`not done: ${again(undone)}`);
  if (stopping) return exitCodes.interrupted;
  return allPassed(outcomes) ? exitCodes.ok : exitCodes.failed;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const command = new Command('npm run gpu --')
    .description('All that a GPU is asked for, in parts: what is found there, the op suite on it, the benchmark beside PyTorch.')
    .option('--parts <names>', 'some of the parts, separated by commas (default: all, in their order)')
    .option('--limit <seconds>', 'for all of them together (default: no limit)')
    .option('--out <folder>', 'in which bench-results is made (default: the variable OUT, else .cache/gpu)')
    .option('--keep', 'also copy the reports of the parts that passed, and what became of each part, to bench/results')
    .option('--devices <names>', 'as device() takes them, separated by commas; webgpu: hardware alone', 'cuda,webgpu')
    .option('--python <paths>', 'interpreters that have PyTorch, separated by commas', 'python3')
    .option('--quick', 'smallest settings: does it run?')
    .option('--plan', 'list the parts with what they run and the seconds they are thought to take, and run none');
  await runTool<Options>(command, main);
}
