/** A trained network out of a run directory, for inference. */
import type { Dataset } from '../data/dataset.ts';
import type { Device } from '../device/types.ts';
import { DataError } from '../errors.ts';
import { predictBatches, predictLogits } from './evaluate.ts';
import type { PredictedBatch, PredictOptions } from './evaluate.ts';
import type { EpochRecord } from './history.ts';
import { bestEpoch } from './history.ts';
import type { Network } from './network.ts';
import { createNetwork } from './network.ts';
import type { Normalization } from './preprocess.ts';
import type { RunConfig } from './run-config.ts';
import { decodeConfig } from './run-config.ts';
import { closeRunDevice, openRunDevice } from './run-device.ts';
import { RunDirectory } from './run-directory.ts';
import type { RunOptions } from './run-options.ts';
import { EvaluationStep } from './step.ts';

export interface LoadOptions extends Pick<RunOptions, 'device' | 'threads'> {
  /** From 1; default the best. */
  readonly epoch?: number;
  readonly log?: (line: string) => void;
}

/** A network with the parameters of an epoch, ready to predict. */
export class TrainedNetwork {
  readonly config: RunConfig;
  readonly epoch: number;
  readonly network: Network;
  readonly device: Device;
  readonly #step: EvaluationStep;
  #disposed = false;

  private constructor(config: RunConfig, epoch: number, network: Network, device: Device, normalization: Normalization) {
    this.config = config;
    this.epoch = epoch;
    this.network = network;
    this.device = device;
    this.#step = new EvaluationStep({ network, device, normalization });
  }

  /**
   * @throws DataError where there is no run, or none of that epoch's parameters; FormatError for files of other formats
   */
  static async load(run: string, { epoch, device, threads, log }: LoadOptions = {}): Promise<TrainedNetwork> {
    const directory = await RunDirectory.open(run);
    const config = decodeConfig(await directory.readText('config.json'), directory.file('config.json'));
    const symbol = await directory.readSymbol(config.name);
    const wanted = epoch ?? (await bestOf(directory)).epoch;
    if (!(await directory.hasParameters(config.name, wanted))) {
      const kept = await directory.parameterEpochs(config.name);
      throw new DataError(`${run}: the parameters of epoch ${wanted} are not there; those of ${kept.join(', ') || 'none'} are`);
    }
    const from = await directory.readParameters(config.name, wanted);
    const network = createNetwork(symbol, { shape: config.imageShape }, { seed: 0, from });
    const normalization = await directory.readNormalization(config.normalization);
    return new TrainedNetwork(config, wanted, network, await openRunDevice({ device, threads }, log), normalization);
  }

  /** Logits of samples, samples x classes. @throws DataError for images of another shape */
  predict(data: Dataset, indices: ArrayLike<number>, options: Partial<PredictOptions> = {}): Promise<Float32Array> {
    this.#checkShape(data);
    return predictLogits(this.#step, data, indices, { batch: this.config.options.batch, ...options });
  }

  /** The same batch by batch. @throws DataError for images of another shape */
  predictBatches(data: Dataset, indices: ArrayLike<number>, options: Partial<PredictOptions> = {}): AsyncGenerator<PredictedBatch, void, void> {
    this.#checkShape(data);
    return predictBatches(this.#step, data, indices, { batch: this.config.options.batch, ...options });
  }

  #checkShape(data: Dataset): void {
    if (data.shape.join() === this.config.imageShape.join()) return;
    throw new DataError(`${data.name}: images of [${data.shape.join(', ')}], where the network takes [${this.config.imageShape.join(', ')}]`);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#step.dispose();
    this.network.dispose();
    closeRunDevice(this.device);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function bestOf(directory: RunDirectory): Promise<EpochRecord> {
  const { history } = await directory.readState();
  const best = bestEpoch(history);
  if (best === undefined) throw new DataError(`${directory.path}: no epoch was finished; there is nothing to judge`);
  return best;
}
