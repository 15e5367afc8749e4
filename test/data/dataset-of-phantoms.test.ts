import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderPhantom } from '../../src/data/phantom/index.ts';
import { phantomDataset } from '../../src/data/phantom-dataset.ts';
import { TrainLoader } from '../../src/data/loader.ts';
import { Sampler } from '../../src/data/sampler.ts';
import { splitByPatient } from '../../src/data/split.ts';
import { OptionError } from '../../src/errors.ts';

const root = mkdtempSync(join(tmpdir(), 'fovea-phantoms-'));
test.after(() => rmSync(root, { recursive: true }));
const options = { patients: 6, seed: 3, size: 32 };

test('the bytes are the generator\'s, in memory as in the cache, whatever the threads', async () => {
  const sets = [
    await phantomDataset({ ...options, cacheDir: false }),
    await phantomDataset({ ...options, cacheDir: join(root, 'a'), workers: 0 }),
    await phantomDataset({ ...options, cacheDir: join(root, 'b'), workers: 3 }),
  ];
  for (const data of sets) {
    assert.is(data.simulated, true);
    assert.match(data.name, /simulated/);
    assert.equal([data.length, ...data.shape], [12, 32, 32, 3]);
    assert.is([...data.labels].reduce((a, b) => a + b), 6);
    const pixels = new Uint8Array(32 * 32 * 3);
    for (let i = 0; i < data.length; i++) {
      data.readInto(i, pixels);
      assert.equal(pixels, renderPhantom(data.eyes[i].spec, { size: 32 }).pixels, data.ids[i]);
    }
    assert.is(new Set(splitByPatient(data).train.map((i) => i >> 1)).size, 4, 'patients have two eyes');
  }
  sets.forEach((data) => data.close());
});

test('rendered once: progress the first time, none the second; other options, another cache', async () => {
  const cacheDir = join(root, 'c');
  const progress: number[] = [];
  (await phantomDataset({ ...options, cacheDir, onProgress: (done, total) => progress.push(done, total) })).close();
  assert.equal(progress.filter((_, i) => i % 2 === 0), Array.from({ length: 12 }, (_, i) => i + 1));
  assert.ok(progress.every((value, i) => i % 2 === 0 || value === 12));
  const again = await phantomDataset({ ...options, cacheDir, onProgress: () => assert.unreachable('rendered again') });
  const loader = new TrainLoader(again, new Sampler(again.labels, [3, 4], { batch: 2 }));
  const batch = await loader.next();
  assert.equal(batch.pixels.slice(0, 3072), renderPhantom(again.eyes[batch.sampleIds[0]].spec, { size: 32 }).pixels);
  loader.close();
  again.close();
  (await phantomDataset({ ...options, cacheDir, blur: 2 })).close();
  assert.is(readdirSync(cacheDir).filter((name) => name.endsWith('.bytes')).length, 2);
});

test('wrong options are refused before any rendering', async () => {
  for (const wrong of [{ size: 4 }, { size: 32, patients: 0 }, { size: 32, prevalence: 2 }, { size: 32, workers: -1 }]) {
    try {
      await phantomDataset({ cacheDir: root, ...wrong });
      assert.unreachable(JSON.stringify(wrong));
    } catch (error) {
      assert.instance(error, OptionError);
    }
  }
});

test.run();
