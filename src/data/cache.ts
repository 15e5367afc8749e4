/**
 * Photographs resized once: a flat file of bytes, one slot a sample, beside a JSON file that says what is in it. Keyed
 * by the files' names, sizes and times and by all options that matter, so that a change makes another cache. Both files
 * are written under a temporary name and renamed, the JSON last: without it there is no cache.
 */
import type * as Fs from 'node:fs';
import { DataError, OptionError } from '../errors.ts';
import { checkRead } from './dataset.ts';
import type { Dataset, Labelled } from './dataset.ts';
import { checkDecodeOptions, decodePixels, fileReason, loadCodec } from './decode.ts';
import type { Fit, ResizeKernel } from './decode.ts';
import type { ImageReader, Listing, Rejected } from './listing.ts';
import { importNode } from './node.ts';

const formatNumber = 1;
/** Bytes written before they are flushed while others are decoded: at the end the disk would be waited for. */
const flushBytes = 4 << 20;

export interface CacheOptions {
  /** Side of the square images, in pixels. */
  size: number;
  /** Default 'pad'. */
  fit?: Fit;
  /** Default 'lanczos3'. */
  kernel?: ResizeKernel;
  /** Folder of the cache. Default: FOVEA_CACHE, else fovea/ in XDG_CACHE_HOME, else in ~/.cache. */
  cacheDir?: string;
  /** Called after each image, in any order of images. Not called where the cache is there already. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** A listing with its bytes. Unreadable images are gone from it and named in `rejected`. */
export interface CachedDataset extends Dataset {
  readonly rejected: readonly Rejected[];
  readonly warnings: readonly string[];
  readonly cacheFile: string;
}

interface CacheNote {
  format: number;
  shape: [number, number, number];
  samples: number;
  /** Slots without an image, and why. */
  bad: { slot: number; reason: string }[];
}

/** Where caches go unless an option says otherwise. */
export async function defaultCacheDir(): Promise<string> {
  const { join } = await importNode<typeof import('node:path')>('node:path', 'a cache of images');
  const { homedir } = await importNode<typeof import('node:os')>('node:os', 'a cache of images');
  return process.env.FOVEA_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fovea');
}

/**
 * Decodes and resizes the images of a listing into the cache, or finds them there, and opens it.
 *
 * @throws OptionError for a size, fit or kernel that does not exist. @throws MissingPackageError without sharp.
 * @throws DataError where no image can be read or the cache cannot be written. Single bad images are in `rejected`.
 */
export async function cacheImages(listing: Listing, options: CacheOptions): Promise<CachedDataset> {
  checkDecodeOptions(options);
  if (options.size === undefined) throw new OptionError('the cache of images needs a size in pixels');
  const { size, fit = 'pad', kernel = 'lanczos3' } = options;
  const sharp = await loadCodec();
  const codec = `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
  const files = await listing.images.stamps();
  let reader: Promise<ImageReader> | undefined;
  const opened = await cacheBytes({
    name: listing.name, shape: [size, size, 3], samples: listing.length,
    key: { files, size, fit, kernel, codec },
    cacheDir: options.cacheDir, onProgress: options.onProgress, signal: options.signal,
    render: async (index) => {
      reader ??= listing.images.open();
      return (await decodePixels(await (await reader).read(index), { size, fit, kernel }, listing.ids[index])).data;
    },
  }).finally(() => reader?.then((open) => open.close(), () => {}));
  return openCache(listing, opened, {
    name: listing.name, simulated: false, rejected: listing.rejected, warnings: listing.warnings,
  });
}

export interface CacheBytesInit {
  name: string;
  shape: [height: number, width: number, channels: number];
  samples: number;
  /** All that the bytes depend on; JSON. */
  key: unknown;
  /** The bytes of one sample. A DataError leaves the sample out; any other error ends the work. */
  render(index: number): Promise<Uint8Array>;
  /** Samples under way at once. Default: one more than the processors. */
  concurrency?: number;
  cacheDir?: string;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface OpenedCache {
  readonly path: string;
  readonly fd: number;
  readonly note: Readonly<CacheNote>;
}

/** Finds or makes a cache file of `samples` images, and opens it. The caller closes `fd`. */
export async function cacheBytes(init: CacheBytesInit): Promise<OpenedCache> {
  const fs = await importNode<typeof Fs>('node:fs', 'a cache of images');
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'a cache of images');
  const { join } = await importNode<typeof import('node:path')>('node:path', 'a cache of images');
  const folder = init.cacheDir ?? await defaultCacheDir();
  const identity = JSON.stringify([formatNumber, init.shape, init.samples, init.key]);
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 32);
  const path = join(folder, `${hash}.bytes`);
  const notePath = join(folder, `${hash}.json`);
  const found = readNote(fs, path, notePath, init);
  if (found) return { path, fd: fs.openSync(path, 'r'), note: found };
  try {
    fs.mkdirSync(folder, { recursive: true });
    const note = await write(fs, path, notePath, init);
    return { path, fd: fs.openSync(path, 'r'), note };
  } catch (cause) {
    if (cause instanceof DataError || (cause as Error).name === 'AbortError') throw cause;
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
    throw new DataError(`cache of images in ${folder}: ${fileReason(cause)}`, { cause });
  }
}

/** The note of a whole cache, or undefined for none, a torn or a foreign one (which is then made anew). */
function readNote(fs: typeof Fs, path: string, notePath: string, init: CacheBytesInit): CacheNote | undefined {
  try {
    const note = JSON.parse(fs.readFileSync(notePath, 'utf8')) as CacheNote;
    const stride = init.shape[0] * init.shape[1] * init.shape[2];
    const whole = note.format === formatNumber && note.samples === init.samples &&
      Array.isArray(note.bad) && fs.statSync(path).size === stride * init.samples;
    return whole ? note : undefined;
  } catch {
    return undefined;
  }
}

async function write(fs: typeof Fs, path: string, notePath: string, init: CacheBytesInit): Promise<CacheNote> {
  const { availableParallelism } = await importNode<typeof import('node:os')>('node:os', 'a cache of images');
  const stride = init.shape[0] * init.shape[1] * init.shape[2];
  const temporary = `${path}.${process.pid}.${temporaries++}.tmp`;
  const note: CacheNote = { format: formatNumber, shape: init.shape, samples: init.samples, bad: [] };
  const fd = fs.openSync(temporary, 'wx');
  let open = true;
  try {
    fs.ftruncateSync(fd, stride * init.samples);
    let next = 0;
    let done = 0;
    let failed = false;
    let unflushed = 0;
    let flushing: Promise<void> | undefined;
    const flushErrors: Error[] = [];
    const flush = (): void => {
      unflushed = 0;
      flushing = new Promise((resolve) => fs.fdatasync(fd, (error) => {
        // A system tells of it once: the flush at the end would say that all is well.
        if (error !== null) flushErrors.push(error);
        flushing = undefined;
        resolve();
      }));
    };
    const lane = async () => {
      while (next < init.samples && !failed) {
        init.signal?.throwIfAborted();
        const slot = next++;
        try {
          const bytes = await init.render(slot);
          if (bytes.length !== stride) throw new Error(`sample ${slot}: ${bytes.length} bytes, not ${stride}`);
          for (let written = 0; written < stride;) {
            written += fs.writeSync(fd, bytes, written, stride - written, slot * stride + written);
          }
          unflushed += stride;
          if (unflushed >= flushBytes && flushing === undefined) flush();
        } catch (error) {
          if (!(error instanceof DataError)) {
            failed = true;
            throw error;
          }
          note.bad.push({ slot, reason: error.message });
        }
        init.onProgress?.(++done, init.samples);
      }
    };
    const lanes = Math.min(init.samples, init.concurrency ?? availableParallelism() + 1);
    // All lanes end before the file is closed, also where one fails.
    const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
    await flushing;
    if (flushErrors.length > 0) throw flushErrors[0];
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    init.signal?.throwIfAborted();
    note.bad.sort((a, b) => a.slot - b.slot);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    open = false;
    fs.renameSync(temporary, path);
    fs.writeFileSync(`${temporary}.json`, JSON.stringify(note), { flush: true });
    fs.renameSync(`${temporary}.json`, notePath);
    return note;
  } catch (error) {
    if (open) fs.closeSync(fd);
    fs.rmSync(temporary, { force: true });
    fs.rmSync(`${temporary}.json`, { force: true });
    throw error;
  }
}
let temporaries = 0;

/** The dataset over an open cache: the samples of `all` whose slots hold an image. */
export async function openCache(
  all: Labelled, cache: OpenedCache,
  about: { name: string; simulated: boolean; rejected?: readonly Rejected[]; warnings?: readonly string[] },
): Promise<CachedDataset> {
  const fs = await importNode<typeof Fs>('node:fs', 'a cache of images');
  const { path, fd, note } = cache;
  const bad = new Set(note.bad.map(({ slot }) => slot));
  const slots = Int32Array.from({ length: all.length }, (_, i) => i).filter((slot) => !bad.has(slot));
  const rejected = [...about.rejected ?? [], ...note.bad.map(({ slot, reason }) => {
    const file = all.ids[slot];
    return { file, reason: reason.startsWith(`${file}: `) ? reason.slice(file.length + 2) : reason };
  })];
  if (slots.length === 0) {
    fs.closeSync(fd);
    throw new DataError(`${about.name}: none of ${all.length} images can be read; ` +
      `${rejected[0].file}: ${rejected[0].reason}`);
  }
  const stride = note.shape[0] * note.shape[1] * note.shape[2];
  const pick = <T>(values: readonly T[]) => Array.from(slots, (slot) => values[slot]);
  let closed = false;
  const dataset: CachedDataset = {
    name: about.name, simulated: about.simulated, rejected, warnings: about.warnings ?? [], cacheFile: path,
    shape: note.shape, length: slots.length, classes: all.classes,
    labels: slots.map((slot) => all.labels[slot]),
    ids: pick(all.ids),
    patients: pick(all.patients),
    splits: all.splits && pick(all.splits),
    groups: all.groups && pick(all.groups),
    source: { kind: 'file', fd, path, slots },
    readInto(index, target, offset = 0) {
      checkRead(dataset, index, target, offset);
      if (closed) throw new DataError(`${about.name}: the dataset is closed`);
      for (let read = 0; read < stride;) {
        const got = fs.readSync(fd, target, offset + read, stride - read, slots[index] * stride + read);
        if (got === 0) throw new DataError(`${path}: ends before sample ${index}`);
        read += got;
      }
    },
    close() {
      if (!closed) fs.closeSync(fd);
      closed = true;
    },
  };
  return dataset;
}
