/** The data of a run: the phantom, a folder of photographs or a record file, its parts, and a digest by which a resumed run knows it again. */
import { cacheImages } from '../data/cache.ts';
import { allIndices } from '../data/dataset.ts';
import type { Dataset, Labelled } from '../data/dataset.ts';
import { openFolder } from '../data/folder.ts';
import { describeRejected } from '../data/listing.ts';
import type { Listing, Rejected } from '../data/listing.ts';
import { isRecordFile, openRecords } from '../data/records.ts';
import { importNode } from '../data/node.ts';
import { phantomDataset } from '../data/phantom-dataset.ts';
import { phantomCohort } from '../data/phantom/index.ts';
import { parts, splitByPatient } from '../data/split.ts';
import type { Part, Split } from '../data/split.ts';
import { DataError } from '../errors.ts';
import type { ResolvedOptions } from './run-options.ts';
import { phantomData } from './run-options.ts';

export interface RunData {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly rejected: readonly Rejected[];
  readonly warnings: readonly string[];
}

export interface OpenDataHooks {
  /** Images rendered, or decoded and resized; not called where the cache has them. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Refuses, before an image is decoded, data from which nothing can be learnt. */
  readonly toTrain?: boolean;
  /** Called with the classes before an image is rendered or decoded: the place to refuse what does not go with them. */
  readonly onListed?: (classes: readonly string[]) => Promise<void>;
  /** Divides nothing: all is in the test part, be it one patient's photographs. */
  readonly whole?: boolean;
  /** Of a network that is to judge photographs: labels that are among them are read as these, whichever are there. */
  readonly classes?: readonly string[];
}

/** @throws DataError where the training part holds one class alone: any network is right on it, and none learns */
export function requireTwoClasses(data: Labelled, split: Split): void {
  const present = new Set(Array.from(split.train, (i) => data.labels[i]));
  if (present.size > 1) return;
  const [only] = [...present].map((label) => data.classes[label]);
  throw new DataError(`all ${split.train.length} images of the training part are of class ${only} `
    + `(classes: ${data.classes.join(', ')}): there is nothing to tell apart`);
}

const phantomClasses: readonly string[] = ['healthy', 'infected'];

function cohortOptions({ seed, patients, prevalence, blur, labelNoise }: ResolvedOptions) {
  return { seed, patients, prevalence, blur, labelNoise };
}

async function list(options: ResolvedOptions, classes?: readonly string[]): Promise<Listing> {
  const { data, csv, fileColumn, labelColumn, patientColumn, splitColumn, groupColumn, positive, exclude, duplicates } = options;
  const columns = { file: fileColumn, label: labelColumn, patient: patientColumn, split: splitColumn, group: groupColumn };
  const asked = Object.fromEntries(Object.entries(columns).filter(([, name]) => name !== undefined));
  const request = { table: csv, columns: asked, positive, exclude, duplicates };
  const open = isRecordFile(data) ? openRecords : openFolder;
  const listing = await open(data, request);
  const fewer = classes !== undefined && listing.classes.join() !== classes.join()
    && listing.classes.every((name) => classes.includes(name));
  return fewer ? open(data, { ...request, classes }) : listing;
}

/** What `listData` found. */
export interface DataListing {
  readonly labelled: Labelled;
  readonly split: Split;
  readonly rejected: readonly Rejected[];
  readonly warnings: readonly string[];
  readonly simulated: boolean;
}

/** Labels and patients without a pixel read: what a dry run looks at. */
export async function listData(options: ResolvedOptions): Promise<DataListing> {
  if (options.data !== phantomData) {
    const listing = await list(options);
    const split = splitData(listing, options);
    return {
      labelled: listing, split, rejected: listing.rejected, warnings: [...listing.warnings, ...split.warnings], simulated: false,
    };
  }
  const eyes = phantomCohort(cohortOptions(options));
  const labelled: Labelled = {
    length: eyes.length, classes: phantomClasses, labels: Int32Array.from(eyes, (eye) => eye.label),
    ids: eyes.map((eye) => eye.id), patients: eyes.map((eye) => eye.patient),
  };
  const split = splitData(labelled, options);
  return { labelled, split, rejected: [], warnings: split.warnings, simulated: true };
}

/** Renders or decodes what the cache has not, and splits by patient. The caller closes the dataset. */
export async function openData(options: ResolvedOptions, hooks: OpenDataHooks = {}): Promise<RunData> {
  const { onProgress, signal, toTrain } = hooks;
  const divide = (data: Labelled): Split => (hooks.whole ? undivided(data) : splitData(data, options));
  const { size } = options;
  if (options.data === phantomData) {
    await hooks.onListed?.(phantomClasses);
    const dataset = await phantomDataset({ ...cohortOptions(options), size, onProgress, signal });
    const split = divide(dataset);
    if (toTrain) requireTwoClasses(dataset, split);
    return { dataset, split, rejected: [], warnings: split.warnings };
  }
  const listing = await list(options, hooks.classes);
  const listed = divide(listing);
  if (toTrain) requireTwoClasses(listing, listed);
  await hooks.onListed?.(listing.classes);
  const dataset = await cacheImages(listing, { size, onProgress, signal });
  const split = divide(dataset);
  if (toTrain) requireTwoClasses(dataset, split);
  return { dataset, split, rejected: dataset.rejected, warnings: [...dataset.warnings, ...split.warnings] };
}

function undivided(data: Labelled): Split {
  const none = new Int32Array(0);
  return { train: none, validation: none, test: allIndices(data), warnings: [] };
}

/** @throws DataError saying also what was left out, for that may be why too little is there */
function splitData(data: Labelled & { rejected?: readonly Rejected[] }, options: ResolvedOptions): Split {
  const { seed, validation, test } = options;
  try {
    return splitByPatient(data, { seed, ratios: { train: 1 - validation - test, validation, test } });
  } catch (error) {
    const rejected = describeRejected(data.rejected ?? []);
    if (!(error instanceof DataError)) throw error;
    throw new DataError(`${options.data}: ${error.message}${rejected && `; ${rejected}`}`, { cause: error });
  }
}

/** Samples by class, and patients, of each part. */
export interface PartCounts {
  readonly part: Part;
  readonly samples: number;
  readonly patients: number;
  readonly classes: readonly number[];
}

export function countParts(data: Labelled, split: Split): PartCounts[] {
  return parts.map((part) => {
    const indices = split[part];
    const classes = new Array<number>(data.classes.length).fill(0);
    for (const i of indices) classes[data.labels[i]]++;
    return { part, samples: indices.length, patients: new Set(Array.from(indices, (i) => data.patients[i])).size, classes };
  });
}

export { describeRejected };

/** Bytes of pixels that the digest reads: beyond them, images evenly spread. */
const digestBytes = 256 << 20;

/** A hash of the samples' names, labels, patients, parts and pixels: equal data, equal digest. */
export async function digestData({ dataset, split }: RunData): Promise<string> {
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'a digest of the data');
  const hash = createHash('sha256');
  const { ids, patients, classes, shape } = dataset;
  hash.update(JSON.stringify({
    ids, patients, classes, shape, labels: [...dataset.labels], parts: parts.map((part) => [...split[part]]),
  }));
  const pixels = new Uint8Array(shape[0] * shape[1] * shape[2]);
  const step = Math.max(1, Math.ceil(dataset.length * pixels.length / digestBytes));
  for (let i = 0; i < dataset.length; i += step) {
    dataset.readInto(i, pixels);
    hash.update(pixels);
  }
  return hash.digest('hex');
}
