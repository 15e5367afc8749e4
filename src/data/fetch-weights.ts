/** Files of weights by path or https address: fetched once, kept in the cache, known by their SHA-256. Node only. */
import type * as Fs from 'node:fs/promises';
import { DataError, OptionError } from '../errors.ts';
import { meanImageBeside } from '../formats/mxnet-checkpoint.ts';
import { defaultCacheDir } from './cache.ts';
import { fileReason } from './decode.ts';
import { NotServed, checkAddress, download } from './download.ts';
import type { DownloadOptions } from './download.ts';
import { importNode } from './node.ts';

export interface FetchOptions extends DownloadOptions {
  /** What the weights must hash to, in hexadecimal. */
  readonly sha256?: string;
  /** Called as bytes come in, over all files of a model; `total` where the server says it. */
  readonly onProgress?: (received: number, total?: number) => void;
  /** Default `FOVEA_CACHE`, else the user's cache folder. */
  readonly cacheDir?: string;
}

/** A file on this machine. */
export interface FetchedFile {
  readonly path: string;
  /**
   * In hexadecimal, what a run records: of all files that the model is made of, one after another. Of a `model.json`, these are itself
   * and its shards in the manifest's order (`cat model.json group1-shard* | sha256sum`); of an MXNet checkpoint, parameters, symbol, and
   * the mean image beside them where there is one (`cat x-0039.params x-symbol.json x-mean.nd | sha256sum`).
   */
  readonly sha256: string;
  /** What the hash that was asked for turned out to be of: the whole model, or a checkpoint's `.params` alone. */
  readonly matched?: 'model' | 'parameters';
}

/** What is known of a file in the cache. */
interface CachedNote {
  readonly address: string;
  /** Absent where the server had no such file. */
  readonly sha256?: string;
}

/**
 * A path or an https address as a file on this machine. An address is fetched into the cache, together with what belongs to it (the
 * shards of a `model.json`, the `-symbol.json` of a `.params` file and its `-mean.nd` where there is one); one that is there already, by
 * its recorded hash, is not fetched again. A download that is cut goes on where it was, in the same call or the next. With
 * `FOVEA_NO_DOWNLOAD=1` nothing is fetched.
 *
 * @throws DataError where there is no such file, the server refuses or keeps cutting, or the hash is another than `sha256`
 * @throws OptionError where `sha256` is no hash
 */
export async function fetchWeights(address: string, options: FetchOptions = {}): Promise<FetchedFile> {
  const { sha256 } = options;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) throw new OptionError(`sha256: expected 64 hexadecimal digits, got "${sha256}"`);
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(address)) return local(address, sha256);
  checkAddress(address);
  const wanted = sha256?.toLowerCase();
  let model = await fetchModel(address, options, false);
  const cached = model.fresh ? undefined : model.sha256;
  // What is cached may be older than what the hash is of.
  if (cached !== undefined && await isOther(model, wanted)) model = await fetchModel(address, options, true);
  const held = await holdTo(model, wanted);
  if (held !== undefined) return held;
  // What was in the cache and still is what the server has stays there: it may be the hash that is wrong.
  if (model.sha256 !== cached) await model.forget();
  throw new DataError(`${address}: its SHA-256 is ${model.sha256}, expected ${wanted}${model.sha256 === cached ? '' : '; it was not kept'}`);
}

async function local(path: string, sha256: string | undefined): Promise<FetchedFile> {
  const file = await resolveLocal(path);
  const own = await hash(await partsOf(file));
  const held = await holdTo({ path: file, sha256: own }, sha256?.toLowerCase());
  if (held === undefined) throw new DataError(`${path}: its SHA-256 is ${own}, expected ${sha256!.toLowerCase()}`);
  return held;
}

/** The file, and what the hash wanted is of; undefined where it is of neither the model nor its parameters alone. */
async function holdTo({ path, sha256 }: FetchedFile, wanted: string | undefined): Promise<FetchedFile | undefined> {
  if (wanted === undefined) return { path, sha256 };
  if (sha256 === wanted) return { path, sha256, matched: 'model' };
  // The hash that people have of a checkpoint is that of its .params.
  return path.endsWith('.params') && await hash([path]) === wanted ? { path, sha256, matched: 'parameters' } : undefined;
}

async function isOther(file: FetchedFile, wanted: string | undefined): Promise<boolean> {
  return await holdTo(file, wanted) === undefined;
}

/** A file as it is; the prefix of an MXNet checkpoint, or its `PREFIX-symbol.json`, is its last `.params`. */
async function resolveLocal(path: string): Promise<string> {
  const fs = await importNode<typeof Fs>('node:fs/promises', 'reading weights');
  const { dirname, basename, join } = await importNode<typeof import('node:path')>('node:path', 'reading weights');
  const info = await fs.stat(path).catch(() => undefined);
  const isSymbol = path.endsWith('-symbol.json');
  if (info?.isFile() && !isSymbol) return path;
  const last = lastParams(basename(path).replace(/-symbol\.json$/, ''), await fs.readdir(dirname(path)).catch(() => []));
  if (last !== undefined) return join(dirname(path), last);
  if (info?.isFile()) return path;
  throw new DataError(`${path}: ${info === undefined ? 'no such file' : 'is a folder; expected a file in it, or the prefix of an MXNet checkpoint'}`);
}

/** The `.params` of the last epoch among the names of a folder. */
function lastParams(prefix: string, names: readonly string[]): string | undefined {
  const epochs = names.filter((name) => name.startsWith(`${prefix}-`) && /^\d{4,}\.params$/.test(name.slice(prefix.length + 1)));
  const epoch = (name: string): number => parseInt(name.slice(prefix.length + 1), 10);
  return epochs.length === 0 ? undefined : epochs.reduce((a, b) => (epoch(b) > epoch(a) ? b : a));
}

interface FetchedModel extends FetchedFile {
  /** Whether any byte of it came over the network in this call. */
  readonly fresh: boolean;
  forget(): Promise<void>;
}

async function fetchModel(address: string, options: FetchOptions, anew: boolean): Promise<FetchedModel> {
  const fs = await importNode<typeof Fs>('node:fs/promises', 'fetching weights');
  const { join } = await importNode<typeof import('node:path')>('node:path', 'fetching weights');
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'fetching weights');
  const name = decodeURIComponent(new URL(address).pathname.split('/').pop() ?? '').replace(/[^\w.-]/g, '_');
  if (name === '' || name === '.' || name === '..') throw new DataError(`${address}: expected the address of a file`);
  const folder = join(options.cacheDir ?? await defaultCacheDir(), 'weights', createHash('sha256').update(address).digest('hex').slice(0, 16));
  await fs.mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new DataError(`${folder}: ${fileReason(cause)}`, { cause });
  });
  const made: string[] = [];
  let fresh = false;
  let before = 0;
  const one = async (from: string, { file, optional }: Companion): Promise<void> => {
    const path = join(folder, file);
    const noteFile = `${path}.fetched.json`;
    const note = (sha256?: string): Promise<void> => fs.writeFile(noteFile, JSON.stringify({ address: from, sha256 } satisfies CachedNote));
    made.push(path, noteFile);
    if (!anew && await isWhole(fs, path, from)) return;
    if (process.env.FOVEA_NO_DOWNLOAD === '1') {
      const why = anew ? `what is in the cache (${folder}) has another SHA-256` : `not in the cache (${folder})`;
      throw new DataError(`${from}: ${why}, and FOVEA_NO_DOWNLOAD=1 forbids to fetch it`);
    }
    fresh = true;
    const onProgress = options.onProgress;
    let last = 0;
    await download(from, path, {
      ...options,
      onProgress: (received, total) => {
        last = received;
        onProgress?.(before + received, total === undefined ? undefined : before + total);
      },
    }).then(async () => note(await hash([path])), (error: unknown) => {
      if (optional && error instanceof NotServed) return note();
      throw error;
    });
    before += last;
  };
  await one(address, { file: name });
  const path = join(folder, name);
  for (const part of await companionsOf(path)) await one(new URL(encodeURIComponent(part.file), address).href, part);
  return {
    path, sha256: await hash(await partsOf(path)), fresh,
    forget: async () => {
      for (const file of made) await fs.rm(file, { force: true });
    },
  };
}

/** Whether a cached file still is what was fetched, or known not to be there. */
async function isWhole(fs: typeof Fs, path: string, address: string): Promise<boolean> {
  try {
    const note = JSON.parse(await fs.readFile(`${path}.fetched.json`, 'utf8')) as CachedNote;
    return note.address === address && (note.sha256 === undefined || note.sha256 === await hash([path]));
  } catch {
    return false;
  }
}

interface Companion {
  readonly file: string;
  /** Whether the model is whole without it. */
  readonly optional?: boolean;
}

/** The files that belong to one. */
async function companionsOf(path: string): Promise<Companion[]> {
  const { basename } = await importNode<typeof import('node:path')>('node:path', 'reading weights');
  const params = /^(.*)-\d{4,}\.params$/.exec(basename(path));
  if (params !== null) return [{ file: `${params[1]}-symbol.json` }, { file: `${params[1]}-mean.nd`, optional: true }];
  return (await shardsOf(path)).map((file) => ({ file }));
}

/** The shards that a `model.json` names. What is no model.json has none: whoever reads it says so. */
async function shardsOf(path: string): Promise<string[]> {
  const { weightsManifest } = await jsonOf(path) as { weightsManifest?: { paths?: unknown[] }[] };
  if (!Array.isArray(weightsManifest)) return [];
  const names = weightsManifest.flatMap((group) => group?.paths ?? []);
  return names.filter((n): n is string => typeof n === 'string' && /^[^/\\]+$/.test(n) && n !== '..' && n !== '.');
}

/** What a JSON file that is no `-symbol.json` holds; nothing where it is none. */
async function jsonOf(path: string): Promise<object> {
  if (!path.endsWith('.json') || path.endsWith('-symbol.json')) return {};
  const { readFile } = await importNode<typeof Fs>('node:fs/promises', 'reading weights');
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** The files that the hash of weights is of. */
async function partsOf(path: string): Promise<string[]> {
  const fs = await importNode<typeof Fs>('node:fs/promises', 'reading weights');
  const { basename, dirname, join } = await importNode<typeof import('node:path')>('node:path', 'reading weights');
  const checkpoint = async (prefix: string, own: (names: readonly string[]) => readonly string[]): Promise<string[]> => {
    const names = await fs.readdir(dirname(path));
    const mean = meanImageBeside(prefix, names);
    return [...own(names), ...(mean === undefined ? [] : [mean])].map((name) => join(dirname(path), name));
  };
  const params = /^(.*)-\d{4,}\.params$/.exec(basename(path));
  if (params !== null) return checkpoint(params[1], () => [basename(path), `${params[1]}-symbol.json`]);
  if (Array.isArray((await jsonOf(path) as { nodes?: unknown }).nodes)) {
    // A symbol of MXNet's of another name, and the parameters that are read with it.
    const prefix = basename(path, '.json');
    return checkpoint(prefix, (names) => [lastParams(prefix, names), basename(path)].filter((name) => name !== undefined));
  }
  return [path, ...(await shardsOf(path)).map((name) => join(dirname(path), name))];
}

async function hash(paths: readonly string[]): Promise<string> {
  const { createReadStream } = await importNode<typeof import('node:fs')>('node:fs', 'a hash');
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'a hash');
  const sum = createHash('sha256');
  for (const path of paths) {
    try {
      for await (const chunk of createReadStream(path)) sum.update(chunk as Uint8Array);
    } catch (cause) {
      throw new DataError(`${path}: ${fileReason(cause)}`, { cause });
    }
  }
  return sum.digest('hex');
}
