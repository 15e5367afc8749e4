/**
 * Folders of images to lists, and lists to record files: what apache/mxnet tools/im2rec.py does, with its options and, under its seed,
 * its order. Node only.
 */
import type * as Fs from 'node:fs/promises';
import type * as Os from 'node:os';
import type * as Path from 'node:path';
import { DataError, OptionError } from '../errors.ts';
import { packImage } from '../formats/image-record.ts';
import { parseList } from '../formats/record-list.ts';
import type { ListEntry } from '../formats/record-list.ts';
import { MersenneTwister } from '../random/mersenne-twister.ts';
import { fileReason, formatOf, readBytes } from './decode.ts';
import { checkEncodeOptions, encodeImage } from './encode.ts';
import type { EncodeOptions } from './encode.ts';
import type { Rejected } from './listing.ts';
import { importNode } from './node.ts';
import { RecordWriter } from './record-file.ts';

const what = 'im2rec';

export interface ListOptions {
  /** With the folders below; each folder that holds an image is a class, numbered in the order of their names. Default: all are class 0. */
  readonly recursive?: boolean;
  /** Endings taken. Default .jpeg, .jpg, .png. */
  readonly exts?: readonly string[];
  /** Default true. */
  readonly shuffle?: boolean;
  /** Of the shuffling, as Python's random.shuffle does it. Default 100, which is MXNet's. */
  readonly seed?: number;
  /** How many lists the images are divided among. Default 1. */
  readonly chunks?: number;
  /** Share of a list that goes to PREFIX_train.lst; what neither it nor `testRatio` takes goes to PREFIX_val.lst. Default 1: PREFIX.lst. */
  readonly trainRatio?: number;
  /** Share that goes to PREFIX_test.lst. Default 0. */
  readonly testRatio?: number;
}

export interface ImageLists {
  /** What follows the prefix ('', '_train', '_0_val', ...) and the images of that list. */
  readonly lists: readonly { readonly suffix: string; readonly entries: readonly ListEntry[] }[];
  /** Folders by class. */
  readonly classes: readonly string[];
  readonly images: number;
}

/**
 * Lists of the images below a folder.
 *
 * @throws OptionError for ratios or chunks out of range; DataError where the folder cannot be read or holds no image
 */
export async function listImages(root: string, options: ListOptions = {}): Promise<ImageLists> {
  const { recursive = false, exts = ['.jpeg', '.jpg', '.png'], shuffle = true, seed = 100, chunks = 1, trainRatio = 1, testRatio = 0 } = options;
  if (!(Number.isInteger(chunks) && chunks >= 1)) throw new OptionError(`chunks: expected an integer of 1 or more, got ${chunks}`);
  if (!(trainRatio >= 0 && testRatio >= 0 && trainRatio + testRatio <= 1 + 1e-9)) {
    throw new OptionError(`train-ratio ${trainRatio} and test-ratio ${testRatio}: expected shares from 0 to 1 that sum to no more than 1`);
  }
  const { files, classes } = await walk(root, recursive, exts.map((ext) => ext.toLowerCase()));
  if (files.length === 0) {
    throw new DataError(`${root}: no ${exts.join(', ')} files${recursive ? '' : '; those in folders below are taken with --recursive'}`);
  }
  const entries = files.map(({ path, label }, key): ListEntry => ({ key, labels: [label], path }));
  if (shuffle) new MersenneTwister(seed).shuffle(entries);
  const size = Math.ceil(entries.length / chunks);
  const lists = Array.from({ length: chunks }, (_, i) => {
    const chunk = entries.slice(i * size, (i + 1) * size);
    const suffix = chunks > 1 ? `_${i}` : '';
    if (trainRatio === 1) return [{ suffix, entries: chunk }];
    const train = Math.floor(size * trainRatio);
    const test = Math.floor(size * testRatio);
    return [
      ...(testRatio > 0 ? [{ suffix: `${suffix}_test`, entries: chunk.slice(0, test) }] : []),
      ...(trainRatio + testRatio < 1 ? [{ suffix: `${suffix}_val`, entries: chunk.slice(test + train) }] : []),
      { suffix: `${suffix}_train`, entries: chunk.slice(test, test + train) },
    ];
  }).flat();
  return { lists, classes, images: entries.length };
}

/** Files by folder and name: those of a folder before those of the folders in it. */
async function walk(root: string, recursive: boolean, exts: readonly string[]) {
  const { readdir, realpath, stat } = await importNode<typeof Fs>('node:fs/promises', what);
  const { extname, join } = await importNode<typeof Path>('node:path', what);
  const files: { path: string; label: number }[] = [];
  const classes: string[] = [];
  const inCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  async function visit(below: string, above: readonly string[]): Promise<void> {
    const folder = join(root, below);
    // Links are followed, as MXNet does, but not in a circle.
    const here = await realpath(folder);
    if (above.includes(here)) return;
    const folders: string[] = [];
    let label: number | undefined;
    for (const name of (await readdir(folder)).sort(inCodePoints)) {
      const info = await stat(join(folder, name)).catch(() => undefined);
      if (info?.isDirectory()) folders.push(name);
      if (!info?.isFile() || !exts.includes(extname(name).toLowerCase())) continue;
      if (recursive && label === undefined) label = classes.push(below || '.') - 1;
      files.push({ path: below === '' ? name : `${below}/${name}`, label: label ?? 0 });
    }
    if (recursive) for (const name of folders) await visit(below === '' ? name : `${below}/${name}`, [...above, here]);
  }
  try {
    await visit('', []);
  } catch (cause) {
    throw new DataError(`${root}: ${fileReason(cause).replace('no such file', 'no such folder')}`, { cause });
  }
  return { files, classes };
}

export interface PackOptions extends EncodeOptions {
  /** Stores files as they are. */
  readonly passThrough?: boolean;
  /** Stores all labels of a line; otherwise the first. */
  readonly packLabel?: boolean;
  /** Images under way at once. Default: all processors and one. */
  readonly threads?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Packed {
  readonly records: number;
  readonly rejected: readonly Rejected[];
  /** Whether lines had further labels, which were not stored for want of `packLabel`. */
  readonly labelsLeft: boolean;
}

/**
 * Packs the images of a list into a `.rec` and its `.idx`, in the list's order. Files that cannot be read are left out and named.
 *
 * @param list text of the `.lst`
 * @throws FormatError for a list that is none; OptionError; DataError where no image can be read, or the file cannot be written
 */
export async function packImages(list: { readonly text: string; readonly file: string }, root: string, out: string, options: PackOptions): Promise<Packed> {
  checkEncodeOptions(options);
  const { availableParallelism } = await importNode<typeof Os>('node:os', what);
  const { join } = await importNode<typeof Path>('node:path', what);
  const { passThrough = false, packLabel = false, threads = availableParallelism() + 1, onProgress, signal } = options;
  const entries = parseList(list.text, { file: list.file });
  const rejected: Rejected[] = [];
  const encode = async ({ key, labels, path }: ListEntry): Promise<Uint8Array | string> => {
    try {
      const bytes = await readBytes(join(root, path), path);
      if (passThrough) formatOf(bytes, path);
      const image = passThrough ? bytes : await encodeImage(bytes, options, path);
      return packImage({ labels: Float32Array.from(packLabel ? labels : labels.slice(0, 1)), id: BigInt(key), id2: 0n, image });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return error.message.replace(`${path}: `, '');
    }
  };
  const writer = await RecordWriter.create(out);
  try {
    const ahead: Promise<Uint8Array | string>[] = [];
    let begun = 0;
    for (let done = 0; done < entries.length; done++) {
      signal?.throwIfAborted();
      for (; begun < entries.length && ahead.length < 2 * threads; begun++) {
        ahead.push(encode(entries[begun]));
        ahead.at(-1)!.catch(() => {}); // thrown where it is awaited
      }
      const packed = await ahead.shift()!;
      if (typeof packed === 'string') rejected.push({ file: entries[done].path, reason: packed });
      else writer.write(entries[done].key, packed);
      onProgress?.(done + 1, entries.length);
    }
    if (rejected.length === entries.length) {
      const [first] = rejected;
      if (first === undefined) throw new DataError(`${list.file}: names no image`);
      throw new DataError(`${list.file}: none of ${entries.length} images can be read; ${first.file}: ${first.reason}`);
    }
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
  return { records: entries.length - rejected.length, rejected, labelsLeft: !packLabel && entries.some(({ labels }) => labels.length > 1) };
}
