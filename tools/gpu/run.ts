/**
 * Processes of tools/gpu.ts, one at a time, under a limit. What one prints goes to the terminal and to a file; a signal, or the end of its time, lets
 * it write what it measured. Each has a process group of its own: a terminal's Ctrl-C comes to this process, which tells it once.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/cli/exit.ts';
import { outliveReaders, sayStopping } from '../../src/cli/terminal.ts';
import type { Part } from './parts.ts';

/** Seconds that a process has to write what it measured, once it was told to end. */
const ENDING = 15;

/** Milliseconds within which a signal is taken for the one before: npm hands on what its process group has had already. */
const REPEATED = 1000;

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What is under way. */
let current: { readonly child: ChildProcess; told: boolean } | undefined;

/** When somebody stopped this. */
let stopped: number | undefined;

export const isStopping = (): boolean => stopped !== undefined;

/** Once: at a second signal the benchmark would end without what it measured. */
function tell(): void {
  if (current === undefined || current.told) return;
  current.told = true;
  current.child.kill('SIGINT');
}

/** With what it has started. */
function kill(): void {
  if (current?.child.pid === undefined) return;
  try {
    process.kill(-current.child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** The first signal lets what is under way finish; a second, later one ends all at once. */
export function stopOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopped === undefined) {
        stopped = performance.now();
        sayStopping();
        tell();
      } else if (performance.now() - stopped > REPEATED) process.exit(exitCodes.interrupted);
    });
  }
  process.on('exit', kill);
  outliveReaders();
}

/** Runs a file by this Node. Rejects where the log cannot be written. */
export function run(
  { args, env }: Pick<Part, 'args' | 'env'>, log: string, seconds: number,
): Promise<{ code: number; late: boolean; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
      cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, detached: true,
    });
    current = { child, told: false };
    const file = createWriteStream(log).on('error', (error) => {
      kill();
      reject(error);
    });
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
        tell();
      }, Math.max(1, seconds - ENDING) * 1000),
      setTimeout(kill, Math.max(2, seconds) * 1000),
    ] : [];
    child.on('close', (code) => {
      timers.forEach((timer) => clearTimeout(timer));
      current = undefined;
      file.end(() => resolve({ code: code ?? exitCodes.failed, late, said }));
    });
  });
}
