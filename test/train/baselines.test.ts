import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheImages } from '../../src/data/cache.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { openFolder } from '../../src/data/folder.ts';
import { splitByPatient } from '../../src/data/split.ts';
import { baselineFeatures, logisticBaseline } from '../../src/train/baselines.ts';
import { skip } from '../support/skip.ts';
import { shared } from '../support/shared.ts';

/** 16 x 16 noise of which the top left quarter is lighter by `gap` where the label is 1. */
function quarters(count: number, gap: number) {
  let state = 5;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const labels = Array.from({ length: count }, (_, i) => i % 2);
  const bytes = new Uint8Array(count * 768);
  for (let i = 0; i < bytes.length; i++) {
    const [x, y] = [Math.floor(i / 3) % 16, Math.floor(i % 768 / 48)];
    bytes[i] = 60 + 80 * random() + (x < 8 && y < 8 ? gap * labels[Math.floor(i / 768)] : 0);
  }
  return memoryDataset({ shape: [16, 16, 3], bytes, labels });
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('a thumbnail averages cells: 192 values, row by row', () => {
  const bytes = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3 / 32) * 8 + (Math.floor(i / 3) % 16 >> 1) + i % 3);
  const { values, columns } = baselineFeatures('8x8 thumbnail', memoryDataset({ shape: [16, 16, 3], bytes, labels: [0] }), [0]);
  assert.is(columns, 192);
  assert.equal([...values], range(0, 192).map((k) => Math.floor(k / 24) * 8 + Math.floor(k / 3) % 8 + k % 3));
});

test('a difference in place or colour is found, noise is not, and the test part decides nothing', () => {
  const data = quarters(120, 30);
  const found = logisticBaseline('8x8 thumbnail', data, range(0, 80), range(80, 120), { resamples: 50 });
  assert.ok(found.metrics.auc.value > 0.95, `${found.metrics.auc.value}`);
  assert.is(found.scores.length, 40);
  const nothing = logisticBaseline('8x8 thumbnail', quarters(120, 0), range(0, 80), range(80, 120), { resamples: 50 });
  assert.ok(nothing.metrics.auc.value < 0.75, `${nothing.metrics.auc.value}`);
  const other = logisticBaseline('8x8 thumbnail', data, range(0, 80), range(90, 100), { resamples: 50 });
  assert.equal([other.l2, other.crossValidatedAuc], [found.l2, found.crossValidatedAuc]);
  assert.equal([...other.scores], [...found.scores].slice(10, 20));
});

test('images that are not square are refused', () => {
  const data = memoryDataset({ shape: [8, 16, 3], bytes: new Uint8Array(384), labels: [0] });
  assert.throws(() => baselineFeatures('channel statistics', data, [0]), /square RGB.*\[8, 16, 3\]/);
});

const idrid = shared('data', 'idrid');
const title = 'IDRiD, official split: AUC of the 8x8 thumbnail';
if (idrid === undefined) skip(title, 'no data/idrid in the shared folder (FOVEA_SHARED)');
else test(title, async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'fovea-baselines-'));
  try {
    const data = await cacheImages(await openFolder(idrid, {
      exclude: ['test_064'], duplicates: [['train_028', 'train_327'], ['train_045', 'train_333'],
        ['train_073', 'train_375'], ['train_079', 'train_279']],
    }), { size: 64, cacheDir });
    const { train, test: held } = splitByPatient(data, { ratios: { validation: 0 } });
    assert.equal([train.length, held.length], [375, 79]);
    const { metrics } = logisticBaseline('8x8 thumbnail', data, train, held, { resamples: 200 });
    // 0.71 is what the data's keepers measured, with another resize and penalty.
    assert.ok(Math.abs(metrics.auc.value - 0.71) < 0.05, `${metrics.auc.value}`);
    assert.ok(metrics.auc.low < 0.64 && metrics.auc.high > 0.78, 'with 14 healthy images it proves little');
    data.close();
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
});

test.run();
