/** What a run would do: parts, device, memory, and time, from timed steps on images of noise. */
import type { Dataset } from '../data/dataset.ts';
import type { Device } from '../device/types.ts';
import { PhiloxStream } from '../random/philox.ts';
import type { ProgramMemory } from '../graph/planned.ts';
import type { FitContext } from './fit-context.ts';
import { fitContext } from './fit-context.ts';
import type { RunSource } from './fit-options.ts';
import { fitOptionsOf } from './fit-options.ts';
import { localWindow } from './preprocess.ts';
import type { DataListing, PartCounts } from './run-data.ts';
import { countParts, describeRejected, listData, requireTwoClasses } from './run-data.ts';
import { closeRunDevice, openRunDevice } from './run-device.ts';
import type { ResolvedOptions, RunOptions, Spelling } from './run-options.ts';
import { Stage, stageAt } from './stage.ts';
import type { StepBatch } from './step.ts';
import { resolveRun } from './transfer.ts';

/** Epochs in which the same layers learn. */
export interface DryRunStage {
  /** From 1. */
  readonly first: number;
  readonly last: number;
  /** Of one step, the fastest of three. */
  readonly stepSeconds: number;
  readonly evaluationStepSeconds: number;
  /** Where the steps read features of frozen layers: of how many images these are computed first, and how long it takes where none are kept. */
  readonly features?: { readonly images: number; readonly seconds: number };
  /** Of training and validation. */
  readonly seconds: number;
}

export interface DryRunResult {
  readonly options: ResolvedOptions;
  readonly simulated: boolean;
  readonly classes: readonly string[];
  /** Before decoding: an image that turns out to be unreadable is missing later. */
  readonly parts: readonly PartCounts[];
  /** What was left out and why, in words; '' for nothing. */
  readonly rejected: string;
  readonly warnings: readonly string[];
  readonly device: string;
  readonly parameters: number;
  /** Of a training step, in the stage that takes the most. */
  readonly memory: ProgramMemory;
  /** Bytes of that stage's steps, in the same arena. */
  readonly totalBytes: number;
  /** The most bytes that the device holds with the steps compiled: variables, gradients, moments, all. */
  readonly deviceBytes: number;
  readonly stepsAnEpoch: number;
  readonly stages: readonly DryRunStage[];
  /** Of features, training and validation, all epochs; rendering or decoding not included. */
  readonly seconds: number;
}

/** @throws OptionError, DataError, DeviceError, as `trainRun` would before it starts */
export async function dryRun(given: RunOptions, { log, spell }: { log?: (line: string) => void; spell?: Spelling } = {}): Promise<DryRunResult> {
  const { options, model } = await resolveRun(given, spell);
  const listing = await listData(options);
  requireTwoClasses(listing.labelled, listing.split);
  const device = await openRunDevice(options, log);
  try {
    return await measure(options, listing, device, { model, spell });
  } finally {
    closeRunDevice(device);
  }
}

async function measure(options: ResolvedOptions, listing: DataListing, device: Device, source: RunSource): Promise<DryRunResult> {
  const { labelled, split, rejected, warnings, simulated } = listing;
  const { size, batch, epochs } = options;
  const dataset = noiseImages(listing, size);
  const fitOptions = await fitOptionsOf(options, { dataset, split, rejected, warnings }, device, source);
  // Figures that do not matter to time or memory; a window as wide as the data would have.
  const window = options.normalize === 'local' ? localWindow(size) : 0;
  const normalization = typeof fitOptions.normalization === 'object' ? fitOptions.normalization
    : { mean: [128, 128, 128], deviation: [64, 64, 64], window };
  const context = fitContext({ ...fitOptions, normalization }, device);
  const stepsAnEpoch = Math.floor(split.train.length / batch);
  const firsts = [1, ...(fitOptions.unfreezings ?? []).map(({ epoch }) => epoch)].filter((epoch) => epoch <= epochs);
  const measured: MeasuredStage[] = [];
  try {
    for (const [i, first] of firsts.entries()) {
      const last = (firsts[i + 1] ?? epochs + 1) - 1;
      measured.push(await measureStage(context, { first, last, stepsAnEpoch }));
    }
  } finally {
    context.lossScale?.dispose();
  }
  const largest = measured.reduce((a, b) => (b.totalBytes > a.totalBytes ? b : a));
  const stages = measured.map(({ stage }) => stage);
  return {
    options, simulated, classes: labelled.classes, parts: countParts(labelled, split), rejected: describeRejected(rejected),
    warnings: [...source.model?.warnings ?? [], ...warnings],
    device: device.name, parameters: measured[0].parameters, memory: largest.memory, totalBytes: largest.totalBytes,
    deviceBytes: Math.max(...measured.map((one) => one.deviceBytes)), stepsAnEpoch, stages,
    seconds: stages.reduce((sum, { seconds, features }) => sum + seconds + (features?.seconds ?? 0), 0),
  };
}

interface MeasuredStage {
  readonly stage: DryRunStage;
  readonly parameters: number;
  readonly memory: ProgramMemory;
  readonly totalBytes: number;
  readonly deviceBytes: number;
}

async function measureStage(
  context: FitContext, { first, last, stepsAnEpoch }: Pick<DryRunStage, 'first' | 'last'> & Pick<DryRunResult, 'stepsAnEpoch'>,
): Promise<MeasuredStage> {
  const { options: { train, validation = [], batch }, device } = context;
  const stage = new Stage(context, stageAt(context.options, first).symbol);
  try {
    const { train: memory, total: totalBytes } = await stage.plan();
    const images = noiseBatch(context);
    const computed = stage.features && await fastest(async () => (await stage.features!.step.run(images)).logits);
    const samples = computed ? { ...images, ...asBytes(computed.value, batch) } : images;
    const { seconds: stepSeconds } = await fastest(async () => (await stage.trainStep.run(samples, 0, 0)).result);
    const { seconds: evaluationStepSeconds } = await fastest(async () => (await stage.evaluationStep.run(samples)).logits);
    const validationSteps = Math.ceil(validation.length / batch);
    const count = train.length + validation.length;
    return {
      stage: {
        first, last, stepSeconds, evaluationStepSeconds,
        ...(computed && { features: { images: count, seconds: Math.ceil(count / batch) * computed.seconds } }),
        seconds: (last - first + 1) * (stepsAnEpoch * stepSeconds + validationSteps * evaluationStepSeconds),
      },
      parameters: stage.network.variables.trainable.reduce((sum, v) => sum + v.size, 0),
      memory, totalBytes, deviceBytes: device.counters.bytesAllocated,
    };
  } finally {
    stage.dispose();
  }
}

/** Images that are all the same, with the labels that a run would have. */
function noiseImages({ labelled, simulated }: DataListing, size: number): Dataset {
  const stream = new PhiloxStream(0, 'dry run');
  const pixels = Uint8Array.from({ length: size * size * 3 }, () => stream.int(256));
  const { length, labels, classes, patients, ids } = labelled;
  return {
    name: 'noise', length, labels, classes, patients, ids, simulated, shape: [size, size, 3],
    readInto: (_, target, offset = 0) => target.set(pixels, offset),
    close() {},
  };
}

function noiseBatch({ options: { data, train, batch }, augmenter }: FitContext): StepBatch {
  const sampleIds = Int32Array.from({ length: batch }, (_, i) => train[i]);
  const labels = sampleIds.map((i) => data.labels[i]);
  const bytes = data.shape[0] * data.shape[1] * data.shape[2];
  const pixels = new Uint8Array(batch * bytes);
  for (let i = 0; i < batch; i++) data.readInto(sampleIds[i], pixels, i * bytes);
  return {
    pixels, labels, sampleIds, augmentation: augmenter.settings({ epoch: 0, labels, draws: sampleIds }),
    weights: new Float32Array(batch).fill(1), shape: [batch, ...data.shape],
  };
}

/** Features as a batch of a dataset of them has them. */
function asBytes(features: Float32Array, batch: number): Pick<StepBatch, 'pixels' | 'shape'> {
  const pixels = new Uint8Array(features.slice().buffer);
  return { pixels, shape: [batch, 1, 1, pixels.length / batch] };
}

/** The least time of three runs, the first of which compiles, and what the last gave. */
async function fastest<T>(run: () => Promise<T>): Promise<{ readonly seconds: number; readonly value: T }> {
  let seconds = Infinity;
  let value: T;
  for (let i = 0; i < 3; i++) {
    const begun = performance.now();
    value = await run();
    seconds = Math.min(seconds, (performance.now() - begun) / 1000);
  }
  return { seconds, value: value! };
}
