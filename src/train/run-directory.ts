/**
 * All that a training run leaves. `config.json` is what was asked for and resolved (it runs again), `NAME-symbol.json` and
 * `NAME-0001.params` are MXNet's own, `state-NNNNNN.json` and `.safetensors` make an exact resume, `metrics.jsonl` has a line
 * an epoch, `predictions.csv` a line an image, `report.html` the pictures. Node only.
 */
import { fileReason } from '../data/decode.ts';
import { DataError, FormatError, FoveaError } from '../errors.ts';
import { meanImageName, readMeanImage, writeMeanImage } from '../formats/mxnet-checkpoint.ts';
import { checkpointNames, joinCheckpoint, readParams, splitCheckpoint, writeParams } from '../formats/mxnet-params.ts';
import { readSymbol, writeSymbol } from '../formats/mxnet-symbol.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import { arraysToMXNet } from '../nn/parameters.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import type { Files } from './files.ts';
import { nodeFiles, readBytes, readText, removeTemporary, writeWhole } from './files.ts';
import type { EpochRecord } from './history.ts';
import type { Normalization } from './preprocess.ts';
import type { SavedNormalization } from './run-config.ts';
import type { TrainingSnapshot } from './snapshot.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';
import { fromMeanImage, toMeanImage } from './stated-preprocessing.ts';

/** Says whose an empty directory is. */
const claim = '.fovea-run';

const stateName = /^state-(\d+)\.json$/;

export class RunDirectory {
  readonly path: string;
  readonly #files: Files;

  private constructor(path: string, files: Files) {
    this.path = path;
    this.#files = files;
  }

  /**
   * A new directory: the one asked for, or, where that holds something already, the next free number after it
   * (`runs/train-2`, `results-2`). Nothing that is there is touched.
   *
   * @param asked default: the next of `runs/train-1`, `runs/train-2`, ...
   * @param kind in place of `train`
   */
  static async create(asked?: string, kind = 'train'): Promise<RunDirectory> {
    const files = await nodeFiles();
    const { fs, path } = files;
    const base = path.resolve(asked ?? path.join('runs', kind));
    for (let number = 1; ; number++) {
      const target = asked === undefined ? `${base}-${number}` : number === 1 ? base : `${base}-${number}`;
      try {
        await fs.mkdir(target, { recursive: true });
        if ((await fs.readdir(target)).length > 0) continue;
        // Of two runs that start at once, one makes this file.
        await (await fs.open(path.join(target, claim), 'wx')).close();
        return new RunDirectory(target, files);
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException;
        if (code === 'EEXIST' && number < 1e6) continue;
        throw new DataError(`${target}: ${fileReason(cause)}`, { cause });
      }
    }
  }

  /**
   * @param given in place of Node's own, for tests that let writing fail
   * @throws DataError where there is no run
   */
  static async open(path: string, given?: Files): Promise<RunDirectory> {
    const files = given ?? await nodeFiles();
    const target = files.path.resolve(path);
    const names = await files.fs.readdir(target).catch(() => undefined);
    if (!names?.includes('config.json')) throw new DataError(`${path}: no run directory (it has no config.json)`);
    return new RunDirectory(target, files);
  }

  file(name: string): string {
    return this.#files.path.join(this.path, name);
  }

  async has(name: string): Promise<boolean> {
    return (await this.#names()).includes(name);
  }

  write(name: string, content: string | Uint8Array): Promise<void> {
    return writeWhole(this.#files, this.file(name), content);
  }

  readText(name: string): Promise<string> {
    return readText(this.#files, this.file(name));
  }

  /** Removes what a killed process left half written. */
  clean(): Promise<void> {
    return removeTemporary(this.#files, this.path);
  }

  async writeSymbol(name: string, symbol: ModelSymbol): Promise<void> {
    await this.write(checkpointNames(name, 0).symbol, writeSymbol(symbol));
  }

  async readSymbol(name: string): Promise<ModelSymbol> {
    const file = checkpointNames(name, 0).symbol;
    return readSymbol(await this.readText(file), { file: this.file(file) });
  }

  /** `NAME-0001.params`, in MXNet's layout. */
  async writeParameters(name: string, epoch: number, arrays: ParameterArrays): Promise<void> {
    await this.write(paramsFile(name, epoch), writeParams(joinCheckpoint(arraysToMXNet(arrays))));
  }

  /**
   * In MXNet's layout, as `initialize` takes them. What a file lacks, because it was frozen, stands in that of epoch 0.
   */
  async readParameters(name: string, epoch: number): Promise<ParameterArrays> {
    const file = this.file(paramsFile(name, epoch));
    const own = splitCheckpoint(readParams(await readBytes(this.#files, file), { file }), { file });
    if (epoch === 0 || !(await this.hasParameters(name, 0))) return own;
    const base = await this.readParameters(name, 0);
    return {
      arguments: new Map([...base.arguments, ...own.arguments]), auxiliary: new Map([...base.auxiliary, ...own.auxiliary]),
    };
  }

  /** Writes the file of an epoch anew with all that the network has, so that MXNet reads it by itself. */
  async completeParameters(name: string, epoch: number): Promise<void> {
    await this.write(paramsFile(name, epoch), writeParams(joinCheckpoint(await this.readParameters(name, epoch))));
  }

  /** Writes a mean image beside the parameters; what `config.json` says of a normalisation. */
  async writeNormalization(name: string, { image, ...figures }: Normalization): Promise<SavedNormalization> {
    if (image === undefined) return figures;
    const file = meanImageName(name);
    await this.write(file, writeMeanImage(toMeanImage(image)));
    return { ...figures, image: file };
  }

  /** @throws FormatError for a file that holds no mean image */
  async readNormalization({ image: name, ...figures }: SavedNormalization): Promise<Normalization> {
    if (name === undefined) return figures;
    const file = this.file(name);
    return { ...figures, image: fromMeanImage(readMeanImage(await readBytes(this.#files, file), file)) };
  }

  /** Epochs whose parameters are there, ascending. */
  async parameterEpochs(name: string): Promise<number[]> {
    return (await this.#names()).flatMap((file) => {
      const match = /-(\d+)\.params$/.exec(file);
      return match && file.startsWith(`${name}-`) ? [Number(match[1])] : [];
    }).sort((a, b) => a - b);
  }

  async hasParameters(name: string, epoch: number): Promise<boolean> {
    return this.has(paramsFile(name, epoch));
  }

  /** Removes the parameters of all epochs but those given. */
  async keepParameters(name: string, epochs: readonly number[]): Promise<void> {
    for (const epoch of await this.parameterEpochs(name)) {
      if (!epochs.includes(epoch)) await this.#remove(paramsFile(name, epoch));
    }
  }

  /** Writes a state; the tensors first, so that the JSON's name vouches for both. Of older ones the last is kept. */
  async writeState(snapshot: TrainingSnapshot): Promise<void> {
    const name = `state-${String(snapshot.updates).padStart(6, '0')}`;
    const { json, tensors } = encodeSnapshot(snapshot);
    // The same update may be saved twice, within an epoch and at its end: its JSON goes before its tensors change.
    await this.#remove(`${name}.json`);
    await this.write(`${name}.safetensors`, tensors);
    await this.write(`${name}.json`, json);
    const states = await this.#states();
    for (const old of states.slice(2)) {
      await this.#remove(`${old}.json`);
      await this.#remove(`${old}.safetensors`);
    }
  }

  /**
   * The last good state.
   *
   * @param warn told of states that are damaged, and passed over
   * @throws FormatError for a format that is unknown; DataError where there is no good state
   */
  async readState(warn: (line: string) => void = () => {}): Promise<TrainingSnapshot> {
    for (const state of await this.#states()) {
      try {
        const json = await this.readText(`${state}.json`);
        refuseForeign(json, this.file(`${state}.json`));
        const tensors = await readBytes(this.#files, this.file(`${state}.safetensors`));
        return decodeSnapshot(json, tensors, this.file(`${state}.json`));
      } catch (error) {
        if (!(error instanceof FoveaError) || error instanceof ForeignFormat) throw error;
        warn(`${error.message}; going on from the state before`);
      }
    }
    throw new DataError(`${this.path}: no state to resume from`);
  }

  /** One line an epoch, written anew from all of them. JSON's null stands for a figure that has no value. */
  async writeMetrics(history: readonly EpochRecord[], simulated: boolean): Promise<void> {
    await this.write('metrics.jsonl', history.map((record) => `${JSON.stringify({ format: 1, simulated, ...record })}\n`).join(''));
  }

  async #names(): Promise<string[]> {
    return this.#files.fs.readdir(this.path);
  }

  /** Names of states, the last first. */
  async #states(): Promise<string[]> {
    const numbered = (await this.#names()).flatMap((name) => {
      const match = stateName.exec(name);
      return match ? [{ name: name.slice(0, -'.json'.length), updates: Number(match[1]) }] : [];
    });
    return numbered.sort((a, b) => b.updates - a.updates).map(({ name }) => name);
  }

  async #remove(name: string): Promise<void> {
    await this.#files.fs.rm(this.file(name), { force: true });
  }
}

class ForeignFormat extends FormatError {}

/** A state of another format is no damage that an older state could mend. */
function refuseForeign(json: string, file: string): void {
  let value: { format?: unknown };
  try {
    value = JSON.parse(json) as typeof value;
  } catch {
    return;
  }
  if (value?.format !== 1) {
    throw new ForeignFormat(`${file}: state of format ${JSON.stringify(value?.format) ?? 'unknown'}; this version reads format 1`);
  }
}

const paramsFile = (name: string, epoch: number): string => checkpointNames(name, epoch).params;
