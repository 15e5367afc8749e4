/** One door for models of other systems: a path, whatever the format behind it. */
import type { Shape } from '../device/types.ts';
import { DataError, FormatError } from '../errors.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { loadKerasModel } from './keras-model.ts';
import { nodeFiles, splitPath } from './model-files.ts';
import type { ModelFiles } from './model-files.ts';
import { isCheckpoint, loadCheckpoint } from './mxnet-checkpoint.ts';
import type { Checkpoint } from './mxnet-params.ts';
import type { BatchNormDefaults } from './mxnet-symbol.ts';
import type { Preprocessing, SpellPreprocessing } from './preprocessing.ts';
import { loadSafetensorsModel } from './safetensors-model.ts';

/** A network, its parameters, and what it wants done to images. */
export interface LoadedModel {
  readonly symbol: ModelSymbol;
  /** float32, in MXNet's axes (OIHW), by MXNet's names: what `initialize` takes as `from`. */
  readonly parameters: Checkpoint;
  /** Shapes of the inputs in MXNet's axes, batch 1, where the file states them, as Keras' models do. */
  readonly inputs?: Readonly<Record<string, Shape>>;
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
  /** How batch norms of MXNet's files of 2015 are read that do not state what they mean; default as MXNet 1.9.1 does. */
  readonly batchNorm?: BatchNormDefaults;
  /** In place of what the file says, or what is assumed for its kind. */
  readonly preprocessing?: Preprocessing;
  /** How warnings write the options by which it can be said otherwise; default `option meanImage`. */
  readonly spell?: SpellPreprocessing;
  /** How files are reached; default Node's file system. */
  readonly files?: ModelFiles;
}

/** Formats that take an interpreter of Python's pickles, or HDF5, and the line that makes one of ours of them. */
const conversions: readonly (readonly [RegExp, string, (path: string, to: string) => string])[] = [
  [/\.(h5|hdf5)$/, "Keras' HDF5 files", (path, to) => `pip install tensorflowjs && tensorflowjs_converter --input_format keras ${quoted(path)} ${quoted(to)}`],
  [/\.keras$/, "Keras' archives", (path, to) => `pip install tensorflowjs && tensorflowjs_converter --input_format keras_keras ${quoted(path)} ${quoted(to)}`],
  [/\.(pth|pt|ckpt)$/, "PyTorch's pickles", (path, to) => 'pip install torch safetensors && python -c "import torch, safetensors.torch as s; ' +
    `s.save_file({k: v.contiguous() for k, v in torch.load('${path}', map_location='cpu', weights_only=True).items()}, '${to}.safetensors')"`],
];

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** Whether a JSON file is a symbol of MXNet's, whatever it is called: it has `nodes`, Keras' has a topology. */
export async function isSymbol(path: string, files: ModelFiles): Promise<boolean> {
  try {
    const value = JSON.parse(new TextDecoder().decode(await files.read(path))) as { readonly nodes?: unknown } | null;
    return Array.isArray(value?.nodes);
  } catch (error) {
    // What is no JSON is told by the reader of Keras' files, with field and byte.
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/**
 * The model at a path: an MXNet checkpoint (`PREFIX`, `PREFIX-symbol.json`, a symbol of
 * another name, `PREFIX.json`, or `PREFIX-0039.params`), a layers model of TensorFlow.js
 * (`model.json`, its shards beside it), or a safetensors file (Fovea's own, or PyTorch's Inception v3).
 *
 * @throws DataError where there is no such file, FormatError where it is not what its format says
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const files = options.files ?? nodeFiles;
  const { name } = splitPath(path);
  const foreign = conversions.find(([pattern]) => pattern.test(name));
  if (foreign !== undefined) throw new FormatError(`${path}: ${foreign[1]} are not read; convert with: ${foreign[2](path, path.replace(/\.[^.]*$/, ''))}`);
  if (name.endsWith('.safetensors')) return loadSafetensorsModel(path, files, options);
  if (name.endsWith('.json') && !name.endsWith('-symbol.json')) {
    return await isSymbol(path, files) ? loadCheckpoint(path, files, options) : loadKerasModel(path, files, options);
  }
  if (await isCheckpoint(path, files)) return loadCheckpoint(path, files, options);
  throw new DataError(`${path}: no model that is known by its name: expected an MXNet checkpoint ` +
    `(${name}-symbol.json), a model.json or a .safetensors file`);
}
