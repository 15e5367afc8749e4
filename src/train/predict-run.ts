/** What a run's network says of photographs. */
import type * as Fs from 'node:fs/promises';
import type * as Os from 'node:os';
import type * as Path from 'node:path';
import { memoryDataset } from '../data/dataset.ts';
import { decodePixels, readBytes } from '../data/decode.ts';
import { importNode } from '../data/node.ts';
import { RecordFile } from '../data/record-file.ts';
import { imageOf, isRecordFile, recordNames } from '../data/records.ts';
import { DataError } from '../errors.ts';
import { softmaxRows } from './metrics.ts';
import { csv, mostProbable } from './predictions.ts';
import type { RunConfig } from './run-config.ts';
import { TrainedNetwork } from './trained.ts';
import type { LoadOptions } from './trained.ts';

export interface PredictRunOptions extends LoadOptions {
  readonly run: string;
  /** Files, folders of which all JPEG and PNG files are taken, with those of the folders within, and `.rec` files of images. */
  readonly paths: readonly string[];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What is said of one file. */
export interface Prediction {
  readonly file: string;
  /** Of each class; absent for a file that cannot be read. */
  readonly probabilities?: readonly number[];
  readonly predicted?: string;
  /** Why it cannot be read. */
  readonly problem?: string;
}

export interface PredictRunResult {
  readonly config: RunConfig;
  readonly epoch: number;
  /** In the order of the paths, those of a folder by name. */
  readonly predictions: readonly Prediction[];
  readonly unreadable: number;
  /** Files that were asked for; more than `predictions` has where the signal was aborted. */
  readonly files: number;
  readonly csv: string;
}

/** Images decoded before the network sees them: what is held in memory at once. */
const chunk = 64;

/**
 * Classifies photographs. Files that cannot be read are marked, and stop nothing. When the signal is aborted, what was
 * said so far is what is returned.
 *
 * @throws DataError for a path that is not there, or no image at all; MissingPackageError without sharp
 */
export async function predictRun({ run, paths, onProgress, signal, ...options }: PredictRunOptions): Promise<PredictRunResult> {
  const { files, close } = await findImages(paths);
  let trained: TrainedNetwork | undefined;
  try {
    trained = await TrainedNetwork.load(run, options);
    const { config } = trained;
    const predictions: Prediction[] = [];
    for (let start = 0; start < files.length; start += chunk) {
      if (signal?.aborted) break;
      predictions.push(...await predictFiles(trained, files.slice(start, start + chunk)));
      onProgress?.(predictions.length, files.length);
    }
    const rows = predictions.map(({ file, probabilities, predicted, problem }) => [
      file, problem === undefined ? 'ok' : `unreadable: ${problem}`, predicted ?? '',
      ...config.classes.map((_, c) => (probabilities ? probabilities[c].toPrecision(7) : '')),
      config.simulated ? 'simulated images' : 'photographs',
    ]);
    const header = ['file', 'status', 'predicted', ...config.classes.map((name) => `p(${name})`), 'trained on'];
    return {
      config, epoch: trained.epoch, files: files.length, predictions, unreadable: predictions.filter((p) => p.problem !== undefined).length,
      csv: await csv(header, rows),
    };
  } finally {
    trained?.dispose();
    close();
  }
}

/** A photograph, and the name that it goes by. */
interface Source {
  readonly name: string;
  read(): Promise<Uint8Array>;
}

async function predictFiles(trained: TrainedNetwork, files: readonly Source[]): Promise<Prediction[]> {
  const { availableParallelism } = await importNode<typeof Os>('node:os', 'reading photographs');
  const [height, width, channels] = trained.config.imageShape;
  const stride = height * width * channels;
  const results: (Prediction | undefined)[] = files.map(() => undefined);
  const decoded: { index: number; bytes: Uint8Array }[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < files.length) {
      const index = next++;
      const { name, read } = files[index];
      try {
        decoded.push({ index, bytes: (await decodePixels(await read(), { size: [height, width] }, name)).data });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        const problem = error.message.startsWith(`${name}: `) ? error.message.slice(name.length + 2) : error.message;
        results[index] = { file: name, problem };
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, lane));
  if (decoded.length > 0) {
    decoded.sort((a, b) => a.index - b.index);
    const bytes = new Uint8Array(decoded.length * stride);
    decoded.forEach((image, k) => bytes.set(image.bytes, k * stride));
    const { classes } = trained.config;
    const data = memoryDataset({ name: 'photographs', shape: [height, width, channels], bytes, classes, labels: decoded.map(() => 0) });
    const logits = await trained.predict(data, decoded.map((_, k) => k), { workers: 0 });
    const probabilities = softmaxRows(logits, classes.length);
    decoded.forEach(({ index }, k) => {
      const row = Array.from(probabilities.subarray(k * classes.length, (k + 1) * classes.length));
      results[index] = { file: files[index].name, probabilities: row, predicted: classes[mostProbable(row)] };
    });
  }
  return results as Prediction[];
}

/** Photographs in order. A file that is named is taken whatever its ending; of folders, JPEG and PNG; of a `.rec`, every record. */
async function findImages(paths: readonly string[]): Promise<{ files: Source[]; close(): void }> {
  const { readdir, stat } = await importNode<typeof Fs>('node:fs/promises', 'reading photographs');
  const { join } = await importNode<typeof Path>('node:path', 'reading photographs');
  const files: Source[] = [];
  const opened: RecordFile[] = [];
  const close = (): void => opened.forEach((records) => records.close());
  const take = (file: string): unknown => files.push({ name: file, read: () => readBytes(file, file) });
  try {
    for (const path of paths) {
      const info = await stat(path).catch(() => undefined);
      if (info === undefined) throw new DataError(`${path}: no such file or folder`);
      if (info.isDirectory()) {
        const entries = await readdir(path, { recursive: true });
        entries.filter((name) => /\.(jpe?g|png)$/i.test(name)).sort().forEach((name) => take(join(path, name)));
      } else if (isRecordFile(path)) {
        const records = await RecordFile.open(path);
        opened.push(records);
        recordNames(records).forEach((own, i) => {
          const name = `${path}/${own}`;
          files.push({ name, read: async () => imageOf(records, i, name) });
        });
        const lost = (name: string, why: string): unknown => files.push({ name, read: () => Promise.reject(new DataError(`${name}: ${why}`)) });
        for (const { key, offset } of records.lost) lost(`${path}/${key}`, `byte ${offset} is beyond the end: the file was cut short`);
        for (const { offset, bytes, reason } of records.damage) lost(`${path}, byte ${offset}`, `${bytes} bytes are no record: ${reason}`);
      } else take(path);
    }
    if (files.length === 0) throw new DataError(`${paths.join(', ')}: no JPEG or PNG files`);
  } catch (error) {
    close();
    throw error;
  }
  return { files, close };
}
