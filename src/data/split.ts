/**
 * Splits by patient: all images of a patient, and all copies of one photograph, fall on one side. Patients are drawn
 * within strata (a patient's stratum is the highest class among its images), so that few infected are spread evenly.
 */
import { DataError, OptionError } from '../errors.ts';
import { PhiloxStream } from '../random/philox.ts';
import { allIndices } from './dataset.ts';
import type { Labelled } from './dataset.ts';

export const parts = ['train', 'validation', 'test'] as const;
export type Part = (typeof parts)[number];

export interface Split {
  /** Sample indices of each part, ascending; a part may be empty. */
  readonly train: Int32Array;
  readonly validation: Int32Array;
  readonly test: Int32Array;
  readonly warnings: readonly string[];
}

export interface SplitOptions {
  /** Shares of the patients. Default 0.7, 0.15, 0.15; they are normalised. With a given split, see `honourGiven`. */
  ratios?: Partial<Record<Part, number>>;
  seed?: number;
  /**
   * Whether the dataset's own split (`splits`) decides; default true where there is one. Its test part then stands as
   * it is; where it names no validation part, that is drawn from its training patients, `ratios.validation` to
   * `ratios.train`. Training copies of test or validation images, and training images of their patients, are left out.
   */
  honourGiven?: boolean;
}

const givenNames: Record<string, Part> = {
  train: 'train', training: 'train', val: 'validation', valid: 'validation', validation: 'validation',
  dev: 'validation', test: 'test', testing: 'test',
};

/**
 * Splits a dataset into training, validation and test patients.
 *
 * @throws OptionError for ratios that are negative or sum to nothing.
 * @throws DataError for a given split with an unknown part, or too few patients.
 */
export function splitByPatient(data: Labelled, options: SplitOptions = {}): Split {
  const { seed = 0 } = options;
  const ratios = { train: 0.7, validation: 0.15, test: 0.15, ...options.ratios };
  for (const part of Object.keys(ratios) as Part[]) {
    if (!parts.includes(part)) throw new OptionError(`unknown part '${part}': one of ${parts.join(', ')}`);
    if (!(ratios[part] >= 0 && Number.isFinite(ratios[part]))) {
      throw new OptionError(`share of ${part} must be 0 or more, got ${ratios[part]}`);
    }
  }
  if (!(ratios.train > 0)) throw new OptionError(`share of train must be more than 0, got ${ratios.train}`);
  const given = data.splits !== undefined && (options.honourGiven ?? true);
  return given ? splitAsGiven(data, ratios, seed) : splitByRatio(data, ratios, seed);
}

function splitByRatio(data: Labelled, ratios: Record<Part, number>, seed: number): Split {
  const wanted = parts.filter((part) => ratios[part] > 0);
  const clusters = clustersOf(data, allIndices(data));
  if (clusters.length < wanted.length) {
    const patients = `${clusters.length} patient${clusters.length === 1 ? '' : 's'}`;
    throw new DataError(`${patients} cannot be split into ${wanted.join(', ')}`);
  }
  const assigned = deal(clusters, wanted.map((part) => ratios[part]), seed);
  const of = (part: Part) => collect(clusters, assigned, wanted.indexOf(part));
  const split = { train: of('train'), validation: of('validation'), test: of('test') };
  return { ...split, warnings: missingClasses(data, split) };
}

function splitAsGiven(data: Labelled, ratios: Record<Part, number>, seed: number): Split {
  const given = (data.splits as readonly string[]).map((value, i) => {
    const part = givenNames[value.trim().toLowerCase()];
    if (part === undefined) {
      throw new DataError(value === ''
        ? `'${data.ids[i]}' has no value in the split column`
        : `split '${value}' of '${data.ids[i]}': expected one of ${Object.keys(givenNames).join(', ')}`);
    }
    return part;
  });
  const warnings: string[] = [];
  const clusters = clustersOf(data, allIndices(data));
  const left: number[] = [];
  const sides: Record<Part, number[]> = { train: [], validation: [], test: [] };
  for (const { members } of clusters) {
    const held = (['test', 'validation'] as const).find((part) => members.some((i) => given[i] === part));
    for (const i of members) {
      // Test images stand; whatever else belongs to their patients would leak.
      if (held === undefined || given[i] === held) sides[given[i]].push(i);
      else left.push(i);
    }
  }
  if (left.length > 0) {
    const names = left.sort((a, b) => a - b).slice(0, 5).map((i) => data.ids[i]).join(', ');
    warnings.push(`${left.length} images left out of training, because their patient or another copy of them is ` +
      `in a held-out part: ${names}${left.length > 5 ? ', ...' : ''}`);
  }
  if (sides.validation.length === 0 && ratios.validation > 0) {
    const training = clustersOf(data, sides.train);
    if (training.length > 1) {
      const assigned = deal(training, [ratios.train, ratios.validation], seed);
      sides.train = [...collect(training, assigned, 0)];
      sides.validation = [...collect(training, assigned, 1)];
    }
  }
  if (sides.train.length === 0) throw new DataError('the given split leaves no training images');
  const sorted = (list: number[]) => Int32Array.from(list).sort();
  const split = { train: sorted(sides.train), validation: sorted(sides.validation), test: sorted(sides.test) };
  return { ...split, warnings: [...warnings, ...missingClasses(data, split)] };
}

/**
 * k folds by patient, stratified; every sample is validation in exactly one.
 *
 * @param indices the samples to divide; all by default.
 * @throws OptionError for fewer than 2 folds. @throws DataError for fewer patients than folds.
 */
export function kFold(
  data: Labelled, options: { folds?: number; seed?: number; indices?: ArrayLike<number> } = {},
): { train: Int32Array; validation: Int32Array }[] {
  const { folds = 5, seed = 0, indices = allIndices(data) } = options;
  if (!Number.isInteger(folds) || folds < 2) throw new OptionError(`folds must be 2 or more, got ${folds}`);
  const clusters = clustersOf(data, indices);
  if (clusters.length < folds) throw new DataError(`${clusters.length} patients for ${folds} folds`);
  const assigned = deal(clusters, new Array<number>(folds).fill(1), seed);
  return Array.from({ length: folds }, (_, fold) => ({
    train: collect(clusters, assigned.map((part) => (part === fold ? -1 : 0)), 0),
    validation: collect(clusters, assigned, fold),
  }));
}

/** Patients with all that must stay with them. */
interface Cluster {
  stratum: number;
  members: number[];
}

/** Joins samples by patient and by group (transitively), in the order of their first samples. */
function clustersOf(data: Labelled, indices: ArrayLike<number>): Cluster[] {
  const parent = new Map<string, string>();
  const find = (key: string): string => {
    let root = key;
    for (let up = parent.get(root); up !== undefined && up !== root; up = parent.get(root)) root = up;
    parent.set(key, root);
    return root;
  };
  const patientKey = (i: number) => `p ${data.patients[i]}`;
  for (let k = 0; k < indices.length; k++) {
    const patient = find(patientKey(indices[k]));
    const group = data.groups?.[indices[k]];
    if (group) parent.set(find(`g ${group}`), patient);
  }
  const clusters = new Map<string, Cluster>();
  for (let k = 0; k < indices.length; k++) {
    const i = indices[k];
    const root = find(patientKey(i));
    const cluster = clusters.get(root);
    if (!cluster) clusters.set(root, { stratum: data.labels[i], members: [i] });
    else {
      cluster.members.push(i);
      cluster.stratum = Math.max(cluster.stratum, data.labels[i]);
    }
  }
  return [...clusters.values()];
}

/**
 * Deals clusters to parts by share, stratum by stratum. Within a stratum each part gets its quota rounded by largest
 * remainder (of what earlier strata left over, so that the parts' sizes come out right too), and at least one cluster
 * wherever there are enough.
 */
function deal(clusters: readonly Cluster[], shares: readonly number[], seed: number): number[] {
  const total = shares.reduce((a, b) => a + b, 0);
  const assigned = new Array<number>(clusters.length).fill(-1);
  const strata = [...new Set(clusters.map((cluster) => cluster.stratum))].sort((a, b) => b - a);
  const owed = shares.map(() => 0);
  for (const stratum of strata) {
    const mine = clusters.flatMap((cluster, i) => (cluster.stratum === stratum ? [i] : []));
    new PhiloxStream(seed, 'split by patient', stratum).shuffle(mine);
    const counts = apportion(mine.length, shares.map((share) => share / total), owed);
    let next = 0;
    counts.forEach((count, part) => {
      for (let k = 0; k < count; k++) assigned[mine[next++]] = part;
    });
  }
  return assigned;
}

/** Whole counts that sum to `count`; `owed` carries what rounding took from each part to the next call. */
function apportion(count: number, shares: readonly number[], owed: number[]): number[] {
  const quotas = shares.map((share) => share * count);
  const counts = quotas.map(Math.floor);
  const byNeed = quotas.map((_, part) => part)
    .sort((a, b) => (quotas[b] - counts[b] + owed[b]) - (quotas[a] - counts[a] + owed[a]) || a - b);
  let rest = count - counts.reduce((a, b) => a + b, 0);
  for (let k = 0; rest > 0; k = (k + 1) % byNeed.length, rest--) counts[byNeed[k]]++;
  if (count >= shares.length) {
    for (let part = 0; part < counts.length; part++) {
      if (counts[part] > 0) continue;
      counts[counts.indexOf(Math.max(...counts))]--;
      counts[part]++;
    }
  }
  quotas.forEach((quota, part) => (owed[part] += quota - counts[part]));
  return counts;
}

function collect(clusters: readonly Cluster[], assigned: readonly number[], part: number): Int32Array {
  return Int32Array.from(clusters.flatMap((cluster, i) => (assigned[i] === part ? cluster.members : []))).sort();
}

function missingClasses(data: Labelled, split: Record<Part, Int32Array>): string[] {
  return parts.flatMap((part) => {
    if (split[part].length === 0) return [];
    const present = new Set(Array.from(split[part], (i) => data.labels[i]));
    const absent = data.classes.filter((_, index) => !present.has(index));
    return absent.length > 0 ? [`the ${part} part has no image of class ${absent.join(', ')}`] : [];
  });
}
