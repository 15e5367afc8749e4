/** What a run would do: parts, device, memory, and time, from one timed step on images of noise. */
import type { Device } from '../device/types.ts';
import { PhiloxStream } from '../random/philox.ts';
import { parseAugmentations } from '../data/augment-text.ts';
import { Augmenter } from '../data/augmenter.ts';
import { classCounts } from '../data/dataset.ts';
import { totalOf } from '../graph/out-of-memory.ts';
import type { ProgramMemory } from '../graph/planned.ts';
import { LossScale } from '../optim/loss-scale.ts';
import { resolveClassWeights } from './class-weights.ts';
import type { RunSource } from './fit-options.ts';
import { networkOf, normalizationOf, optimizerOf } from './fit-options.ts';
import { planRun } from './fits.ts';
import { createNetwork } from './network.ts';
import { createOptimizer } from './optimizer.ts';
import { localWindow } from './preprocess.ts';
import type { DataListing, PartCounts } from './run-data.ts';
import { countParts, describeRejected, listData, requireTwoClasses } from './run-data.ts';
import { closeRunDevice, openRunDevice } from './run-device.ts';
import type { ResolvedOptions, RunOptions, Spelling } from './run-options.ts';
import type { StepBatch } from './step.ts';
import { EvaluationStep, TrainStep } from './step.ts';
import { resolveRun } from './transfer.ts';

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
  readonly memory: ProgramMemory;
  /** Bytes of both steps, the evaluation's in the same arena. */
  readonly totalBytes: number;
  /** Bytes that the device holds with the step compiled: variables, gradients, moments, all. */
  readonly deviceBytes: number;
  /** Of one step, the fastest of three. */
  readonly stepSeconds: number;
  readonly evaluationStepSeconds: number;
  readonly stepsAnEpoch: number;
  /** Of training and validation, all epochs; rendering or decoding not included. */
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
  const { size, batch, seed, epochs } = options;
  const { symbol, from } = await networkOf(options, labelled.classes, [size, size, 3], source);
  const network = createNetwork(symbol, { shape: [size, size, 3] }, { seed, from });
  // Figures that do not matter to time or memory; a window as wide as the data would have.
  const window = options.normalize === 'local' ? localWindow(size) : 0;
  const found = normalizationOf(options, source);
  const normalization = typeof found === 'string' ? { mean: [128, 128, 128], deviation: [64, 64, 64], window } : found;
  const made = createOptimizer(network, optimizerOf(options), device);
  const classWeights = resolveClassWeights(options.classWeights, classCounts(labelled, split.train));
  const lossScale = options.mixed ? new LossScale({ device }) : undefined;
  const shape = [size, size, 3] as const;
  const augmenter = new Augmenter(parseAugmentations(options.augment), { classes: labelled.classes, shape, seed });
  const step = new TrainStep({
    network, device, normalization, classWeights, optimizer: made, lossScale, augmenter, seed,
    recompute: options.recompute === 'on',
  });
  const evaluation = new EvaluationStep({ network, device, normalization });
  try {
    const recompute = options.recompute === 'on';
    await planRun({ device, imageShape: network.imageShape, train: step, evaluation, recompute, columns: augmenter.columns }, batch);
    const noise = noiseBatch(batch, size, labelled.classes.length, augmenter);
    const memory = await step.prepare(noise);
    const totalBytes = totalOf([memory, await evaluation.prepare(noise)]);
    const stepSeconds = await fastest(async () => (await step.run(noise, 0, 0)).result);
    const evaluationStepSeconds = await fastest(async () => (await evaluation.run(noise)).logits);
    const stepsAnEpoch = Math.floor(split.train.length / batch);
    const validationSteps = Math.ceil(split.validation.length / batch);
    return {
      options, simulated, classes: labelled.classes, parts: countParts(labelled, split), rejected: describeRejected(rejected), warnings,
      device: device.name, parameters: network.variables.trainable.reduce((sum, v) => sum + v.size, 0),
      memory, totalBytes, deviceBytes: device.counters.bytesAllocated, stepSeconds, evaluationStepSeconds, stepsAnEpoch,
      seconds: epochs * (stepsAnEpoch * stepSeconds + validationSteps * evaluationStepSeconds),
    };
  } finally {
    step.dispose();
    evaluation.dispose();
    made.dispose();
    lossScale?.dispose();
    network.dispose();
  }
}

function noiseBatch(batch: number, size: number, classes: number, augmenter: Augmenter): StepBatch {
  const stream = new PhiloxStream(0, 'dry run');
  const labels = Int32Array.from({ length: batch }, (_, i) => i % classes);
  const sampleIds = Int32Array.from({ length: batch }, (_, i) => i);
  return {
    pixels: Uint8Array.from({ length: batch * size * size * 3 }, () => stream.int(256)),
    labels, sampleIds, augmentation: augmenter.settings({ epoch: 0, labels, draws: sampleIds }),
    weights: new Float32Array(batch).fill(1), shape: [batch, size, size, 3],
  };
}

async function fastest(run: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const begun = performance.now();
    await run();
    best = Math.min(best, (performance.now() - begun) / 1000);
  }
  return best;
}
