import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memoryDataset } from '../../src/data/dataset.ts';
import type { Labelled } from '../../src/data/dataset.ts';
import { kFold, splitByPatient } from '../../src/data/split.ts';
import { DataError, OptionError } from '../../src/errors.ts';

/** Two eyes a patient; patients below `infected` have it in one eye or both. */
function eyes(patients: number, infected: number, extra: Partial<Labelled> = {}): Labelled {
  const labels = Array.from({ length: patients * 2 }, (_, i) => Number((i >> 1) < infected && (i % 2 === 0 || i % 3 === 0)));
  return memoryDataset({
    shape: [1, 1, 1], bytes: new Uint8Array(labels.length), labels,
    patients: labels.map((_, i) => `P${i >> 1}`), ...extra as object,
  });
}
const patientsOf = (data: Labelled, indices: Int32Array) => new Set(Array.from(indices, (i) => data.patients[i]));
const infectedPatients = (data: Labelled, indices: Int32Array) =>
  new Set(Array.from(indices).filter((i) => data.labels[i] === 1).map((i) => data.patients[i])).size;

function throws(make: () => unknown, type: typeof DataError | typeof OptionError, pattern: RegExp) {
  assert.throws(make, (error: Error) => error instanceof type && pattern.test(error.message));
}

test('parts are disjoint by patient, cover all, and keep the strata', () => {
  const data = eyes(200, 60);
  for (const seed of [0, 1, 2]) {
    const split = splitByPatient(data, { ratios: { train: 0.7, validation: 0.15, test: 0.15 }, seed });
    const all = [...split.train, ...split.validation, ...split.test].sort((a, b) => a - b);
    assert.equal(all, Array.from({ length: 400 }, (_, i) => i));
    const sets = [split.train, split.validation, split.test].map((part) => patientsOf(data, part));
    assert.equal(sets.map((set) => set.size), [140, 30, 30]);
    assert.is(new Set([...sets[0], ...sets[1], ...sets[2]]).size, 200);
    assert.equal([split.train, split.validation, split.test].map((p) => infectedPatients(data, p)), [42, 9, 9]);
  }
});

test('the seed decides, and nothing else', () => {
  const data = eyes(50, 10);
  assert.equal(splitByPatient(data, { seed: 3 }), splitByPatient(data, { seed: 3 }));
  assert.not.equal(splitByPatient(data, { seed: 3 }).train, splitByPatient(data, { seed: 4 }).train);
});

test('three infected of 203 patients: each part gets one', () => {
  const data = eyes(203, 3);
  const split = splitByPatient(data);
  assert.equal([split.train, split.validation, split.test].map((part) => infectedPatients(data, part)), [1, 1, 1]);
  assert.equal(split.warnings, []);
});

test('a part without a class is a warning', () => {
  const split = splitByPatient(eyes(100, 1));
  assert.is(split.warnings.length, 2);
  assert.match(split.warnings[0], /has no image of class infected/);
});

test('groups hold patients together, transitively', () => {
  const groups = Array.from({ length: 80 }, (_, i) => (i === 1 || i === 10 ? 'a' : i === 11 || i === 30 ? 'b' : ''));
  const data = eyes(40, 10, { groups });
  for (let seed = 0; seed < 20; seed++) {
    const split = splitByPatient(data, { seed });
    const part = (i: number) => ['train', 'validation', 'test'].findIndex((name) =>
      split[name as 'train'].includes(i));
    assert.is(part(0), part(10));
    assert.is(part(0), part(31));
  }
});

test('a given split stands; validation is drawn from training patients', () => {
  const splits = Array.from({ length: 80 }, (_, i) => (i < 20 ? 'Test' : 'train'));
  const data = eyes(40, 20, { splits });
  const split = splitByPatient(data, { ratios: { train: 0.8, validation: 0.2 } });
  assert.equal([...split.test], Array.from({ length: 20 }, (_, i) => i));
  assert.is(split.validation.length, 12);
  assert.is(split.train.length, 48);
  const train = patientsOf(data, split.train);
  assert.not.ok([...patientsOf(data, split.validation)].some((patient) => train.has(patient)));
  const without = splitByPatient(data, { ratios: { validation: 0 } });
  assert.equal([without.train.length, without.validation.length], [60, 0]);
  assert.is(splitByPatient(data, { honourGiven: false }).test.length, 12);
});

test('a given split that leaks: the training copies go, by name', () => {
  const splits = Array.from({ length: 20 }, (_, i) => (i < 4 || i === 7 ? 'test' : 'train'));
  const groups = Array.from({ length: 20 }, (_, i) => (i === 0 || i === 12 ? 'copy' : ''));
  const data = eyes(10, 4, { splits, groups });
  const split = splitByPatient(data, { ratios: { validation: 0 } });
  assert.equal([...split.test], [0, 1, 2, 3, 7]);
  assert.not.ok([6, 12, 13].some((i) => split.train.includes(i)), 'the other eye, the copy and its other eye');
  assert.match(split.warnings[0], /3 images left out of training.*6, 12, 13/);
});

test('folds: every sample is held out once, patients stay whole, classes are spread', () => {
  const data = eyes(53, 17);
  const folds = kFold(data, { folds: 5, seed: 1 });
  const held = folds.flatMap((fold) => [...fold.validation]).sort((a, b) => a - b);
  assert.equal(held, Array.from({ length: 106 }, (_, i) => i));
  for (const { train, validation } of folds) {
    assert.is(train.length + validation.length, 106);
    const trainPatients = patientsOf(data, train);
    assert.not.ok([...patientsOf(data, validation)].some((patient) => trainPatients.has(patient)));
    assert.ok([3, 4].includes(infectedPatients(data, validation)));
    assert.ok([10, 11].includes(patientsOf(data, validation).size));
  }
  const some = kFold(data, { folds: 2, indices: [0, 1, 2, 3, 90, 91] });
  assert.equal(some.flatMap((fold) => [...fold.validation]).sort((a, b) => a - b), [0, 1, 2, 3, 90, 91]);
});

test('wrong options and splits are refused', () => {
  const data = eyes(10, 4);
  throws(() => splitByPatient(data, { ratios: { train: -1 } }), OptionError, /share of train/);
  throws(() => splitByPatient(data, { ratios: { tset: 1 } as object }), OptionError, /unknown part 'tset'/);
  throws(() => splitByPatient(eyes(2, 1)), DataError, /2 patients cannot be split/);
  throws(() => splitByPatient(eyes(2, 1, { splits: ['train', 'test', 'hold', ''] })), DataError, /split 'hold' of '2'/);
  throws(() => splitByPatient(eyes(2, 1, { splits: ['train', 'test', '', ''] })), DataError, /'2' has no value/);
  throws(() => kFold(data, { folds: 1 }), OptionError, /folds/);
  throws(() => kFold(data, { folds: 11 }), DataError, /10 patients for 11 folds/);
});

test.run();
