/**
 * Do the readers hold? Mutates files of every format (tools/mutations/), half of them at random bytes, half by structure: lengths,
 * counts, dimensions, dtypes, offsets, tokens of JSON. Each must end in a FormatError with file, field and place, or in a value that is
 * written as the bytes that were read; within a second, and within four times the file and 64 MB of memory.
 *
 *   node --import tsx tools/mutate.ts                        100,000, divided among the formats
 *   node --import tsx tools/mutate.ts --count 5000 .rec -symbol.json
 *   node --import tsx tools/mutate.ts --first 7 --count 1 .params      one again, by its number
 *
 * Reading happens in a process of its own, so that a crash or a reader that hangs is seen and named. Exit code 0: all held.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { Progress, processTerminal, renderTable } from '../src/cli/terminal.ts';
import { formats } from './mutations/formats.ts';
import type { MutatedFormat } from './mutations/format.ts';
import type { Verdict } from './mutations/judge.ts';
import { judge } from './mutations/judge.ts';
import { mutation } from './mutations/mutate.ts';

/** Milliseconds without a word after which a reader counts as hanging: reading may take one second, twice. */
const SILENCE = 20_000;

interface Tally {
  readonly verdicts: Record<Verdict, number>;
  readonly failures: { readonly number: number; readonly why: string }[];
}

/** Writes a line before anything else happens, also where the pipe is full. */
function say(...words: unknown[]): void {
  for (let line = Buffer.from(`${words.join(' ')}\n`); line.length > 0;) {
    try {
      line = line.subarray(writeSync(1, line));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** The child: one line before each mutation, one after, written at once. */
function work(format: MutatedFormat, first: number, count: number): void {
  for (let number = first; number < first + count; number++) {
    say('begin', number);
    try {
      say('end', number, judge(format, mutation(format, number)));
    } catch (error) {
      say('failed', number, JSON.stringify(error instanceof Error ? error.stack ?? error.message : String(error)));
    }
  }
  say('done');
}

/** Runs a format's mutations in a child; one that dies or hangs is named, and the next begins after it. */
async function run(format: MutatedFormat, first: number, count: number, onProgress: (done: number) => void): Promise<Tally> {
  const tally: Tally = { verdicts: { refused: 0, 'same bytes': 0, 'same value': 0 }, failures: [] };
  for (let next = first; next < first + count;) {
    const end = await child(format, next, first + count - next, tally, (number) => onProgress(number - first + 1));
    if (end === undefined) break;
    tally.failures.push(end);
    next = end.number + 1;
  }
  return tally;
}

function child(format: MutatedFormat, first: number, count: number, tally: Tally, onNumber: (n: number) => void): Promise<Tally['failures'][0] | undefined> {
  return new Promise((resolve) => {
    const args = ['--import', 'tsx', fileURLToPath(import.meta.url), '--child', '--first', String(first), '--count', String(count), '--', format.name];
    const process_ = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let [current, finished, rest, hung] = [first, false, '', false];
    const quiet = (): NodeJS.Timeout => setTimeout(() => {
      hung = true;
      process_.kill('SIGKILL');
    }, SILENCE);
    let timer = quiet();
    process_.stdout.setEncoding('utf8').on('data', (text: string) => {
      clearTimeout(timer);
      timer = quiet();
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const [word, number, ...said] = line.split(' ');
        if (word === 'begin') current = Number(number);
        else if (word === 'end') tally.verdicts[said.join(' ') as Verdict]++;
        else if (word === 'failed') tally.failures.push({ number: Number(number), why: JSON.parse(said.join(' ')) as string });
        else if (word === 'done') finished = true;
      }
      onNumber(current);
    });
    process_.on('close', (code, signal) => {
      clearTimeout(timer);
      if (finished) resolve(undefined);
      else resolve({ number: current, why: hung ? `no end after ${SILENCE / 1000} s` : `the process ended with ${signal ?? code}` });
    });
  });
}

const program = new Command('mutate')
  .argument('[formats...]', `some of ${formats.map(({ name }) => name).join(', ')} (default: all)`)
  .option('--count <n>', 'mutations, divided among the formats', '100000')
  .option('--first <n>', 'number of the first', '0')
  .option('--child', 'reads, for the process that counts')
  .parse();
const { count, first, child: isChild } = program.opts<{ count: string; first: string; child?: true }>();
const unknown = program.args.find((name) => formats.every((format) => format.name !== name));
if (unknown !== undefined) program.error(`no format ${unknown}: there are ${formats.map(({ name }) => name).join(', ')}`);
const chosen = formats.filter(({ name }) => program.args.length === 0 || program.args.includes(name));

if (isChild) {
  work(chosen[0], Number(first), Number(count));
} else {
  const begun = performance.now();
  const each = Math.ceil(Number(count) / chosen.length);
  const progress = new Progress(processTerminal);
  const rows: string[][] = [];
  let failed = 0;
  for (const [i, format] of chosen.entries()) {
    const { verdicts, failures } = await run(format, Number(first), each, (done) => void progress.show('mutations', i * each + done, each * chosen.length));
    rows.push([format.name, String(each), ...Object.values(verdicts).map(String), String(failures.length)]);
    progress.clear();
    for (const { number, why } of failures.slice(0, 5)) {
      const { seed, structural } = mutation(format, number);
      console.log(`${format.name} ${number} (${structural ? 'structure' : 'bytes'} of "${seed.name}"): ${why}`);
    }
    failed += failures.length;
  }
  console.log(await renderTable({ head: ['format', 'mutations', 'refused', 'same bytes', 'same value', 'failed'], rows }));
  console.log(`numbers ${first} to ${Number(first) + each - 1} of each format, ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  process.exitCode = failed > 0 ? 1 : 0;
}
