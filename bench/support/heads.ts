/** Heads on frozen features, chosen within a fold's training part: what bench/transfer.ts judges, with labels true and permuted. */
import { kFold } from '../../src/data/index.ts';
import type { Dataset } from '../../src/data/index.ts';
import type { Device } from '../../src/index.ts';
import { addHead, parseHead, variable } from '../../src/nn/index.ts';
import type { ParameterArrays } from '../../src/nn/index.ts';
import { cosine } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { fit, meanFoldAuc } from '../../src/train/index.ts';
import { flips } from './flipped.ts';

/** What is chosen among within the training folds: the size of the images and the head. */
export interface Candidate {
  readonly size: number;
  readonly head: string;
  readonly weightDecay: number;
}

export const headTraining = { epochs: 30, batch: 64, rate: 0.002 };
export const innerFolds = 3;

/** Samples of a flipped dataset by the images'. */
export function variants(indices: ArrayLike<number>): number[] {
  return Array.from(indices).flatMap((i) => flips.map((_, k) => flips.length * i + k));
}

export function labelsOf(data: Dataset, indices: ArrayLike<number>): number[] {
  return Array.from(indices, (i) => data.labels[i]);
}

/** Log odds of class 1, the mean over an image's flips. */
export function logOdds(logits: Float32Array, images: number): number[] {
  return Array.from({ length: images }, (_, i) => flips.reduce((sum, _f, k) => {
    const at = 2 * (flips.length * i + k);
    return sum + logits[at + 1] - logits[at];
  }, 0) / flips.length);
}

/** A head trained on features. Returns it, and the log odds of the images judged. */
export async function trainHead(
  device: Device, candidate: Candidate, features: Dataset, train: ArrayLike<number>, judged: ArrayLike<number>, seed: number,
): Promise<{ odds: number[]; parameters: ParameterArrays }> {
  const { epochs, batch, rate } = headTraining;
  const symbol = addHead(variable('data'), parseHead(candidate.head), { data: [1, ...features.features!] });
  const indices = variants(train);
  const result = await fit({
    symbol, data: features, train: indices, epochs, batch, seed, device, classWeights: 'balanced', loader: { workers: 0 },
    optimizer: { kind: 'adam', weightDecay: candidate.weightDecay },
    learningRate: cosine({ learningRate: rate, maxUpdate: Math.floor(indices.length / batch) * epochs }),
  });
  const odds = logOdds(await result.predict(features, variants(judged)), judged.length);
  const parameters = await result.parameters();
  result.dispose();
  return { odds, parameters };
}

/** Of the same images: labels of `images` on the features of them and of their mirror images. */
export interface Sets {
  readonly images: Dataset;
  readonly features: Dataset;
}

/** Mean AUC of each candidate over inner folds of a training part. */
export async function innerAucs(
  device: Device, candidates: readonly Candidate[], sets: ReadonlyMap<number, Sets>, train: Int32Array,
): Promise<number[]> {
  const aucs: number[] = [];
  for (const candidate of candidates) {
    const { images, features } = sets.get(candidate.size)!;
    const scores: number[] = [];
    const labels: number[] = [];
    const folds: number[] = [];
    for (const [f, part] of kFold(images, { folds: innerFolds, seed: 1, indices: train }).entries()) {
      scores.push(...(await trainHead(device, candidate, features, part.train, part.validation, 0)).odds);
      labels.push(...labelsOf(images, part.validation));
      folds.push(...Array.from(part.validation, () => f));
    }
    aucs.push(meanFoldAuc({ scores, labels, folds }));
  }
  return aucs;
}

/** Log odds of the images judged, the mean over heads of several seeds. */
export async function averagedOdds(
  device: Device, candidate: Candidate, sets: ReadonlyMap<number, Sets>, train: Int32Array, judged: Int32Array, seeds: readonly number[],
): Promise<number[]> {
  const odds: number[][] = [];
  for (const seed of seeds) odds.push((await trainHead(device, candidate, sets.get(candidate.size)!.features, train, judged, seed)).odds);
  return odds[0].map((_, k) => odds.reduce((sum, one) => sum + one[k], 0) / odds.length);
}

/**
 * Labels dealt anew among patients: each takes those of another patient with as many images, in their order, so that what is alike within
 * a patient stays so and nothing else does.
 *
 * @returns a class for each image
 */
export function permutedAmongPatients({ labels, patients }: Pick<Dataset, 'labels' | 'patients'>, seed: number): Int32Array {
  const byPatient = new Map<string, number[]>();
  patients.forEach((patient, i) => byPatient.set(patient, [...(byPatient.get(patient) ?? []), i]));
  const bySize = new Map<number, number[][]>();
  for (const images of byPatient.values()) bySize.set(images.length, [...(bySize.get(images.length) ?? []), images]);
  const out = Int32Array.from(labels);
  const stream = new PhiloxStream(seed, 'bench/permutation');
  for (const alike of bySize.values()) {
    const from = [...alike];
    for (let i = from.length - 1; i > 0; i--) {
      const j = stream.int(i + 1);
      [from[i], from[j]] = [from[j], from[i]];
    }
    alike.forEach((images, p) => images.forEach((image, k) => (out[image] = labels[from[p][k]])));
  }
  return out;
}

/** The same images and features under other labels, which are given for each image. */
export function relabelled(sets: ReadonlyMap<number, Sets>, labels: Int32Array): Map<number, Sets> {
  const under = (data: Dataset, own: Int32Array): Dataset => Object.create(data, { labels: { value: own, enumerable: true } }) as Dataset;
  const ofVariants = Int32Array.from(Array.from(labels).flatMap((label) => flips.map(() => label)));
  return new Map([...sets].map(([size, { images, features }]) =>
    [size, { images: under(images, labels), features: under(features, ofVariants) }]));
}

/** AUC of the frozen network, the mean of the outer folds, each judged by the head that was chosen without it. */
export async function crossValidatedAuc(
  device: Device, candidates: readonly Candidate[], sets: ReadonlyMap<number, Sets>, outerFolds: number, seeds: readonly number[],
): Promise<number> {
  const { images } = sets.get(candidates[0].size)!;
  const scores: number[] = [];
  const labels: number[] = [];
  const folds: number[] = [];
  for (const [f, { train, validation: judged }] of kFold(images, { folds: outerFolds, seed: 0 }).entries()) {
    const inner = await innerAucs(device, candidates, sets, train);
    scores.push(...await averagedOdds(device, candidates[inner.indexOf(Math.max(...inner))], sets, train, judged, seeds));
    labels.push(...labelsOf(images, judged));
    folds.push(...Array.from(judged, () => f));
  }
  return meanFoldAuc({ scores, labels, folds });
}
