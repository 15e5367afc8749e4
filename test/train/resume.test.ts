// time limit: 400 s
/** Killed at any moment, and resumed by the command line: the same bits as a run that was left alone. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fovea-resume-'));
const env = { ...process.env, FOVEA_CACHE: join(folder, 'cache') };
const base = ['--import', 'tsx', join(root, 'src/cli/main.ts'), 'train'];
const options = [
  '--patients', '40', '--size', '40', '--epochs', '3', '--batch', '2', '--width', '0.25', '--device', 'cpu', '--threads', '2',
  '--seed', '5', '--keep', 'all', '--sampler', 'balanced', '--augment', 'rotate=10,pad=2,hue=4,contrast=0.1,noise=2@infected,flips',
];

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...base, ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

function finish(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...base, ...args], { cwd: root, env }, (error, out, err) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
    });
  });
}

/** Runs until the output matches, waits some more, sends a signal, and waits for the end. */
async function stop(name: string, pattern: RegExp, afterMs: number, signal: NodeJS.Signals): Promise<{ code: number | null; out: string }> {
  const child = start([...options, '--out', join(folder, name)]);
  let out = '';
  const reached = new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', (text: Buffer) => {
      out += String(text);
      if (pattern.test(out)) resolve();
    });
    child.stderr!.on('data', (text: Buffer) => (out += String(text)));
    child.on('exit', () => reject(new Error(`ended before ${pattern}: ${out}`)));
  });
  const exited = once(child, 'exit');
  await reached;
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill(signal);
  const [code] = (await exited) as [number | null];
  return { code, out };
}

const whole = join(folder, 'whole');
const uninterrupted = await finish([...options, '--out', whole]);

/** Parameters of each epoch, the last state's tensors, and its JSON but for times. */
function assertSameRun(name: string): void {
  const run = join(folder, name);
  const files = readdirSync(whole).filter((file) => file.endsWith('.params'));
  assert.is(files.length, 3);
  for (const file of files) assert.ok(readFileSync(join(whole, file)).equals(readFileSync(join(run, file))), `${file} differs`);
  const last = readdirSync(whole).filter((file) => file.endsWith('.safetensors')).sort().at(-1)!;
  assert.ok(readFileSync(join(whole, last)).equals(readFileSync(join(run, last))), `${last} differs`);
  const state = (path: string): unknown => JSON.parse(
    readFileSync(join(path, last.replace('.safetensors', '.json')), 'utf8'),
    (key, value: unknown) => (key === 'seconds' || key === 'imagesPerSecond' ? undefined : value),
  );
  assert.equal(state(run), state(whole));
  assert.is(readFileSync(join(run, 'predictions.csv'), 'utf8'), readFileSync(join(whole, 'predictions.csv'), 'utf8'));
  assert.is(readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n').length, 3);
}

async function resume(name: string): Promise<void> {
  const { code, err, out } = await finish(['--resume', join(folder, name)]);
  assert.is(code, 0, err);
  assert.match(out, /going on with epoch [123] in/);
  assertSameRun(name);
}

test('a run left alone ends', () => {
  assert.is(uninterrupted.code, 0, uninterrupted.err);
  assert.match(uninterrupted.out, /run directory: .*whole/);
});

test('SIGKILL as the first epoch begins', async () => {
  await stop('kill-at-start', /run directory: /, 0, 'SIGKILL');
  await resume('kill-at-start');
});

test('SIGKILL within an epoch', async () => {
  // The second epoch takes some hundred milliseconds; this is well within it.
  await stop('kill-within', /epoch 1\/3 /, 60, 'SIGKILL');
  assert.not.ok(readdirSync(join(folder, 'kill-within')).includes('results.json'), 'it was killed before its end');
  await resume('kill-within');
});

test('SIGKILL as an epoch ends', async () => {
  await stop('kill-at-end', /epoch 2\/3 /, 0, 'SIGKILL');
  assert.not.ok(readdirSync(join(folder, 'kill-at-end')).includes('results.json'), 'it was killed before its end');
  await resume('kill-at-end');
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} finishes the step, saves, and ends with 130`, async () => {
    const { code, out } = await stop(signal, /epoch 1\/3 /, 40, signal);
    assert.is(code, 130, out);
    assert.match(out, new RegExp(`interrupted; saved; to go on: fovea train --resume .*${signal}`));
    const states = readdirSync(join(folder, signal)).filter((file) => /^state-.*json$/.test(file)).sort();
    const last = JSON.parse(readFileSync(join(folder, signal, states.at(-1)!), 'utf8')) as { epoch: number; updates: number; partial?: object };
    assert.ok(last.partial !== undefined && last.updates > last.epoch * 28, 'saved within an epoch');
    await resume(signal);
  });
}

test('a run that has ended can be given more epochs', async () => {
  const { code, err, out } = await finish(['--resume', join(folder, 'kill-within'), '--epochs', '4']);
  assert.is(code, 0, err);
  assert.match(out, /epoch 4\/4 /);
  assert.not.match(out, /epoch 3\/4 /);
});

test('another fingerprint is told, and asks for --allow-inexact', async () => {
  const config = join(folder, 'kill-at-end', 'config.json');
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace(/"device.relaxedSimd": (true|false)/, (_, x) => `"device.relaxedSimd": ${x === 'true' ? 'false' : 'true'}`));
  const refused = await finish(['--resume', join(folder, 'kill-at-end')]);
  assert.is(refused.code, 2);
  assert.match(refused.err, /not go on bit for bit \(device\.relaxedSimd: (true|false), was (true|false)\); --allow-inexact/);
  const allowed = await finish(['--resume', join(folder, 'kill-at-end'), '--allow-inexact']);
  assert.is(allowed.code, 0, allowed.err);
  assert.match(allowed.err, /resuming inexactly: device\.relaxedSimd/);
});

test('what a resumed run computes cannot be changed', async () => {
  const refused = await finish(['--resume', whole, '--lr', '0.5']);
  assert.is(refused.code, 2);
  assert.match(refused.err, /--lr cannot change in a resumed run/);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
