/** One door for models of other systems: a path, whatever the format behind it. */
import { DataError } from '../errors.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { loadKerasModel } from './keras-model.ts';
import { nodeFiles, splitPath } from './model-files.ts';
import type { ModelFiles } from './model-files.ts';
import { isCheckpoint, loadCheckpoint } from './mxnet-checkpoint.ts';
import type { Checkpoint } from './mxnet-params.ts';
import type { Preprocessing } from './preprocessing.ts';

/** A network, its parameters, and what it wants done to images. */
export interface LoadedModel {
  readonly symbol: ModelSymbol;
  /** float32, in MXNet's axes (OIHW), by MXNet's names: what `initialize` takes as `from`. */
  readonly parameters: Checkpoint;
  /** Undefined where neither the file nor what its kind is known by says. */
  readonly preprocessing?: Preprocessing;
  /** What was assumed, and by which option it can be said otherwise. */
  readonly warnings: readonly string[];
}

export interface LoadModelOptions {
  /** Of an MXNet checkpoint given by its prefix; default the last that is there. */
  readonly epoch?: number;
  /** A file with the mean image of an MXNet checkpoint (`mean_img` in a `.nd`); default the one beside it. */
  readonly meanImage?: string;
  /** In place of what the file says, or what is assumed for its kind. */
  readonly preprocessing?: Preprocessing;
  /** How files are reached; default Node's file system. */
  readonly files?: ModelFiles;
}

/**
 * The model at a path: an MXNet checkpoint (`PREFIX`, `PREFIX-symbol.json` or `PREFIX-0039.params`).
 *
 * @throws DataError where there is no such file, FormatError where it is not what its format says
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const files = options.files ?? nodeFiles;
  const { name } = splitPath(path);
  if (name === 'model.json' || (name.endsWith('.json') && !name.endsWith('-symbol.json'))) return loadKerasModel(path, files, options);
  if (await isCheckpoint(path, files)) return loadCheckpoint(path, files, options);
  throw new DataError(`${path}: no model that is known by its name: expected an MXNet checkpoint (${name}-symbol.json)`);
}
