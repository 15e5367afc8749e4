/**
 * Inception-BN from random weights on real photographs: IDRiD, healthy against any retinopathy. Options are chosen by
 * cross-validation on the official training part; the official test part is then scored once for each of three seeds, beside
 * logistic baselines whose penalty was chosen in the same way. The test part has 14 healthy images: little is proved by it.
 *
 *     npm run bench -- idrid --data FOLDER [--out FILE] [--threads N]
 *
 * FOLDER holds images/ and labels.csv (columns image, dr, split). What is finished is kept in FILE, and a second call goes on
 * from there.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheImages, kFold, openFolder, rocAuc, splitByPatient } from '../src/data/index.ts';
import type { Dataset } from '../src/data/index.ts';
import { device } from '../src/index.ts';
import { inceptionBN } from '../src/models/index.ts';
import { cosine } from '../src/optim/index.ts';
import { baselineNames, evaluatePredictions, fit, logisticBaseline, softmaxRows } from '../src/train/index.ts';

const { values: options } = parseArgs({
  args: process.argv.slice(2),
  options: { data: { type: 'string' }, out: { type: 'string', default: 'idrid.json' }, threads: { type: 'string' } },
});
if (!options.data) {
  console.error('--data FOLDER is missing: the folder with images/ and labels.csv of IDRiD');
  process.exit(2);
}

interface Candidate {
  readonly width: number;
  readonly learningRate: number;
  readonly augment: string;
  readonly epochs: number;
}

const candidates: readonly Candidate[] = [
  { width: 0.25, learningRate: 0.02, augment: 'flips', epochs: 15 },
  { width: 0.25, learningRate: 0.05, augment: 'flips', epochs: 15 },
  { width: 0.5, learningRate: 0.02, augment: 'flips', epochs: 15 },
  { width: 0.25, learningRate: 0.05, augment: 'flips', epochs: 40 },
];
const folds = 3;
const seeds = [1, 2, 3];
const batch = 16;

interface Trained {
  readonly scores: readonly number[];
  readonly firstLoss: number;
  readonly lastLoss: number;
  readonly minutes: number;
}

interface Results {
  crossValidation: { candidate: Candidate; aucs: number[] }[];
  test: { candidate: Candidate; seed: number; auc: number; interval: readonly [number, number]; trained: Trained }[];
  baselines: { name: string; crossValidatedAuc: number; auc: number; interval: readonly [number, number] }[];
}

const record: Results = existsSync(options.out)
  ? (JSON.parse(readFileSync(options.out, 'utf8')) as Results) : { crossValidation: [], test: [], baselines: [] };
const save = (): void => writeFileSync(options.out, `${JSON.stringify(record, null, 1)}\n`);

const listing = await openFolder(join(options.data, 'images'), {
  table: join(options.data, 'labels.csv'), positive: 'dr == 1',
  // The same photograph filed twice, with different grades; and copies across the official parts.
  exclude: ['test_064'],
  duplicates: [['train_028', 'train_327'], ['train_045', 'train_333'], ['train_073', 'train_375'], ['train_079', 'train_279']],
});
const data = await cacheImages(listing, { size: 224 });
const parts = splitByPatient(data, { ratios: { train: 1, validation: 0, test: 0 } });
console.log(`${parts.train.length} training images, ${parts.test.length} of the official test part`);
const cpu = await device('cpu', { relaxedSimd: true, ...(options.threads && { threads: Number(options.threads) }) });

async function train(candidate: Candidate, indices: ArrayLike<number>, judged: ArrayLike<number>, seed: number): Promise<Trained> {
  const { width, learningRate, augment, epochs } = candidate;
  const started = performance.now();
  const steps = Math.floor(indices.length / batch);
  const result = await fit({
    symbol: inceptionBN({ classes: 2, width }), data, train: indices, epochs, batch, seed, device: cpu, augment,
    classWeights: 'balanced', optimizer: { kind: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
    learningRate: cosine({ learningRate, maxUpdate: steps * epochs }),
  });
  const logits = await result.predict(data, judged);
  const objectives = result.history.map((e) => e.objective);
  result.dispose();
  const probabilities = softmaxRows(logits, 2);
  return {
    scores: Array.from(judged, (_, i) => probabilities[2 * i + 1]),
    firstLoss: objectives[0], lastLoss: objectives[objectives.length - 1], minutes: (performance.now() - started) / 60_000,
  };
}

const labelsOf = (set: Dataset, indices: ArrayLike<number>): number[] => Array.from(indices, (i) => set.labels[i]);
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const folded = kFold(data, { folds, seed: 0, indices: parts.train });
for (const candidate of candidates) {
  const key = JSON.stringify(candidate);
  let row = record.crossValidation.find((r) => JSON.stringify(r.candidate) === key);
  if (row === undefined) record.crossValidation.push((row = { candidate, aucs: [] }));
  for (const fold of folded.slice(row.aucs.length)) {
    const { scores, firstLoss, lastLoss, minutes } = await train(candidate, fold.train, fold.validation, 0);
    row.aucs.push(rocAuc(scores, labelsOf(data, fold.validation)));
    save();
    console.log(`${key} fold ${row.aucs.length}: AUC ${row.aucs[row.aucs.length - 1].toFixed(3)}, `
      + `loss ${firstLoss.toFixed(3)} to ${lastLoss.toFixed(3)}, ${minutes.toFixed(1)} min`);
  }
}
const chosen = [...record.crossValidation].sort((a, b) => mean(b.aucs) - mean(a.aucs))[0].candidate;
console.log(`chosen by cross-validation: ${JSON.stringify(chosen)}`);

const truth = labelsOf(data, parts.test);
const isChosen = (t: { candidate: Candidate }): boolean => JSON.stringify(t.candidate) === JSON.stringify(chosen);
for (const seed of seeds.slice(record.test.filter(isChosen).length)) {
  const trained = await train(chosen, parts.train, parts.test, seed);
  const { auc } = evaluatePredictions({
    values: trained.scores.flatMap((p) => [1 - p, p]), kind: 'probabilities', labels: truth, classes: data.classes,
  }, { resamples: 2000 });
  record.test.push({ candidate: chosen, seed, auc: auc.value, interval: [auc.low, auc.high], trained });
  save();
}
if (record.baselines.length === 0) {
  for (const name of baselineNames) {
    const { crossValidatedAuc, metrics: { auc } } = logisticBaseline(name, data, parts.train, parts.test, { resamples: 2000 });
    record.baselines.push({ name, crossValidatedAuc, auc: auc.value, interval: [auc.low, auc.high] });
  }
  save();
}

const best = record.crossValidation.find(isChosen)!;
const tested = record.test.filter(isChosen);
const ordered = [...tested].sort((a, b) => a.auc - b.auc);
const middle = ordered[(ordered.length - 1) / 2];
console.log('\n| model | cross-validated AUC | test AUC | 95 % interval |\n|---|---|---|---|');
console.log(`| Inception-BN 224, random weights, median of ${seeds.length} seeds | ${mean(best.aucs).toFixed(3)} | ${middle.auc.toFixed(3)} `
  + `| ${middle.interval.map((x) => x.toFixed(2)).join(' to ')} |`);
for (const b of record.baselines) {
  console.log(`| logistic, ${b.name} | ${b.crossValidatedAuc.toFixed(3)} | ${b.auc.toFixed(3)} | ${b.interval.map((x) => x.toFixed(2)).join(' to ')} |`);
}
console.log(`\nseeds: ${tested.map((t) => t.auc.toFixed(3)).join(', ')}; loss of the last epoch over the first: `
  + tested.map((t) => (t.trained.lastLoss / t.trained.firstLoss).toFixed(2)).join(', '));
data.close();
cpu.dispose();
