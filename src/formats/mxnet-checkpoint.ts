/** MXNet's checkpoints: `PREFIX-symbol.json`, `PREFIX-%04d.params`, and a mean image beside them where there is one. */
import { DataError, FormatError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { LoadedModel, LoadModelOptions } from './load-model.ts';
import { splitPath } from './model-files.ts';
import type { ModelFiles } from './model-files.ts';
import { checkpointNames, joinCheckpoint, readParams, splitCheckpoint, writeParams } from './mxnet-params.ts';
import type { Checkpoint } from './mxnet-params.ts';
import { readSymbol, writeSymbol } from './mxnet-symbol.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { asOption, atSize, preprocessingOf, withPreprocessing } from './preprocessing.ts';
import type { Preprocessing, SpellPreprocessing } from './preprocessing.ts';

interface Place {
  readonly folder: string;
  readonly prefix: string;
  /** Stated by the name of a `.params` file. */
  readonly epoch?: number;
  /** The symbol, where its name is not the usual one. */
  readonly symbol?: string;
}

function placeOf(path: string): Place {
  const { folder, name } = splitPath(path);
  const params = /^(.*)-(\d{4,})\.params$/.exec(name);
  if (params !== null) return { folder, prefix: params[1], epoch: Number(params[2]) };
  if (name.endsWith('.json') && !name.endsWith('-symbol.json')) return { folder, prefix: name.slice(0, -'.json'.length), symbol: path };
  return { folder, prefix: name.replace(/-symbol\.json$/, '') };
}

const symbolFile = (prefix: string): string => checkpointNames(prefix, 0).symbol;

/** Whether a path names a checkpoint, in one of its three forms. */
export async function isCheckpoint(path: string, files: ModelFiles): Promise<boolean> {
  if (/-symbol\.json$|-\d{4,}\.params$/.test(path)) return true;
  const { folder, prefix } = placeOf(path);
  return prefix !== '' && ((await files.list(folder))?.includes(symbolFile(prefix)) ?? false);
}

/**
 * Reads a checkpoint.
 *
 * @throws DataError where a file is missing; FormatError, naming file, field and byte
 */
export async function loadCheckpoint(path: string, files: ModelFiles, options: LoadModelOptions): Promise<LoadedModel> {
  const place = placeOf(path);
  const warnings: string[] = [];
  const names = (await files.list(place.folder)) ?? [];
  const symbolPath = place.symbol ?? place.folder + symbolFile(place.prefix);
  const text = new TextDecoder().decode(await files.read(symbolPath));
  const symbol = readSymbol(text, {
    file: symbolPath, batchNorm: options.batchNorm, warn: (message) => warnings.push(message),
  });
  const epoch = options.epoch ?? place.epoch ?? lastEpoch(place, names);
  const paramsPath = place.folder + checkpointNames(place.prefix, epoch).params;
  const parameters = splitCheckpoint(readParams(await files.read(paramsPath), { file: paramsPath }), { file: paramsPath });
  const mean = options.meanImage ?? (options.preprocessing ? undefined : besides(place, names, warnings, options.spell ?? asOption));
  const meanImage = mean === undefined ? undefined : readMeanImage(await files.read(mean), mean);
  const own = preprocessingOf(symbol, meanImage);
  return { symbol, parameters, preprocessing: atSize(options.preprocessing, own?.size) ?? own, warnings };
}

function lastEpoch({ folder, prefix }: Place, names: readonly string[]): number {
  const epochs = names.flatMap((name) => {
    const found = name.startsWith(`${prefix}-`) ? /^\d{4,}(?=\.params$)/.exec(name.slice(prefix.length + 1)) : null;
    return found === null ? [] : [Number(found[0])];
  });
  if (epochs.length === 0) throw new DataError(`${folder}${prefix}-%04d.params: no such file; the symbol's parameters belong there`);
  return Math.max(...epochs);
}

/** The mean image beside a checkpoint: its own (`PREFIX-mean.nd`), else the folder's only `mean*.nd`, as in MXNet's archives. */
function besides({ folder, prefix }: Place, names: readonly string[], warnings: string[], spell: SpellPreprocessing): string | undefined {
  const found = meanImageBeside(prefix, names);
  if (found === undefined) return undefined;
  if (found !== meanImageName(prefix)) {
    warnings.push(`${folder}${found}, beside the checkpoint, is taken for its mean image; ${spell('meanImage')} names another`);
  }
  return folder + found;
}

/** The name of the mean image among those of a checkpoint's folder; undefined for none, or for several that may be it. */
export function meanImageBeside(prefix: string, names: readonly string[]): string | undefined {
  const own = meanImageName(prefix);
  if (names.includes(own)) return own;
  const found = names.filter((name) => /^mean.*\.nd$/.test(name));
  return found.length === 1 ? found[0] : undefined;
}

/** The file of a checkpoint's own mean image, beside its parameters. */
export const meanImageName = (prefix: string): string => `${prefix}-mean.nd`;

/** @param image float32 [channels, height, width] */
export function writeMeanImage(image: HostArray): Uint8Array<ArrayBuffer> {
  return writeParams(new Map([['mean_img', image]]));
}

/**
 * The mean image of a `.nd` file: `mean_img`, or the only array.
 *
 * @throws FormatError where it is no float32 [3, height, width]
 */
export function readMeanImage(bytes: Uint8Array, file: string): HostArray {
  const arrays = readParams(bytes, { file });
  const [name, image] = arrays.has('mean_img') ? ['mean_img', arrays.get('mean_img')!] : [...arrays][0] ?? ['', undefined];
  if (image === undefined) throw new FormatError(`${file}: no array, expected mean_img`);
  return checkedMeanImage(image, `${file}: array "${name}"`);
}

/** @throws FormatError, at `where`, for what is no mean image of colours */
export function checkedMeanImage(image: HostArray, where: string): HostArray {
  if (image.dtype === 'float32' && image.shape.length === 3 && image.shape[0] === 3) return image;
  throw new FormatError(`${where}: expected float32 [3, height, width], got ${image.dtype} [${image.shape.join(', ')}]`);
}

/**
 * The files of a checkpoint by name: symbol, parameters, and the mean image where there is one.
 *
 * @param parameters in MXNet's axes, as `loadModel` gives them
 * @param options.preprocessing what `loadModel` gave, for the files to say; default what the symbol says itself (`withPreprocessing`)
 * @throws OptionError for preprocessing of a network without the input `data`
 */
export function checkpointFiles(
  symbol: ModelSymbol, parameters: Checkpoint,
  { prefix, epoch, preprocessing }: { readonly prefix: string; readonly epoch: number; readonly preprocessing?: Preprocessing },
): Map<string, Uint8Array<ArrayBuffer>> {
  const names = checkpointNames(prefix, epoch);
  const files = new Map([
    [names.symbol, new TextEncoder().encode(writeSymbol(preprocessing ? withPreprocessing(symbol, preprocessing) : symbol))],
    [names.params, writeParams(joinCheckpoint(parameters))],
  ]);
  if (preprocessing?.meanImage) files.set(meanImageName(prefix), writeMeanImage(preprocessing.meanImage));
  return files;
}
