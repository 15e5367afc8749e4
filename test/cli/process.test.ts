// time limit: 120 s
// The command as a process: signals, and readers that go away.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const folder = mkdtempSync(join(tmpdir(), 'fovea-process-'));
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const small = ['--model', 'inception-bn-small', '--width', '0.125', '--size', '32', '--batch', '4', '--device', 'cpu', '--threads', '2'];

function start(...args: string[]) {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, FOVEA_CACHE: join(folder, 'cache') },
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, ended };
}

/** Until the stream has said it. */
function said(stream: NodeJS.ReadableStream, pattern: RegExp): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (piece: Buffer) => {
      text += piece.toString();
      if (pattern.test(text)) resolve(text);
    });
    stream.on('close', () => reject(new Error(`never said ${pattern}: ${text}`)));
  });
}

test('a reader that goes away (`| head`) does not end a run', async () => {
  const out = join(folder, 'unheard');
  const { child, ended } = start('train', '--patients', '10', '--epochs', '2', ...small, '--out', out);
  await said(child.stdout, /run directory/);
  child.stdout.destroy();
  child.stderr.destroy();
  assert.is(await ended, 0);
  assert.ok(existsSync(join(out, 'report.html')), 'the run was finished');
});

test('SIGTERM in the middle of an epoch: the step is finished, a state saved, exit code 130; the run goes on', async () => {
  const out = join(folder, 'stopped');
  const { child, ended } = start('train', '--patients', '20', '--epochs', '2000', ...small, '--out', out);
  const interrupted = said(child.stderr, /interrupted; saved; to go on: fovea train --resume .*stopped/);
  await said(child.stdout, /epoch 2\/2000/);
  child.kill('SIGTERM');
  await interrupted;
  assert.is(await ended, 130);
  const resumed = start('train', '--resume', out, '--epochs', '1');
  await said(resumed.child.stdout, /going on with epoch/);
  assert.is(await resumed.ended, 0);
  assert.ok(existsSync(join(out, 'report.html')));
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
