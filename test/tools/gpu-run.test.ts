// time limit: 180 s
/** How tools/gpu.ts runs a part (tools/gpu/run.ts): signals and limits let it write what it measured, and leave nothing of it behind. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { plansOf } from '../../src/benchmark/plans.ts';
import { readReport } from '../../src/benchmark/report-file.ts';
import { parts } from '../../tools/gpu/parts.ts';
import { commandOf, environment, folder, optionsOf, root } from '../support/gpu-command.ts';
import { skip } from '../support/skip.ts';

/** Runs Node on arguments, in a group of its own, and is told what it prints. */
function watched(args: readonly string[], onText: (all: string, child: ChildProcess) => void): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, args, { cwd: root, env: environment(), detached: true });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      onText(out, child);
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out })));
}

/** Does something at the first text of a form. */
function once(form: RegExp, then: (match: RegExpExecArray, child: ChildProcess) => void): (all: string, child: ChildProcess) => void {
  let done = false;
  return (all, child) => {
    const match = done ? null : form.exec(all);
    if (match === null) return;
    done = true;
    then(match, child);
  };
}

/** As a terminal does at Ctrl-C. */
const interruptGroup = ({ pid }: ChildProcess): void => void process.kill(-pid!, 'SIGINT');

test('interrupted, a part writes what it measured, no other is begun, and that is said', async () => {
  const to = mkdtempSync(join(folder, 'interrupted-'));
  const args = ['--import', 'tsx', 'tools/gpu.ts', '--devices', 'cpu', '--parts', 'gemm,step-128', '--out', to];
  const { code, out } = await watched(args, once(/^1\/(?!1,)\d+/m, (_, child) => interruptGroup(child)));
  assert.is(code, 130, out);
  assert.match(out, /\ngemm: interrupted, \d+ s, cpu-gemm-.*\.json\nstep-128: not begun\nnot done: npm run gpu -- --parts gemm,step-128\n/);
  const file = readdirSync(join(to, 'bench-results')).find((name) => name.startsWith('cpu-gemm-'))!;
  const gemm = parts({ devices: ['cpu'], python: 'python3', quick: false }).find(({ name }) => name === 'gemm')!;
  const { length: planned } = plansOf(optionsOf(gemm.args));
  const { rows } = await readReport(join(to, 'bench-results', file));
  assert.ok(rows.length > 0 && rows.length < planned, `${rows.length} rows`);
});

test('interrupted before the first part, it says that none was begun', async () => {
  const { code, out } = await watched(commandOf('--parts', 'suite,gemm'), once(/^(yes|no) +cpu/m, (_, child) => interruptGroup(child)));
  assert.is(code, 130, out);
  assert.match(out, 'not done: npm run gpu -- --parts suite,gemm\n');
  assert.not.match(out, '== suite');
});

/** Runs a script as a part. */
function asPart(lines: readonly string[], seconds: number, onText: Parameters<typeof watched>[1] = () => undefined): ReturnType<typeof watched> {
  const file = join(mkdtempSync(join(folder, 'script-')), 'part.mjs');
  writeFileSync(file, lines.join('\n'));
  return watched(['--import', 'tsx', 'test/support/gpu-run.ts', file, `${file}.txt`, String(seconds)], onText);
}

const counting = ['let told = 0;', "process.on('SIGINT', () => { told++; setTimeout(() => { console.log(`told ${told} times`); process.exit(5); }, 700); });"];
const waiting = ['setInterval(() => {}, 1000);', "console.log('ready');"];

test('a part is told once to end, however often a signal comes at once, and after a limit', async () => {
  const twice = once(/^ready/m, (_, child) => {
    interruptGroup(child);
    child.kill('SIGTERM');
    setTimeout(() => interruptGroup(child), 300);
  });
  const { code, out } = await asPart([...counting, ...waiting], Infinity, twice);
  assert.is(code, 0, out);
  assert.match(out, 'once more stops at once');
  assert.match(out, 'told 1 times\n{"code":5,"late":false,"stopping":true}\n');
  // It is told 15 s before the end.
  const late = await asPart([...counting, ...waiting], 22);
  assert.match(late.out, 'told 1 times\n{"code":5,"late":true,"stopping":false}\n');
});

/** Whether a process is there, and not only to be waited for. */
const lives = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

if (process.platform !== 'linux') skip('a part that does not end', 'processes are looked up in /proc');
else {
  test('a part that does not end is ended with what it has started: at a second signal, and at the limit', async () => {
    const stubborn = ["import { spawn } from 'node:child_process';", "process.on('SIGINT', () => console.log('no'));",
      "const peer = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });",
      'console.log(`pids ${process.pid} ${peer.pid}.`);', ...waiting];
    const gone = async (out: string): Promise<void> => {
      const pids = /pids (\d+) (\d+)\./.exec(out)!.slice(1).map(Number);
      for (let i = 0; i < 100 && pids.some(lives); i++) await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(pids.map(lives), [false, false], out);
    };
    const again = once(/^ready/m, (_, child) => {
      interruptGroup(child);
      setTimeout(() => interruptGroup(child), 1500);
    });
    const stopped = await asPart(stubborn, Infinity, again);
    assert.is(stopped.code, 130, stopped.out);
    assert.match(stopped.out, 'no\n');
    await gone(stopped.out);
    const late = await asPart(stubborn, 9);
    assert.match(late.out, '{"code":1,"late":true,"stopping":false}\n');
    await gone(late.out);
  });
}

test.run();
