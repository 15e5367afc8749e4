// time limit: 240 s
/** Same seed, same fingerprint: the same bits, whatever the number of threads that compute or that assemble batches. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RunOptions } from '../../src/train/index.ts';
import { encodeSnapshot, fit, trainRun } from '../../src/train/index.ts';
import { range, spots, spotsFit } from '../support/training.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const { device: gpu, reason } = await openWebgpu();
const webgpu = suiteUnless(reason, 'webgpu');

const folder = mkdtempSync(join(tmpdir(), 'fovea-determinism-'));
process.env.FOVEA_CACHE = join(folder, 'cache');

/** A run's checkpoints: parameters and state, by file. */
async function checkpoints(name: string, more: Partial<RunOptions>): Promise<Map<string, Buffer>> {
  const out = join(folder, name);
  await trainRun({
    out, options: {
      data: 'phantom', patients: 16, size: 40, epochs: 2, batch: 8, width: 0.25, device: 'cpu', keep: 'all', seed: 7, ...more,
    },
  });
  const files = readdirSync(out).filter((file) => /\.(params|safetensors)$/.test(file)).sort();
  return new Map(files.map((file) => [file, readFileSync(join(out, file))]));
}

const first = await checkpoints('first', { threads: 2 });

function assertSame(other: Map<string, Buffer>): void {
  assert.equal([...other.keys()], [...first.keys()]);
  for (const [file, bytes] of first) assert.ok(bytes.equals(other.get(file)!), `${file} differs`);
}

test('there is something to compare', () => {
  assert.equal([...first.keys()].filter((file) => file.endsWith('.params')), ['inception-bn-0001.params', 'inception-bn-0002.params']);
  assert.ok([...first.keys()].some((file) => file.startsWith('state-')));
  assert.not.ok(first.get('inception-bn-0001.params')!.equals(first.get('inception-bn-0002.params')!), 'nothing was learnt');
});

test('two runs give the same checkpoints', async () => {
  assertSame(await checkpoints('again', { threads: 2 }));
});

for (const threads of [1, 4]) {
  test(`so do ${threads} threads`, async () => {
    assertSame(await checkpoints(`threads-${threads}`, { threads }));
  });
}

test('so do batches assembled on the calling thread, or by two others', async () => {
  assertSame(await checkpoints('workers-0', { threads: 2, workers: 0 }));
  assertSame(await checkpoints('workers-2', { threads: 2, workers: 2 }));
});

test('adam and the small network, too', async () => {
  const options: Partial<RunOptions> = { optimizer: 'adam', model: 'inception-bn-small', width: 0.125, size: 28, lr: 0.002 };
  const [a, b] = [await checkpoints('adam-1', { ...options, threads: 1 }), await checkpoints('adam-2', { ...options, threads: 3 })];
  assert.ok(a.size >= 4);
  for (const [file, bytes] of a) assert.ok(bytes.equals(b.get(file)!), `${file} differs`);
});

test('another seed gives others', async () => {
  const other = await checkpoints('seed', { threads: 2, seed: 8 });
  assert.not.ok(other.get('inception-bn-0002.params')!.equals(first.get('inception-bn-0002.params')!));
});

webgpu('two runs on the webgpu device give the same bits, too', async () => {
  const data = spots(16);
  const run = async (): Promise<Uint8Array> => {
    const result = await fit(spotsFit(data, { device: gpu, epochs: 2, train: range(0, 24), validation: range(24, 32) }));
    const { tensors } = encodeSnapshot(await result.snapshot());
    result.dispose();
    return tensors;
  };
  assert.ok(Buffer.compare(await run(), await run()) === 0);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
webgpu.after(() => gpu.dispose());
webgpu.run();
