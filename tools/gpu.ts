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
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
import type { Settings } from './gpu/parts.ts';
import { allPassed, keep, passedOver } from './gpu/results.ts';
import type { Outcome } from './gpu/results.ts';
import { isStopping, run, stopOnSignals } from './gpu/run.ts';
import { generate } from './generate.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Where measured figures are kept, under version control. */
const results = join(root, 'bench/results');

/** `h100` of `cuda:0 (NVIDIA H100 80GB HBM3)`, `llvmpipe` of `webgpu (llvmpipe, LLVM 15)`: of the first device that is there. */
export function deviceWord(listing: string, devices: readonly string[]): string {
  const there = [...listing.matchAll(/^yes +(cuda|webgpu|cpu)\S* \((.*?)\)?:/gm)]
    .filter(([, kind]) => devices.some((d) => d.startsWith(kind)));
  const best = there.find(([, kind]) => kind === 'cuda') ?? there[0];
  if (best === undefined || best[1] === 'cpu') return best === undefined ? 'none' : 'cpu';
  const words = best[2].split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && !/^(nvidia|tesla|geforce|gpu)$/i.test(word));
  return (words[0] ?? 'gpu').toLowerCase();
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

/** What became of a part that has ended; `why` it is not counted as run, where it is not. */
function resultOf(code: number, late: boolean, why: string | undefined): Outcome['result'] {
  if (isStopping()) return 'interrupted';
  if (late) return 'ended at the limit';
  if (code !== 0) return 'failed';
  return why === undefined ? 'passed' : 'not run';
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
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new OptionError(`--out: nothing can be written to ${folder} (${(error as Error).message})`, { cause: error });
  }
  // Each part is a process that would find stale files in its own way.
  await generate();
  stopOnSignals();
  const began = performance.now();
  const left = (): number => limit - (performance.now() - began) / 1000;
  const date = new Date().toISOString().slice(0, 10);
  const listing = join(folder, 'devices.txt');
  const listed = await run({ args: ['src/cli/main.ts', 'devices', '--verbose'] }, listing, Math.min(left(), 120));
  const looks = isStopping() ? {} : await look(settings.devices, folder, Math.min(left(), 120));
  // It may have been stopped amid the look, which then says nothing.
  if (isStopping()) {
    console.log(`\nnot done: ${again(wanted.map(({ name }) => name))}`);
    return exitCodes.interrupted;
  }
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
    if (isStopping() || left() < seconds) {
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
    const why = code === 0 && !late && !isStopping() ? passedOver(said, part, report) : undefined;
    add({
      part: name, seconds: Math.round((performance.now() - started) / 1000),
      result: resultOf(code, late, why),
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
  if (isStopping()) return exitCodes.interrupted;
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
