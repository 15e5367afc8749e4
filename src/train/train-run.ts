/** A whole training run: data, network, device, a directory with all that it leaves. */
import type { Dataset } from '../data/dataset.ts';
import type { Part } from '../data/split.ts';
import { parts } from '../data/split.ts';
import type { Device } from '../device/types.ts';
import { fromMXNet } from '../nn/parameters.ts';
import type { BaselineResult } from './baselines.ts';
import { baselineNames, logisticBaseline } from './baselines.ts';
import { metricsOf } from './evaluate.ts';
import { fingerprintOf, requireSameFingerprint } from './fingerprint.ts';
import { fit } from './fit.ts';
import type { BatchReport, FitResult, FitState } from './fit-types.ts';
import type { RunSource } from './fit-options.ts';
import { checkNetwork, fitOptionsOf } from './fit-options.ts';
import type { EpochRecord } from './history.ts';
import type { ConstantMetrics, Metrics } from './metrics.ts';
import { constantMetrics } from './metrics.ts';
import { predictionsCsv } from './predictions.ts';
import { writeReport } from './report.ts';
import type { Resumed } from './resumed.ts';
import { openResumed } from './resumed.ts';
import type { RunConfig } from './run-config.ts';
import { encodeConfig, foveaVersion } from './run-config.ts';
import type { RunData } from './run-data.ts';
import { countParts, describeRejected, digestData, openData } from './run-data.ts';
import { closeRunDevice, openRunDevice } from './run-device.ts';
import { RunDirectory } from './run-directory.ts';
import type { ResolvedOptions, RunOptions, Spelling } from './run-options.ts';
import { stating } from './stated-preprocessing.ts';
import type { ResolvedRun } from './transfer.ts';
import { resolveRun } from './transfer.ts';

export { changeable } from './resumed.ts';

export interface TrainRunOptions {
  /** A new run's options; for a resumed one, what may differ from its own (see `changeable`). */
  readonly options?: RunOptions;
  /** Directory of a new run; default the next of `runs/train-1`, `runs/train-2`, .... One that holds something gets a number. */
  readonly out?: string;
  /** Directory of a run to go on with. */
  readonly resume?: string;
  /** Goes on although the bits may differ. */
  readonly allowInexact?: boolean;
  readonly signal?: AbortSignal;
  readonly hooks?: TrainRunHooks;
  /** How messages write options; default as config files do. */
  readonly spell?: Spelling;
}

export interface TrainRunHooks {
  /** A line for the user: the device, warnings, images that were left out. */
  log?(line: string): void;
  /** Bytes of weights fetched. */
  onFetch?(received: number, total?: number): void;
  onData?(done: number, total: number): void;
  /** Features of frozen layers, before the epochs that train on them. */
  onFeatures?(done: number, total: number): void;
  onStart?(run: { readonly config: RunConfig; readonly directory: string; readonly epoch: number; readonly resumed: boolean }): void;
  onBatch?(report: BatchReport): void;
  onValidation?(done: number, total: number): void;
  onEpoch?(record: EpochRecord, best: boolean): void;
  /** What is done after the last epoch. */
  onStage?(stage: string): void;
}

export interface TrainRunResult {
  readonly directory: string;
  readonly config: RunConfig;
  readonly interrupted: boolean;
  readonly history: readonly EpochRecord[];
  /** The epoch whose parameters are judged below; absent in a run that was interrupted. */
  readonly best?: EpochRecord;
  /** Figures of the best epoch's network, in inference mode, on each part that has samples. */
  readonly parts: Partial<Record<Part, PartResult>>;
  /** On the test part (the validation part, where there is none). */
  readonly baselines: readonly BaselineResult[];
}

export interface PartResult {
  readonly metrics: Metrics;
  /** What always saying "healthy" scores there. */
  readonly always: ConstantMetrics;
}

/** Options that decide what a step computes, as a fingerprint has them; those of the data are in its digest. */
function computing(options: ResolvedOptions): Record<string, string> {
  const names = [
    'model', 'width', 'batch', 'optimizer', 'lr', 'momentum', 'weightDecay', 'clipGradient', 'classWeights', 'sampler', 'augment',
    'normalize', 'seed',
  ] as const;
  const own = Object.fromEntries(names.map((name) => [`option.${name}`, String(options[name] ?? '')]));
  const transferNames = options.weights === undefined ? []
    : ['sha256', 'cut', 'head', 'freeze', 'unfreeze', 'layerDecay', 'batchNorm', 'batchNormDefaults', 'preprocess', 'meanImage'] as const;
  const transfer = Object.fromEntries(transferNames.map((name) => [`option.${name}`, String(options[name] ?? '')]));
  return { ...own, ...transfer, ...(options.mixed && { 'option.mixed': 'true' }) };
}

/**
 * Trains by options, or goes on with a run, and leaves everything in its directory. When the signal is aborted the step is
 * finished and a state saved, from which `resume` goes on.
 *
 * @throws OptionError before any work for options out of range; DataError, DeviceError, TrainingError, FormatError
 */
export async function trainRun(request: TrainRunOptions): Promise<TrainRunResult> {
  const { hooks = {}, signal, spell } = request;
  const log = (line: string): void => hooks.log?.(line);
  const resumed = request.resume === undefined ? undefined : await openResumed(request.resume, request, log);
  const { options, model }: ResolvedRun = resumed ?? await resolveRun(request.options ?? {}, spell, hooks);
  for (const warning of model?.warnings ?? []) log(`warning: ${warning}`);
  const device = await openRunDevice(options, log);
  let data: RunData | undefined;
  try {
    const source = { resumed, model, spell, warn: (line: string) => log(`warning: ${line}`) };
    data = await openData(options, { onProgress: hooks.onData, signal, toTrain: true, onListed: (classes) => checkNetwork(options, classes, source) });
    for (const warning of data.warnings) log(`warning: ${warning}`);
    if (data.rejected.length > 0) log(`warning: ${describeRejected(data.rejected)}`);
    return await new TrainingRun(request, options, device, data, source).run();
  } finally {
    data?.dataset.close();
    closeRunDevice(device);
  }
}

class TrainingRun {
  readonly #request: TrainRunOptions;
  readonly #options: ResolvedOptions;
  readonly #device: Device;
  readonly #data: RunData;
  readonly #source: RunSource;
  readonly #resumed: Resumed | undefined;
  #directory!: RunDirectory;
  #config!: RunConfig;

  constructor(
    request: TrainRunOptions, options: ResolvedOptions, device: Device, data: RunData, source: RunSource & { readonly resumed?: Resumed },
  ) {
    this.#request = request;
    this.#options = options;
    this.#device = device;
    this.#data = data;
    this.#source = source;
    this.#resumed = source.resumed;
  }

  async run(): Promise<TrainRunResult> {
    const options = this.#options;
    const { dataset, split } = this.#data;
    const { hooks = {}, signal, allowInexact = false } = this.#request;
    const fingerprint = fingerprintOf(this.#device, await digestData(this.#data), computing(options));
    if (this.#resumed) {
      requireSameFingerprint(this.#resumed.config.fingerprint, fingerprint, allowInexact, (line) => hooks.log?.(line));
    }
    const fitOptions = await fitOptionsOf(options, this.#data, this.#device, this.#source);
    const result = await fit({
      ...fitOptions, signal,
      callbacks: {
        onStart: async ({ network, normalization, classWeights }, run) => {
          const parameters = network.variables.trainable.reduce((sum, v) => sum + v.size, 0);
          this.#directory = this.#resumed?.directory ?? await RunDirectory.create(this.#request.out);
          const { model } = this.#source;
          const name = this.#resumed?.config.name ?? model?.name ?? options.model!;
          const { cut } = fitOptions;
          const transfer = this.#resumed?.config.transfer
            ?? (model && cut !== undefined ? { weights: options.weights!, sha256: model.sha256, cut } : undefined);
          this.#config = {
            fovea: await foveaVersion(), simulated: dataset.simulated, name, options, classes: dataset.classes, imageShape: dataset.shape,
            normalization: await this.#directory.writeNormalization(name, normalization), classWeights, transfer,
            parts: countParts(dataset, split), parameters, device: this.#device.name, fingerprint,
          };
          // What is frozen is written once; the files of epochs have what is learnt.
          if (transfer && !this.#resumed) await this.#directory.writeParameters(name, 0, await run.parameters());
          await this.#directory.writeSymbol(this.#config.name, stating(fitOptions.symbol, normalization, network));
          await this.#directory.write('config.json', encodeConfig(this.#config));
          // From here on the run can be resumed, whatever befalls it in its first epoch.
          if (!this.#resumed) await this.#keepState(run);
          const epoch = (this.#resumed?.snapshot.epoch ?? 0) + 1;
          hooks.onStart?.({ config: this.#config, directory: this.#directory.path, epoch, resumed: this.#resumed !== undefined });
        },
        onFeatures: hooks.onFeatures && ((done, total) => hooks.onFeatures!(done, total)),
        onBatch: hooks.onBatch && ((report) => hooks.onBatch!(report)),
        onValidation: hooks.onValidation && ((done, total) => hooks.onValidation!(done, total)),
        onEpoch: (record, run) => this.#keepEpoch(record, run),
        onInterrupt: (run) => this.#keepState(run),
      },
    });
    try {
      return await this.#finish(result);
    } finally {
      result.dispose();
    }
  }

  async #keepEpoch(record: EpochRecord, run: FitState): Promise<void> {
    const { name, transfer } = this.#config;
    await this.#directory.writeParameters(name, record.epoch, await run.parameters(transfer ? 'learnt' : 'all'));
    await this.#keepState(run);
    // The state that names an epoch the best is there before the others' parameters go.
    if (this.#options.keep === 'best') await this.#directory.keepParameters(name, [0, record.epoch, run.best!.epoch]);
    this.#request.hooks?.onEpoch?.(record, run.best === record);
  }

  async #keepState(run: FitState): Promise<void> {
    await this.#directory.writeState(await run.snapshot());
    await this.#directory.writeMetrics(run.history, this.#config.simulated);
  }

  async #finish(result: FitResult): Promise<TrainRunResult> {
    const directory = this.#directory.path;
    const config = this.#config;
    const { history, best, interrupted } = result;
    if (interrupted || best === undefined) return { directory, config, interrupted, history, parts: {}, baselines: [] };
    const { hooks = {}, signal } = this.#request;
    const { dataset, split } = this.#data;
    const stopped = { directory, config, interrupted: true, history, parts: {}, baselines: [] };
    hooks.onStage?.(`judging epoch ${best.epoch} on all parts`);
    if (best.epoch !== history.length) await this.#takeParameters(result, best.epoch);
    const logits: Partial<Record<Part, Float32Array>> = {};
    const judged: Partial<Record<Part, PartResult>> = {};
    const shares = config.parts[0].classes.map((count) => count / config.parts[0].samples);
    for (const part of parts) {
      const indices = split[part];
      if (indices.length === 0) continue;
      // All that was learnt is saved: resumed, the run comes back here.
      if (signal?.aborted) return stopped;
      logits[part] = await result.predict(dataset, indices);
      const labels = Array.from(indices, (i) => dataset.labels[i]);
      judged[part] = {
        metrics: metricsOf(dataset, indices, logits[part]!),
        always: constantMetrics(labels, dataset.classes, { shares }),
      };
    }
    const held = split.test.length > 0 ? split.test : split.validation;
    if (signal?.aborted) return stopped;
    hooks.onStage?.('fitting logistic baselines');
    const baselines = held.length > 0 ? fitBaselines(dataset, split.train, held, (line) => hooks.log?.(line)) : [];
    if (config.transfer) for (const epoch of new Set([best.epoch, history.length])) await this.#directory.completeParameters(config.name, epoch);
    await this.#directory.write('predictions.csv', await predictionsCsv(dataset, split, logits));
    const outcome = { directory, config, interrupted, history, best, parts: judged, baselines };
    await this.#directory.write('results.json', `${JSON.stringify({
      format: 1, simulated: config.simulated, best: best.epoch, parts: judged,
      baselines: baselines.map(({ name, l2, crossValidatedAuc, metrics }) => ({ name, l2, crossValidatedAuc, metrics })),
    }, undefined, 1)}\n`);
    hooks.onStage?.('writing the report');
    await writeReport(this.#directory, outcome, { dataset, split, logits });
    return outcome;
  }

  async #takeParameters(result: FitResult, epoch: number): Promise<void> {
    const { arguments: learnt, auxiliary } = await this.#directory.readParameters(this.#config.name, epoch);
    for (const [name, array] of [...learnt, ...auxiliary]) {
      await result.network.variables.all.get(name)?.set(fromMXNet(array).data as Float32Array);
    }
  }
}

function fitBaselines(dataset: Dataset, train: Int32Array, held: Int32Array, log: (line: string) => void): BaselineResult[] {
  const results: BaselineResult[] = [];
  for (const name of baselineNames) {
    try {
      results.push(logisticBaseline(name, dataset, train, held));
    } catch (error) {
      // Too few patients for its folds, say: the network's figures stand without it.
      log(`no baseline of ${name}: ${(error as Error).message}`);
    }
  }
  return results;
}
