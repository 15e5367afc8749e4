/** Callbacks for `fit`, as MXNet.jl had them: every n batches or epochs, checkpoints, speed. */
import { OptionError } from '../errors.ts';
import { checkpointFiles } from '../formats/mxnet-checkpoint.ts';
import type { Preprocessing } from '../formats/preprocessing.ts';
import { withPreprocessing } from '../formats/preprocessing.ts';
import { arraysToMXNet } from '../nn/parameters.ts';
import { nodeFiles, writeWhole } from './files.ts';
import type { BatchReport, EpochStart, FitCallbacks, FitState } from './fit-types.ts';
import type { EpochRecord } from './history.ts';
import { toPreprocessing } from './stated-preprocessing.ts';

export interface OccasionalOptions {
  /** Also ahead of the first batch of an epoch, or of the first epoch. Default false. */
  readonly callOn0?: boolean;
}

/**
 * Calls after batches n, 2n, 3n, ... of each epoch; with `callOn0` also as an epoch begins, when all there is is its number.
 *
 * @throws OptionError where n is no integer of 1 or more
 */
export function everyNBatches(
  n: number, call: (report: EpochStart & Partial<BatchReport>) => unknown, { callOn0 = false }: OccasionalOptions = {},
): FitCallbacks {
  checkEvery('everyNBatches', n);
  return {
    ...(callOn0 && { onEpochStart: (start) => call(start) }),
    onBatch: (report) => (report.step % n === 0 ? call(report) : undefined),
  };
}

/**
 * Calls after epochs n, 2n, 3n, ... with the epoch's record, which has the figures of both parts; with `callOn0` also before a new run's
 * first epoch, without a record.
 *
 * @throws OptionError where n is no integer of 1 or more
 */
export function everyNEpochs(
  n: number, call: (record: EpochRecord | undefined, run: FitState) => unknown, { callOn0 = false }: OccasionalOptions = {},
): FitCallbacks {
  checkEvery('everyNEpochs', n);
  return {
    ...(callOn0 && { onStart: ({ updates }, run) => (updates === 0 ? call(undefined, run) : undefined) }),
    onEpoch: (record, run) => (record.epoch % n === 0 ? call(record, run) : undefined),
  };
}

export interface CheckpointOptions {
  /** Epochs from one checkpoint to the next; default 1. */
  readonly frequency?: number;
  /** Also the parameters before training, as epoch 0. Default false. */
  readonly saveEpoch0?: boolean;
}

/**
 * Writes `PREFIX-symbol.json` and `PREFIX-0001.params`, ... as MXNet reads them; the prefix's folder is made. The symbol is the last
 * checkpoint's: what is frozen then is frozen in it. What is done to images stands in it too, a mean image in `PREFIX-mean.nd`. Files of
 * those names are replaced, whole or not at all. They hold no state of the optimizer: to go on with a run, keep `run.snapshot()`. Node only.
 *
 * @throws OptionError for a frequency that is no integer of 1 or more; while training, DataError naming a file that cannot be written
 */
export function doCheckpoint(prefix: string, { frequency = 1, saveEpoch0 = false }: CheckpointOptions = {}): FitCallbacks {
  checkEvery('doCheckpoint: frequency', frequency);
  let preprocessing: Preprocessing | undefined;
  const save = async (epoch: number, run: FitState): Promise<void> => {
    const files = await nodeFiles();
    await files.fs.mkdir(files.path.dirname(prefix), { recursive: true });
    // What the symbol said of images before goes, also where there are no words for what is done now.
    const symbol = withPreprocessing(run.network.symbol, undefined);
    const written = checkpointFiles(symbol, arraysToMXNet(await run.parameters()), { prefix, epoch, preprocessing });
    for (const [name, content] of written) await writeWhole(files, name, content);
  };
  return {
    onStart({ network, normalization, updates }, run) {
      preprocessing = toPreprocessing(normalization, network);
      return saveEpoch0 && updates === 0 ? save(0, run) : undefined;
    },
    onEpoch: (record, run) => (record.epoch % frequency === 0 ? save(record.epoch, run) : undefined),
  };
}

/**
 * Says after every `frequency` batches of an epoch how many samples a second they were: `Speed: 123.45 samples/sec`.
 *
 * @throws OptionError for a frequency that is no integer of 1 or more
 */
export function speedometer({ frequency = 50, log = console.log }: {
  readonly frequency?: number; readonly log?: (line: string) => void;
} = {}): FitCallbacks {
  checkEvery('speedometer: frequency', frequency);
  let since: { readonly step: number; readonly at: number } | undefined;
  return {
    onEpochStart: () => void (since = { step: 0, at: performance.now() }),
    onBatch({ step, batch }) {
      if (since !== undefined && step % frequency === 0) {
        const samples = (step - since.step) * batch;
        log(`Speed: ${(samples / ((performance.now() - since.at) / 1000)).toFixed(2).padStart(6)} samples/sec`);
      }
      // A run that was resumed within an epoch is timed from here.
      if (since === undefined || step % frequency === 0) since = { step, at: performance.now() };
    },
  };
}

/** Several as one; each is awaited before the next. */
export function combineCallbacks(list: readonly FitCallbacks[]): FitCallbacks {
  const each = <A extends unknown[]>(pick: (one: FitCallbacks) => ((...args: A) => unknown) | undefined) => async (...args: A) => {
    for (const one of list) await pick(one)?.apply(one, args);
  };
  return {
    onStart: each((one) => one.onStart), onFeatures: each((one) => one.onFeatures),
    onEpochStart: each((one) => one.onEpochStart), onBatch: each((one) => one.onBatch), onValidation: each((one) => one.onValidation),
    onEpoch: each((one) => one.onEpoch), onInterrupt: each((one) => one.onInterrupt),
  };
}

function checkEvery(what: string, n: number): void {
  if (!Number.isInteger(n) || n < 1) throw new OptionError(`${what}: expected an integer of 1 or more, got ${n}`);
}
