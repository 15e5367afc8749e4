import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheBytes, openCache } from '../../src/data/cache.ts';
import { allIndices, memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { evaluationBatches, TrainLoader } from '../../src/data/loader.ts';
import type { EachEpoch } from '../../src/data/each-epoch.ts';
import { Sampler } from '../../src/data/sampler.ts';
import { DataError, OptionError } from '../../src/errors.ts';

const root = mkdtempSync(join(tmpdir(), 'fovea-loader-'));
test.after(() => rmSync(root, { recursive: true }));

const [count, stride] = [23, 2 * 3 * 3];
const labels = Array.from({ length: count }, (_, i) => i % 2);
/** Byte j of sample i. */
const byte = (i: number, j: number) => (i * 31 + j * 7) % 256;
const sample = (i: number) => Uint8Array.from({ length: stride }, (_, j) => byte(i, j));

function inMemory(shared: boolean): Dataset {
  // A view at an offset, as a user may well give.
  const buffer = shared ? new SharedArrayBuffer(count * stride + 5) : new ArrayBuffer(count * stride + 5);
  const bytes = new Uint8Array(buffer, 5);
  for (let i = 0; i < count; i++) bytes.set(sample(i), i * stride);
  return memoryDataset({ shape: [2, 3, 3], bytes, labels });
}
/** In a cache file, where slot 4 holds no image: dataset index i is sample i below 4, i + 1 above. */
async function inFile(): Promise<Dataset> {
  const opened = await cacheBytes({
    name: 'numbers', shape: [2, 3, 3], samples: count + 1, key: 'loader test', cacheDir: root,
    async render(slot) {
      if (slot === 4) throw new DataError('a hole');
      return sample(slot < 4 ? slot : slot - 1);
    },
  });
  const all = memoryDataset({ shape: [1, 1, 1], bytes: new Uint8Array(count + 1), labels: [...labels.slice(0, 4), 0, ...labels.slice(4)] });
  return openCache(all, opened, { name: 'numbers', simulated: true });
}
async function rejects(promise: Promise<unknown>, type: typeof DataError | typeof OptionError, pattern: RegExp) {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, type);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`no error for ${pattern}`);
}

const sources: [string, () => Dataset | Promise<Dataset>][] = [
  ['memory', () => inMemory(false)], ['shared memory', () => inMemory(true)], ['cache file', inFile]];

for (const [name, make] of sources) {
  test(`${name}: batches hold the sampled images, whatever the threads and the prefetch`, async () => {
    const data = await make();
    assert.is(data.length, count);
    const order = new Sampler(data.labels, allIndices(data), { batch: 4, seed: 5 });
    const expected = Array.from({ length: 14 }, () => order.next());
    for (const [workers, prefetch] of [[0, 0], [0, 3], [1, 0], [1, 2], [3, 5]]) {
      const sampler = new Sampler(data.labels, allIndices(data), { batch: 4, seed: 5 });
      const loader = new TrainLoader(data, sampler, { workers, prefetch });
      for (const { indices, epoch, step, steps } of expected) {
        const batch = await loader.next();
        assert.equal([batch.epoch, batch.step, batch.steps], [epoch, step, steps]);
        assert.equal(batch.sampleIds, indices);
        assert.equal([...batch.labels], [...indices].map((i) => labels[i]));
        assert.equal([...batch.weights], [1, 1, 1, 1]);
        assert.equal(batch.shape, [4, 2, 3, 3]);
        assert.equal([...batch.pixels], [...indices].flatMap((i) => [...sample(i)]));
      }
      loader.close();
    }
    data.close();
  });

  test(`${name}: evaluation gives each sample once, padded with weight 0`, async () => {
    const data = await make();
    for (const workers of [0, 2]) {
      const seen: number[] = [];
      for await (const batch of evaluationBatches(data, [22, 3, 3, 7, 9], 2, { workers })) {
        assert.is(batch.pixels.length, 2 * stride);
        assert.is(batch.count, batch.weights.reduce((a, b) => a + b));
        for (let k = 0; k < 2; k++) {
          assert.is(batch.weights[k], batch.sampleIds[k] < 0 ? 0 : 1);
          if (batch.sampleIds[k] < 0) continue;
          seen.push(batch.sampleIds[k]);
          assert.is(batch.labels[k], labels[batch.sampleIds[k]]);
          assert.equal(batch.pixels.slice(k * stride, (k + 1) * stride), sample(batch.sampleIds[k]));
        }
      }
      assert.equal(seen, [22, 3, 3, 7, 9]);
    }
    data.close();
  });
}

test('the last batch and the one before stay as they were; buffers are used again after that', async () => {
  const data = inMemory(true);
  const loader = new TrainLoader(data, new Sampler(data.labels, allIndices(data), { batch: 4 }), { prefetch: 2 });
  const first = (await loader.next()).pixels;
  let before: { pixels: Uint8Array; copy: Uint8Array } | undefined;
  for (let k = 0; k < 40; k++) {
    const { pixels } = await loader.next();
    if (before) assert.equal(before.pixels, before.copy, `batch ${k - 1}`);
    before = { pixels, copy: pixels.slice() };
  }
  assert.is(first.length, 0, 'its buffer went back to a worker');
  loader.close();
});

test('resumed from its state, the loader goes on as if never stopped, prefetched batches notwithstanding', async () => {
  const data = inMemory(true);
  const make = () => new TrainLoader(
    data, new Sampler(data.labels, allIndices(data), { batch: 4, seed: 9, kind: 'balanced' }), { prefetch: 3 });
  const ids = async (loader: TrainLoader, n: number) => {
    const out: number[][] = [];
    for (let k = 0; k < n; k++) out.push([...(await loader.next()).sampleIds]);
    return out;
  };
  const whole = make();
  const expected = await ids(whole, 20);
  whole.close();
  for (const stop of [0, 1, 4, 5, 6, 13]) {
    const first = make();
    await ids(first, stop);
    const state = JSON.parse(JSON.stringify(first.state()));
    first.close();
    const second = make();
    await ids(second, 2);
    second.restore(state);
    assert.equal(await ids(second, 20 - stop), expected.slice(stop), `after ${stop}`);
    second.close();
  }
});

test('failures reach the caller: a file cut short, a closed loader, a failing sampler', async () => {
  const data = await inFile();
  const loader = new TrainLoader(data, new Sampler(data.labels, [count - 1], { batch: 1 }), { workers: 1 });
  truncateSync((data as Dataset & { cacheFile: string }).cacheFile, stride * 5);
  await rejects(loader.next(), DataError, /ends before sample 22/);
  loader.close();
  await rejects(loader.next(), DataError, /closed/);
  assert.throws(() => data.readInto(22, new Uint8Array(stride)), /ends before sample 22/);
  data.close();

  const memory = inMemory(false);
  const eachEpoch: EachEpoch = ({ epoch }) => ({ indices: epoch === 2 ? [99] : [0, 1] });
  const failing = new TrainLoader(memory, new Sampler(memory.labels, [0, 1], { batch: 1, eachEpoch }), { prefetch: 4 });
  await failing.next();
  await failing.next();
  await rejects(failing.next(), DataError, /index 99 in epoch 2/);
  failing.close();
});

test('options are checked', async () => {
  const data = inMemory(false);
  const sampler = new Sampler(data.labels, [0], { batch: 1 });
  assert.throws(() => new TrainLoader(data, sampler, { prefetch: -1 }), /prefetch/);
  assert.throws(() => new TrainLoader(data, sampler, { workers: 1.5 }), /workers/);
  await rejects(evaluationBatches(data, [0], 0).next() as Promise<unknown>, OptionError, /batch/);
  await rejects(evaluationBatches(data, [], 1).next() as Promise<unknown>, DataError, /no samples/);
});

test('datasets in memory are checked', () => {
  const make = (init: object) => () => memoryDataset({ shape: [1, 1, 3], bytes: new Uint8Array(6), labels: [0, 1], ...init });
  make({})();
  assert.throws(make({ bytes: new Uint8Array(5) }), /2 labels of \[1, 1, 3\] need 6 bytes, got 5/);
  assert.throws(make({ labels: [0, 2], classes: ['a', 'b'] }), /label 2 of '1'/);
  assert.throws(make({ ids: ['x', 'x'] }), /two samples are named 'x'/);
  assert.throws(make({ patients: ['x'] }), /1 patients for 2 samples/);
  assert.throws(make({ shape: [1, 3] }), /shape must be/);
});

test('a loader left open does not keep the process', () => {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const script = `
    const { memoryDataset } = await import(${url('../../src/data/dataset.ts')});
    const { TrainLoader } = await import(${url('../../src/data/loader.ts')});
    const { Sampler } = await import(${url('../../src/data/sampler.ts')});
    const bytes = new Uint8Array(new SharedArrayBuffer(6));
    const data = memoryDataset({ shape: [1, 1, 3], bytes, labels: [0, 1] });
    const loader = new TrainLoader(data, new Sampler(data.labels, [0, 1], { batch: 1 }), { workers: 2 });
    for (let k = 0; k < 3; k++) await loader.next();
    console.log('done');`;
  const run = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script],
    { encoding: 'utf8', timeout: 20000 });
  assert.is(run.stdout.trim(), 'done', run.stderr);
  assert.is(run.status, 0, run.stderr);
});

test.run();
