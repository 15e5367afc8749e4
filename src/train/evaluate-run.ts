/** Judging a run's network on a part of its own data, or on data that it has never seen. */
import type { Dataset } from '../data/dataset.ts';
import { allIndices } from '../data/dataset.ts';
import { parts } from '../data/split.ts';
import type { Part } from '../data/split.ts';
import { DataError, OptionError } from '../errors.ts';
import { metricsOf } from './evaluate.ts';
import { constantMetrics } from './metrics.ts';
import { predictionsCsv } from './predictions.ts';
import type { RunConfig } from './run-config.ts';
import { describeRejected, openData } from './run-data.ts';
import type { RunOptions, Spelling } from './run-options.ts';
import { resolveOptions } from './run-options.ts';
import type { PartResult } from './train-run.ts';
import { TrainedNetwork } from './trained.ts';
import type { LoadOptions } from './trained.ts';

export interface EvaluateRunOptions extends LoadOptions {
  readonly run: string;
  /** Of the run's own data, or of the data given: default 'test' of the run's own, and all of other data. */
  readonly part?: Part | 'all';
  /** Options of other data (`data`, `csv`, the columns, `positive`, the phantom's knobs); default the run's own. */
  readonly data?: RunOptions;
  readonly workers?: number;
  readonly hooks?: {
    onData?(done: number, total: number): void;
    onBatch?(done: number, total: number): void;
  };
  readonly signal?: AbortSignal;
  readonly spell?: Spelling;
}

export interface EvaluateRunResult extends PartResult {
  readonly config: RunConfig;
  readonly epoch: number;
  /** What was judged: 'test part of ...'. */
  readonly name: string;
  readonly simulated: boolean;
  /** A line an image, as `predictions.csv`. */
  readonly csv: string;
  readonly warnings: readonly string[];
}

/** @throws OptionError, DataError, FormatError, DeviceError */
export async function evaluateRun(request: EvaluateRunOptions): Promise<EvaluateRunResult> {
  const { run, data: other, hooks = {}, signal, workers = 1, spell } = request;
  if (request.part !== undefined && request.part !== 'all' && !parts.includes(request.part)) {
    const part = spell?.('part') ?? 'part';
    throw new OptionError(`${part}: expected one of ${[...parts, 'all'].join(', ')}, got '${request.part as string}'`);
  }
  const own = other === undefined || Object.values(other).every((value) => value === undefined);
  const trained = await TrainedNetwork.load(run, request);
  const { config } = trained;
  // Other phantoms are of other patients, unless a seed says otherwise.
  const options = own ? config.options
    : { ...await resolveOptions(other, spell), size: config.options.size, seed: other.seed ?? config.options.seed + 1 };
  const whole = (request.part ?? (own ? undefined : 'all')) === 'all';
  let opened: Dataset | undefined;
  try {
    const classes = own ? undefined : config.classes;
    const { dataset, split, rejected, warnings: given } = await openData(options, {
      onProgress: hooks.onData, signal, whole, classes,
    });
    opened = dataset;
    const warnings = rejected.length > 0 ? [...given, describeRejected(rejected)] : [...given];
    if (!own && config.simulated && dataset.simulated && options.seed === config.options.seed) {
      warnings.push('phantoms of the seed that the network was trained with: it has seen some of these patients');
    }
    if (dataset.classes.length !== config.classes.length) {
      throw new DataError(`${dataset.name} has ${dataset.classes.length} classes, the network tells ${config.classes.length} apart`);
    }
    if (dataset.classes.join() !== config.classes.join()) {
      warnings.push(`${dataset.name} has the classes ${dataset.classes.join(', ')}, the network was trained on `
        + `${config.classes.join(', ')}: they are taken to be the same, in this order`);
    }
    const part = request.part ?? (whole ? 'all' : split.test.length > 0 ? 'test' : 'validation');
    const indices = part === 'all' ? allIndices(dataset) : split[part];
    if (indices.length === 0) throw new DataError(`${dataset.name}: the ${part} part is empty`);
    const logits = await trained.predict(dataset, indices, { workers, signal, onBatch: hooks.onBatch });
    const labels = Array.from(indices, (i) => dataset.labels[i]);
    const [train] = config.parts;
    const shares = train.classes.map((count) => count / train.samples);
    const empty = new Int32Array(0);
    const judged = { train: empty, validation: empty, test: empty, warnings: [], [part === 'all' ? 'test' : part]: indices };
    return {
      config, epoch: trained.epoch, name: part === 'all' ? `all of ${dataset.name}` : `${part} part of ${dataset.name}`,
      simulated: dataset.simulated, warnings,
      metrics: metricsOf(dataset, indices, logits), always: constantMetrics(labels, dataset.classes, { shares }),
      csv: await predictionsCsv(dataset, judged, { [part === 'all' ? 'test' : part]: logits }),
    };
  } finally {
    opened?.close();
    trained.dispose();
  }
}
