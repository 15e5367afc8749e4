/**
 * Models in safetensors files: Fovea's own, whose metadata holds the symbol (`symbol`, MXNet's JSON) and the epoch of the layout
 * (`fovea`), and PyTorch's Inception v3, known by its names.
 */
import { FormatError, OptionError } from '../errors.ts';
import { inceptionV3 } from '../models/inception-v3.ts';
import { didYouMean } from '../nearest.ts';
import type { HostArray } from '../nn/host-array.ts';
import { toFloat32 } from '../nn/host-array.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { sameNetwork } from '../nn/symbol.ts';
import type { LoadedModel, LoadModelOptions } from './load-model.ts';
import type { ModelFiles } from './model-files.ts';
import { checkedMeanImage } from './mxnet-checkpoint.ts';
import type { Checkpoint } from './mxnet-params.ts';
import { joinCheckpoint, splitCheckpoint } from './mxnet-params.ts';
import { readSymbol, writeSymbol } from './mxnet-symbol.ts';
import type { Preprocessing } from './preprocessing.ts';
import { asOption, atSize, preprocessingOf, toMinusOneToOne, withPreprocessing } from './preprocessing.ts';
import { readSafetensors, writeSafetensors } from './safetensors.ts';
import type { SafetensorsFile } from './safetensors.ts';
import { isBesideInference, torchInceptionV3 } from './torch-names.ts';

const FORMAT = 'fovea-model-1';
const meanName = 'mean_img';

/**
 * A model out of a safetensors file.
 *
 * @throws FormatError where the file is none, or the network that its tensors belong to is not known
 */
export async function loadSafetensorsModel(path: string, files: ModelFiles, options: LoadModelOptions): Promise<LoadedModel> {
  const file = readSafetensors(await files.read(path), { file: path });
  return file.metadata.has('symbol') ? ownModel(file, path, options) : torchModel(file, path, options);
}

function ownModel({ tensors, metadata }: SafetensorsFile, path: string, options: LoadModelOptions): LoadedModel {
  const format = metadata.get('format');
  if (format !== FORMAT) throw new FormatError(`${path}: __metadata__.format: expected "${FORMAT}", got "${format ?? ''}"`);
  const warnings: string[] = [];
  const symbol = readSymbol(metadata.get('symbol')!, { file: `${path}: __metadata__.symbol` });
  const mean = tensors.get(meanName);
  const meanImage = mean && checkedMeanImage(mean, `${path}: tensor "${meanName}"`);
  const arrays = new Map([...tensors].filter(([name]) => name !== meanName).map(([name, array]) => [name, toFloat32(array)]));
  const own = preprocessingOf(symbol, meanImage);
  const preprocessing = atSize(options.preprocessing, own?.size) ?? own;
  return { symbol, parameters: splitCheckpoint(arrays, { file: path }), preprocessing, warnings };
}

function torchModel({ tensors }: SafetensorsFile, path: string, options: LoadModelOptions): LoadedModel {
  const parameters: Checkpoint = { arguments: new Map(), auxiliary: new Map() };
  for (const [key, array] of tensors) {
    const known = torchInceptionV3.get(key);
    if (known !== undefined) (known.state ? parameters.auxiliary : parameters.arguments).set(known.name, toFloat32(array));
    else if (!isBesideInference(key)) {
      throw new FormatError(`${path}: tensor "${key}" belongs to no network that is known: expected a file that Fovea wrote, ` +
        `or PyTorch's inception_v3 (torchvision, timm)${didYouMean(key, torchInceptionV3.keys(), '"')}`);
    }
  }
  for (const [key, { name, state }] of torchInceptionV3) {
    if (!(state ? parameters.auxiliary : parameters.arguments).has(name)) throw new FormatError(`${path}: tensor "${key}" is missing`);
  }
  const classes = parameters.arguments.get('fc1_weight')!.shape[0] ?? 0;
  if (classes < 1) throw new FormatError(`${path}: tensor "fc.weight": expected [classes, 2048]`);
  const symbol = inceptionV3({ variant: 'torchvision', classes });
  checkShapes(symbol, parameters, path);
  const given = atSize(options.preprocessing, [299, 299]);
  if (given !== undefined) return { symbol, parameters, preprocessing: given, warnings: [] };
  const spell = options.spell ?? asOption;
  return {
    symbol, parameters, preprocessing: { ...toMinusOneToOne, size: [299, 299] },
    warnings: [
      `${path} says nothing of preprocessing; taken is what torchvision's and timm's own weights want, x / 127.5 - 1; `
        + `${spell('preprocessing')} says otherwise`,
    ],
  };
}

function checkShapes(symbol: ModelSymbol, { arguments: given, auxiliary }: Checkpoint, path: string): void {
  const shapes = symbol.inferShape({ data: [1, 3, 299, 299] });
  for (const [key, { name, state }] of torchInceptionV3) {
    const [want, got] = [(state ? shapes.auxiliary : shapes.arguments).get(name)!, (state ? auxiliary : given).get(name)!.shape];
    if (want.length !== got.length || want.some((d, i) => d !== got[i])) {
      throw new FormatError(`${path}: tensor "${key}": expected [${want.join(', ')}], got [${got.join(', ')}]`);
    }
  }
}

export interface SafetensorsModelOptions {
  /** `fovea` (default) keeps MXNet's names, and the symbol in the metadata; `pytorch` writes the state dict of inception_v3. */
  readonly names?: 'fovea' | 'pytorch';
  /** What `loadModel` gave, for the file to say; default what the symbol says itself (`withPreprocessing`). */
  readonly preprocessing?: Preprocessing;
}

/**
 * The bytes of a safetensors file with a model in it.
 *
 * @param parameters in MXNet's axes, as `loadModel` gives them
 * @throws OptionError where PyTorch's names are asked for, and the network is not its Inception v3, or wants other preprocessing; for
 *   preprocessing of a network without the input `data`
 */
export function writeSafetensorsModel(symbol: ModelSymbol, parameters: Checkpoint, options: SafetensorsModelOptions = {}): Uint8Array<ArrayBuffer> {
  const { names = 'fovea', preprocessing } = options;
  if (names === 'fovea') {
    const tensors = joinCheckpoint(parameters);
    if (preprocessing?.meanImage) tensors.set(meanName, preprocessing.meanImage);
    const stating = preprocessing ? withPreprocessing(symbol, preprocessing) : symbol;
    return writeSafetensors(tensors, new Map([['format', FORMAT], ['symbol', writeSymbol(stating)]]));
  }
  const classes = parameters.arguments.get('fc1_weight')?.shape[0];
  if (classes === undefined || !sameNetwork(symbol, inceptionV3({ variant: 'torchvision', classes }))) {
    throw new OptionError("names: 'pytorch' is for inceptionV3({ variant: 'torchvision' }), layer by layer; this network is another");
  }
  if (preprocessing !== undefined && !isAssumed(preprocessing)) {
    throw new OptionError("names: 'pytorch': the file has no words for preprocessing, and x / 127.5 - 1 is what it is read with; names: 'fovea' has");
  }
  const tensors = new Map<string, HostArray>();
  for (const [key, { name, state }] of torchInceptionV3) {
    const array = (state ? parameters.auxiliary : parameters.arguments).get(name);
    if (array === undefined) throw new OptionError(`the parameter "${name}" has no value`);
    tensors.set(key, array);
  }
  return writeSafetensors(tensors, new Map([['format', 'pt']]));
}

function isAssumed({ mean, deviation, meanImage }: Preprocessing): boolean {
  return meanImage === undefined && mean.join() === toMinusOneToOne.mean.join() && deviation.join() === toMinusOneToOne.deviation.join();
}
