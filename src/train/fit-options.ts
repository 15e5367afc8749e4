/** What a run's options mean to `fit`. */
import type { Device } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import type { Checkpoint } from '../formats/mxnet-params.ts';
import { cutAt } from '../nn/head.ts';
import type { InitializeOptions } from '../nn/parameters.ts';
import { featureCache } from './feature-cache.ts';
import type { FitOptions } from './fit-types.ts';
import { buildModel } from './models.ts';
import type { Normalization, NormalizationKind } from './preprocess.ts';
import type { Resumed } from './resumed.ts';
import type { RunData } from './run-data.ts';
import type { OptimizerChoice } from './optimizer.ts';
import type { ResolvedOptions, Spelling } from './run-options.ts';
import { asKey, learningRateSchedule } from './run-options.ts';
import { stageAt } from './stage.ts';
import type { PretrainedModel, Stages, TransferNetwork } from './transfer.ts';
import { stagesOf, transferNetwork } from './transfer.ts';

/** Where a run's network comes from, beside its options. */
export interface RunSource {
  readonly resumed?: Pick<Resumed, 'directory' | 'config' | 'snapshot'>;
  /** Where `options.weights` says so, and the run is a new one. */
  readonly model?: PretrainedModel;
  readonly spell?: Spelling;
  /** Told what goes wrong without stopping the run. */
  readonly warn?: (line: string) => void;
}

/** The network of a run with its first values. */
export interface RunNetwork extends Stages {
  /** The layer at which pretrained weights were cut. */
  readonly cut?: string;
  readonly from?: InitializeOptions['from'];
}

/** @throws OptionError for layers that the network has not; FormatError where weights lack values */
export async function networkOf(
  options: ResolvedOptions, classes: readonly string[], imageShape: readonly [number, number, number], { resumed, model, spell }: RunSource,
): Promise<RunNetwork> {
  if (resumed?.config.transfer) {
    const { directory, config: { name, transfer: { cut } } } = resumed;
    const stages = stagesOf({ symbol: await directory.readSymbol(name), cut }, options, spell);
    return { ...stages, cut, from: await directory.readParameters(name, 0) };
  }
  if (model === undefined) return { symbol: buildModel(options, classes.length), unfreezings: [] };
  const network = transferNetwork(model, options, classes, imageShape, spell);
  return { ...stagesOf(network, options, spell), cut: network.cut, from: ofTrunk(model.parameters, network) };
}

/** The values of what is below the cut. What else a file has may bear the new head's names, where it is of such a run itself. */
function ofTrunk({ arguments: learnt, auxiliary }: Checkpoint, { symbol, cut }: TransferNetwork): Checkpoint {
  const trunk = cutAt(symbol, cut);
  const only = <T>(map: ReadonlyMap<string, T>, names: readonly string[]): Map<string, T> =>
    new Map(names.flatMap((name) => (map.has(name) ? [[name, map.get(name)!] as const] : [])));
  return { arguments: only(learnt, trunk.listParameters(['data'])), auxiliary: only(auxiliary, trunk.listAuxiliaryStates()) };
}

/** @throws OptionError where a mean image is of another size, or the weights say nothing of what they want */
export function normalizationOf(
  { normalize, size }: ResolvedOptions, { model, spell = asKey }: RunSource,
): NormalizationKind | Normalization {
  if (normalize !== 'model') return normalize;
  const found = model?.normalization;
  if (found === undefined) {
    throw new OptionError(`the weights do not say what they want done to images: ${spell('preprocess')}, ${spell('meanImage')}, or `
      + `${spell('normalize')} channel or local has to`);
  }
  if (found.image && (found.image.shape[0] !== size || found.image.shape[1] !== size)) {
    const [height, width] = found.image.shape;
    throw new OptionError(`the weights' mean image has ${height} x ${width} pixels: ${spell('size')} ${size} does not go with it`);
  }
  return found;
}

/**
 * Refuses what `fitOptionsOf` would, before an image is decoded: the network, its head and its stages follow from the classes alone.
 *
 * @throws OptionError, FormatError
 */
export async function checkNetwork(options: ResolvedOptions, classes: readonly string[], source: RunSource): Promise<void> {
  const { size } = options;
  stageAt(await networkOf(options, classes, [size, size, 3], source), 1);
  if (source.resumed === undefined) normalizationOf(options, source);
}

/** The optimizer that options ask for. */
export function optimizerOf({ optimizer, momentum, weightDecay, clipGradient }: ResolvedOptions): OptimizerChoice {
  return optimizer === 'sgd' ? { kind: 'sgd', momentum, weightDecay, clipGradient } : { kind: 'adam', weightDecay, clipGradient };
}

export async function fitOptionsOf(
  options: ResolvedOptions, { dataset, split }: RunData, device: Device, source: RunSource,
): Promise<FitOptions & Pick<RunNetwork, 'cut'>> {
  const { resumed } = source;
  const stepsAnEpoch = Math.max(1, Math.floor(split.train.length / options.batch));
  const { from, ...network } = await networkOf(options, dataset.classes, dataset.shape, source);
  return {
    ...network, initialize: { from }, data: dataset, train: split.train,
    validation: split.validation.length > 0 ? split.validation : undefined,
    epochs: options.epochs, batch: options.batch,
    optimizer: optimizerOf(options),
    learningRate: await learningRateSchedule(options, stepsAnEpoch),
    classWeights: options.classWeights, sampler: options.sampler, augment: options.augment,
    normalization: resumed ? await resumed.directory.readNormalization(resumed.config.normalization) : normalizationOf(options, source),
    seed: options.seed, device, loader: { workers: options.workers },
    recompute: options.recompute === 'on', mixed: options.mixed, resume: resumed?.snapshot,
    cacheFeatures: options.cacheFeatures !== 'off', featureStore: options.weights === undefined ? undefined : await featureCache(undefined, source.warn),
  };
}
