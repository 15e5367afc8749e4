/** A crash at any byte leaves the last good state readable; formats are known by number; nothing is overwritten. */
import { existsSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, FormatError } from '../../src/errors.ts';
import type { Files } from '../../src/train/files.ts';
import { RunDirectory, decodeSnapshot, encodeSnapshot } from '../../src/train/index.ts';
import type { TrainingSnapshot } from '../../src/train/index.ts';
import { rejects, throws } from '../support/errors.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'fovea-run-'));
let made = 0;
const fresh = (): string => path.join(folder, `run-${++made}`);

function snapshot(updates: number): TrainingSnapshot {
  return {
    epoch: 0, updates, seed: 3, history: [],
    sampler: { format: 1, epoch: 0, cursor: updates, carried: [], seed: 3, batch: 2, samples: 9, kind: 'none', fingerprint: 1 },
    partial: { taken: updates, steps: 4, seconds: 0.5, learningRate: NaN },
    tensors: new Map([
      ['parameter/w', { shape: [3], dtype: 'float32', data: Float32Array.of(updates, -0, 1e-40) }],
      ['optimizer/step', { shape: [], dtype: 'int32', data: Int32Array.of(updates) }],
    ]),
  };
}

test('a snapshot survives its two files, to the bit', () => {
  const { json, tensors } = encodeSnapshot(snapshot(5));
  const back = decodeSnapshot(json, tensors, 'state.json');
  assert.equal(encodeSnapshot(back), { json, tensors });
  assert.ok(Number.isNaN(back.partial!.learningRate));
  assert.ok(Object.is((back.tensors.get('parameter/w')!.data as Float32Array)[1], -0));
});

test('a snapshot of another format is refused by number', () => {
  const { json, tensors } = encodeSnapshot(snapshot(5));
  const other = json.replace('"format": 1', '"format": 7');
  throws(() => decodeSnapshot(other, tensors, 'state.json'), FormatError, /state\.json: state of format 7; this version reads format 1/);
  throws(() => decodeSnapshot('{}', tensors, 'state.json'), FormatError, /format/);
  throws(() => decodeSnapshot('no json', tensors, 'state.json'), FormatError, /state\.json: not JSON/);
  throws(() => decodeSnapshot(json, tensors.subarray(1), 'state.json'), FormatError, /tensorBytes/);
  throws(() => decodeSnapshot(json.replace('"updates": 5', '"updates": -5'), tensors, 'state.json'), FormatError, /updates/);
});

/** The file system of a machine that dies: after `budget` steps, in the middle of a write where `torn` says so. */
function dying(budget: number, torn: number): { files: Files; died: () => boolean } {
  let left = budget;
  let dead = false;
  const die = (): never => {
    dead = true;
    throw new Error('the power failed');
  };
  const step = (): void => {
    if (dead || left-- <= 0) die();
  };
  const wrapped = {
    ...fs,
    async writeFile(file: string, content: string | Uint8Array) {
      if (!dead && left === 0) {
        const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
        await fs.writeFile(file, bytes.subarray(0, Math.floor(bytes.length * torn)));
        die();
      }
      step();
      await fs.writeFile(file, content);
    },
    async rename(from: string, to: string) {
      step();
      await fs.rename(from, to);
    },
    async rm(file: string, options: object) {
      step();
      await fs.rm(file, options);
    },
  };
  return { files: { fs: wrapped as unknown as Files['fs'], path }, died: () => dead };
}

test('a crash at any step of saving leaves a good state: the old one or the new', async () => {
  for (const torn of [0, 0.5, 1]) {
    for (let budget = 0; ; budget++) {
      const target = fresh();
      mkdirSync(target);
      writeFileSync(path.join(target, 'config.json'), '{}');
      const before = await RunDirectory.open(target);
      for (const updates of [2, 4, 6]) await before.writeState(snapshot(updates));
      const { files, died } = dying(budget, torn);
      await (await RunDirectory.open(target, files)).writeState(snapshot(8)).catch(() => undefined);
      const after = await RunDirectory.open(target);
      await after.clean();
      assert.ok(!readdirSync(target).some((name) => name.includes('.tmp-')), 'half-written files are cleaned up');
      const { updates, tensors } = await after.readState(() => assert.unreachable('no state is damaged'));
      assert.ok(updates === 6 || updates === 8, `${updates} after ${budget} steps`);
      assert.is((tensors.get('optimizer/step')!.data as Int32Array)[0], updates);
      if (!died()) {
        assert.is(updates, 8);
        assert.ok(budget > 4, 'the crash came at several places');
        break;
      }
    }
  }
});

test('saving the same update again is as safe', async () => {
  for (let budget = 0; ; budget++) {
    const target = fresh();
    mkdirSync(target);
    writeFileSync(path.join(target, 'config.json'), '{}');
    const before = await RunDirectory.open(target);
    for (const updates of [4, 6]) await before.writeState(snapshot(updates));
    const { files, died } = dying(budget, 0.5);
    await (await RunDirectory.open(target, files)).writeState({ ...snapshot(6), seed: 4 }).catch(() => undefined);
    const state = await (await RunDirectory.open(target)).readState(() => assert.unreachable());
    assert.ok(state.updates >= 4);
    if (!died()) {
      assert.is(state.seed, 4);
      break;
    }
  }
});

test('a damaged state is passed over with a warning, a foreign one refused', async () => {
  const target = fresh();
  mkdirSync(target);
  writeFileSync(path.join(target, 'config.json'), '{}');
  const run = await RunDirectory.open(target);
  await rejects(() => run.readState(), DataError, /no state to resume from/);
  for (const updates of [2, 4]) await run.writeState(snapshot(updates));
  const last = path.join(target, 'state-000004.safetensors');
  const whole = readFileSync(last);
  for (let cut = 0; cut < whole.length; cut += 7) {
    writeFileSync(last, whole.subarray(0, cut));
    const warnings: string[] = [];
    assert.is((await run.readState((line) => warnings.push(line))).updates, 2);
    assert.match(warnings[0], /state-000004.*going on from the state before/);
  }
  writeFileSync(last, whole);
  const json = path.join(target, 'state-000004.json');
  writeFileSync(json, readFileSync(json, 'utf8').replace('"format": 1', '"format": 2'));
  await rejects(() => run.readState(), FormatError, /state of format 2; this version reads format 1/);
});

test('old states go, the last two stay', async () => {
  const target = fresh();
  mkdirSync(target);
  writeFileSync(path.join(target, 'config.json'), '{}');
  const run = await RunDirectory.open(target);
  for (const updates of [2, 4, 6, 8]) await run.writeState(snapshot(updates));
  assert.equal(readdirSync(target).filter((name) => name.startsWith('state-')).sort(), [
    'state-000006.json', 'state-000006.safetensors', 'state-000008.json', 'state-000008.safetensors',
  ]);
});

test('a directory that holds something is never taken', async () => {
  const target = fresh();
  mkdirSync(target);
  assert.is((await RunDirectory.create(target)).path, target, 'an empty one is');
  writeFileSync(path.join(target, 'thesis.txt'), 'do not lose');
  assert.is((await RunDirectory.create(target)).path, `${target}-2`);
  const together = await Promise.all(Array.from({ length: 8 }, () => RunDirectory.create(path.join(folder, 'x'))));
  assert.is(new Set(together.map((run) => run.path)).size, 8, 'runs that start at once do not share one');
  for (const run of together) assert.ok(existsSync(run.path));
  await rejects(() => RunDirectory.open(path.join(folder, 'nowhere')), DataError, /no run directory/);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
