/**
 * Pretrained weights on real photographs: healthy against any retinopathy on IDRiD and on Rahim's images, by five-fold cross-validation
 * over all images but copies. Every choice is made within the training folds of its fold. Beside the network, over the same folds, stand
 * logistic regressions that see no lesion; intervals and differences are bootstrapped over patients.
 *
 *     npm run bench -- transfer --weights MODEL --idrid FOLDER --rahim FOLDER [--out FILE] [--sizes 299,448] [--tune] [--permutations N]
 *       [--threads N]
 *
 * MODEL is Keras' Inception v3 (`model.json`), the folders hold images/ and labels.csv. Without --tune the fine-tuned network is left out.
 * --permutations judges the frozen network, its choices included, N times on labels permuted among patients: an AUC of .5 but for chance
 * says that nothing of a fold's labels finds its way into what judges it.
 * What is finished is kept in FILE, and a second call goes on from there; features are kept in the cache.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheImages, kFold, openFolder } from '../src/data/index.ts';
import type { Dataset } from '../src/data/index.ts';
import { loadModel } from '../src/formats/index.ts';
import { device } from '../src/index.ts';
import type { Device } from '../src/index.ts';
import {
  addHead, arraysToMXNet, blocksOf, cutAt, freeze, frozenPart, parseHead, scaleLearningRates, unfreeze, upTo,
} from '../src/nn/index.ts';
import type { ModelSymbol, ParameterArrays } from '../src/nn/index.ts';
import { cosine } from '../src/optim/index.ts';
import {
  FeatureSource, baselineNames, createNetwork, featureCache, fit, foldAuc, foldAucDifference, logisticBaseline,
} from '../src/train/index.ts';
import type { Estimate } from '../src/train/index.ts';
import { flipped, flips } from './support/flipped.ts';
import {
  averagedOdds, crossValidatedAuc, headTraining, innerAucs, innerFolds, logOdds, permutedAmongPatients, relabelled, trainHead, variants,
} from './support/heads.ts';
import type { Candidate, Sets } from './support/heads.ts';

const { values: options } = parseArgs({
  args: process.argv.slice(2),
  options: {
    weights: { type: 'string' }, idrid: { type: 'string' }, rahim: { type: 'string' }, out: { type: 'string', default: 'transfer.json' },
    tune: { type: 'boolean', default: false }, permutations: { type: 'string', default: '0' }, sizes: { type: 'string', default: '299' },
    threads: { type: 'string' },
  },
});
if (!options.weights || !(options.idrid ?? options.rahim)) {
  console.error('--weights MODEL and --idrid FOLDER or --rahim FOLDER are missing: see the head of bench/transfer.ts');
  process.exit(2);
}
const permutations = Number(options.permutations);
if (!Number.isInteger(permutations) || permutations < 0) {
  console.error(`--permutations: expected how many, 0 or more, got ${JSON.stringify(options.permutations)}`);
  process.exit(2);
}

const cut = 'mixed5';
const outerFolds = 5;
const seeds = [1, 2, 3];

const candidates: readonly Candidate[] = options.sizes.split(',').map(Number).flatMap((size) => [
  { size, head: 'norm,2', weightDecay: 0.003 }, { size, head: 'norm,2', weightDecay: 0.03 },
  { size, head: 'norm,dropout:0.5,2', weightDecay: 0.003 }, { size, head: 'norm,dropout:0.5,64,relu,2', weightDecay: 0.003 },
]);
/** Stated beforehand: to choose them in folds takes a day on a cpu. An epoch is of all images and their mirror images. */
const tuning = { from: 'mixed3', frozenUpTo: 'mixed2', epochs: 3, batch: 16, rate: 0.001, decayByBlock: 0.7 };

interface FoldRecord {
  readonly chosen: Candidate;
  /** Mean AUC of each candidate over the inner folds. */
  readonly inner: readonly number[];
  /** Log odds of infection of the fold's images, by index. */
  readonly frozen: Readonly<Record<number, number>>;
  readonly baselines: Readonly<Record<string, Readonly<Record<number, number>>>>;
  tuned?: Readonly<Record<number, number>>;
}
interface Kept {
  readonly folds: Record<string, FoldRecord[]>;
  /** AUC of the frozen network for labels permuted with seed 1, 2, ... */
  readonly permuted?: Record<string, number[]>;
}
const kept: Kept = existsSync(options.out) ? JSON.parse(readFileSync(options.out, 'utf8')) as Kept : { folds: {} };
const { folds: record, permuted = {} } = kept;

const cpu: Device = await device('cpu', { relaxedSimd: true, ...(options.threads && { threads: Number(options.threads) }) });
const model = await loadModel(options.weights);
const { mean, deviation } = model.preprocessing!;
const normalization = { mean, deviation, window: 0 };
const store = await featureCache();
const say = (line: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);

function image(size: number): Record<string, number[]> {
  return { data: [1, 3, size, size] };
}

/** The trunk with a head, all of it frozen up to a layer. */
function networkOf(candidate: Candidate, frozenUpTo: string): ModelSymbol {
  const whole = addHead(cutAt(model.symbol, cut), parseHead(candidate.head), image(candidate.size));
  const still = unfreeze(whole, upTo(whole, cut), { statistics: 'frozen' });
  return freeze(still, upTo(still, frozenUpTo));
}

async function openData(name: string, folder: string, size: number): Promise<Dataset> {
  const listing = await openFolder(join(folder, 'images'), {
    table: join(folder, 'labels.csv'), positive: 'dr == 1',
    // Second copies of photographs, some of them filed under another grade.
    exclude: name === 'idrid' ? ['test_064', 'train_327', 'train_333', 'train_375', 'train_279'] : ['P300_L', 'P300_R'],
  });
  return cacheImages(listing, { size });
}

/** Features of all images and their mirror images, at each size. */
async function featuresOf(name: string, folder: string): Promise<Map<number, Sets>> {
  const out = new Map<number, Sets>();
  for (const size of new Set(candidates.map((c) => c.size))) {
    const images = await openData(name, folder, size);
    const all = flipped(images);
    const network = createNetwork(networkOf({ size, head: '2', weightDecay: 0 }, cut), all, { seed: 0, from: model.parameters });
    const source = new FeatureSource({ network, part: frozenPart(network.logits)!, device: cpu, normalization, batch: 8, store });
    let last = 0;
    const features = await source.dataset(all, Array.from({ length: all.length }, (_, i) => i), {
      onProgress(done, total) {
        if (done - last < 400 && done < total) return;
        last = done;
        say(`${name} ${size}: features of ${done} of ${total}`);
      },
    });
    source.dispose();
    network.dispose();
    out.set(size, { images, features });
  }
  return out;
}

/** Trained on from the frozen network of the same fold; what stays frozen is computed once for all folds. */
async function tune(candidate: Candidate, images: Dataset, head: ParameterArrays, train: ArrayLike<number>, judged: ArrayLike<number>) {
  const { epochs, batch, rate, decayByBlock, frozenUpTo } = tuning;
  const symbol = networkOf(candidate, frozenUpTo);
  const blocks = blocksOf(cutAt(symbol, cut));
  const depth = new Map(blocks.flatMap((block, i) => block.flatMap((layer) =>
    layer.inputs.map(({ node }) => [node.name, blocks.length - i] as const))));
  const ofHead = arraysToMXNet(head);
  const all = flipped(images);
  const result = await fit({
    symbol: scaleLearningRates(symbol, (name) => decayByBlock ** (depth.get(name) ?? 0)),
    data: all, train: variants(train), epochs, batch, seed: 1, device: cpu, classWeights: 'balanced', loader: { workers: 0 },
    normalization, featureStore: store, optimizer: { kind: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
    learningRate: cosine({ learningRate: rate, maxUpdate: Math.floor(flips.length * train.length / batch) * epochs }),
    initialize: {
      from: {
        arguments: new Map([...model.parameters.arguments, ...ofHead.arguments]),
        auxiliary: new Map([...model.parameters.auxiliary, ...ofHead.auxiliary]),
      },
    },
    callbacks: { onEpoch: ({ epoch, objective, seconds }) => say(`  epoch ${epoch}: loss ${objective.toFixed(3)}, ${seconds.toFixed(0)} s`) },
  });
  const odds = logOdds(await result.predict(all, variants(judged)), judged.length);
  result.dispose();
  return odds;
}

const byIndex = (indices: ArrayLike<number>, values: ArrayLike<number>): Record<number, number> =>
  Object.fromEntries(Array.from(indices, (i, k) => [i, values[k]]));

function save(): void {
  const all = { candidates, headTraining, tuning, outerFolds, innerFolds, seeds, folds: record, permuted };
  writeFileSync(options.out, `${JSON.stringify(all, null, 1)}\n`);
}

for (const [name, folder] of [['idrid', options.idrid], ['rahim', options.rahim]] as const) {
  if (folder === undefined) continue;
  const sets = await featuresOf(name, folder);
  const { images } = sets.get(candidates[0].size)!;
  const folds = kFold(images, { folds: outerFolds, seed: 0 });
  const own = record[name] ??= [];
  for (const { train, validation: judged } of folds.slice(own.length)) {
    const inner = await innerAucs(cpu, candidates, sets, train);
    const chosen = candidates[inner.indexOf(Math.max(...inner))];
    const frozen = await averagedOdds(cpu, chosen, sets, train, judged, seeds);
    const baselines = Object.fromEntries(baselineNames.map((baseline) =>
      [baseline, byIndex(judged, logisticBaseline(baseline, images, train, judged, { resamples: 0 }).scores)]));
    own.push({ chosen, inner, frozen: byIndex(judged, frozen), baselines });
    save();
    say(`${name} fold ${own.length}: chosen ${JSON.stringify(chosen)} (${inner.map((x) => x.toFixed(3)).join(', ')})`);
  }
  for (const [f, { train, validation: judged }] of folds.entries()) {
    if (!options.tune || own[f].tuned) continue;
    const { chosen } = own[f];
    const { images: sized, features } = sets.get(chosen.size)!;
    const { parameters } = await trainHead(cpu, chosen, features, train, judged, seeds[0]);
    say(`${name} fold ${f + 1}: fine-tuning from ${tuning.from} on`);
    own[f].tuned = byIndex(judged, await tune(chosen, sized, parameters, train, judged));
    save();
  }
  report(name, images, own, folds.map(({ validation }) => validation));
  const chance = permuted[name] ??= [];
  while (chance.length < permutations) {
    const labels = permutedAmongPatients(images, chance.length + 1);
    chance.push(await crossValidatedAuc(cpu, candidates, relabelled(sets, labels), outerFolds, seeds));
    save();
    say(`${name}: labels permuted, ${chance.length} of ${permutations}: AUC ${chance.at(-1)!.toFixed(3)}`);
  }
  if (chance.length > 0) {
    const mean = chance.reduce((a, b) => a + b, 0) / chance.length;
    const spread = Math.sqrt(chance.reduce((sum, auc) => sum + (auc - mean) ** 2, 0) / (chance.length - 1));
    console.log(`\n${name}, labels permuted among patients ${chance.length} times: AUC ${mean.toFixed(3)} in the mean, standard deviation `
      + `${spread.toFixed(3)}, ${Math.min(...chance).toFixed(3)} to ${Math.max(...chance).toFixed(3)}`);
  }
  for (const set of sets.values()) set.images.close();
}
cpu.dispose();

/** The table of one set of photographs. */
function report(name: string, data: Dataset, own: readonly FoldRecord[], judged: readonly Int32Array[]): void {
  const foldOf = new Map(judged.flatMap((indices, f) => Array.from(indices, (i) => [i, f] as const)));
  const all = (scores: (fold: FoldRecord) => Readonly<Record<number, number>>): number[] =>
    Array.from({ length: data.length }, (_, i) => scores(own[foldOf.get(i)!])[i]);
  const about = {
    labels: data.labels, patients: data.patients, folds: Array.from({ length: data.length }, (_, i) => foldOf.get(i)),
  };
  const rows = [
    [`Inception v3, frozen at ${cut}`, all((fold) => fold.frozen)],
    ...(own.every((fold) => fold.tuned) ? [[`Inception v3, fine-tuned from ${tuning.from} on`, all((fold) => fold.tuned!)]] as const : []),
    ...baselineNames.map((baseline) => [`logistic, ${baseline}`, all((fold) => fold.baselines[baseline])] as const),
  ] as const;
  const thumbnail = rows.at(-1)![1] as number[];
  const options = { resamples: 4000, seed: 1 };
  const text = ({ value, low, high }: Estimate): string => `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  console.log(`\n${name}: ${data.length} images of ${new Set(data.patients).size} patients\n`);
  console.log('| model | AUC, mean of folds (95 %) | above the thumbnail | above the frozen network |\n|---|---|---|---|');
  for (const [title, scores] of rows) {
    const difference = (others: ArrayLike<number>): string =>
      (scores === others ? '' : text(foldAucDifference({ ...about, scores: scores as number[] }, others, options)));
    const auc = text(foldAuc({ ...about, scores: scores as number[] }, options));
    console.log(`| ${title as string} | ${auc} | ${difference(thumbnail)} | ${difference(rows[0][1] as number[])} |`);
  }
}
