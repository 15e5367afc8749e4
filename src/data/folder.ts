/**
 * Folders of photographs: a CSV with the images that it names, or one folder a class. Yields a listing: which files,
 * with what label and patient, and which were left out and why. Nothing is decoded here; see cache.ts.
 */
import { DataError, OptionError } from '../errors.ts';
import { fileReason, readBytes } from './decode.ts';
import { exclude, imageExtension, makeListing, namesOf, rowRule } from './listing.ts';
import type { ImageStore, Listing, ListingOptions, Rejected, Sample } from './listing.ts';
import { importNode } from './node.ts';
import { readTable } from './table.ts';
import type { Table } from './table.ts';

export interface FolderOptions extends ListingOptions {
  /** The CSV. By default the folder's only one, or its labels.csv; none means one folder a class. */
  table?: string;
}

/** A sample with its file. */
interface Photograph extends Sample {
  file: string;
}
interface Found {
  /** Path below the folder, with / between its parts. */
  relative: string;
  path: string;
}
const splitFolders = /^(train|training|val|valid|validation|dev|test|testing)$/i;

/**
 * Lists a folder of photographs.
 *
 * @throws OptionError for an option that names what is not there: a column, a class, an image to leave out.
 * @throws DataError where the folder or table cannot be read, or nothing usable is left; single files and rows that
 *   cannot be used are in `rejected`, never thrown.
 */
export async function openFolder(folder: string, options: FolderOptions = {}): Promise<Listing> {
  if (options.table !== undefined && /\.lst$/i.test(options.table)) {
    throw new OptionError(`${folder} takes a CSV: a .lst (${options.table}) goes with a .rec`);
  }
  const { join } = await importNode<typeof import('node:path')>('node:path', 'reading a folder');
  const { images, tables } = await walk(folder);
  let tablePath = options.table;
  if (tablePath === undefined) {
    const top = tables.filter((table) => !table.relative.includes('/'));
    const usual = top.find((table) => table.relative.toLowerCase() === 'labels.csv');
    if (usual === undefined && top.length > 1) {
      const names = top.map((table) => table.relative).join(', ');
      throw new DataError(`${folder}: several tables (${names}): say which`);
    }
    tablePath = (usual ?? top[0])?.path;
  } else if (!(await exists(tablePath)) && await exists(join(folder, tablePath))) {
    tablePath = join(folder, tablePath);
  }
  const rejected: Rejected[] = [];
  const warnings: string[] = [];
  let samples: Photograph[];
  let labelSource: string;
  if (tablePath !== undefined) {
    ({ samples, labelSource } = await fromTable(await readTable(tablePath), images, options, rejected, warnings));
  } else {
    if (options.positive !== undefined || Object.keys(options.columns ?? {}).length > 0) {
      throw new OptionError(`${folder} has no CSV for the columns that were asked for`);
    }
    samples = fromClassFolders(folder, images, rejected);
    labelSource = 'folder names';
  }
  samples = exclude(samples, options.exclude ?? [], rejected, folder);
  return makeListing(folder, samples, filesOf(samples), labelSource, options, rejected, warnings);
}

function filesOf(samples: readonly Photograph[]): ImageStore {
  return {
    async stamps() {
      const { stat } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a folder');
      return Promise.all(samples.map(async ({ id, file }) => {
        const info = await stat(file).catch(() => undefined);
        return [id, info?.size ?? -1, info?.mtimeMs ?? -1];
      }));
    },
    async open() {
      return { read: (index) => readBytes(samples[index].file, samples[index].id), close() {} };
    },
  };
}

async function exists(path: string): Promise<boolean> {
  const { access } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a folder');
  return access(path).then(() => true, () => false);
}

async function walk(folder: string): Promise<{ images: Found[]; tables: Found[] }> {
  const { readdir } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a folder');
  const { join } = await importNode<typeof import('node:path')>('node:path', 'reading a folder');
  const images: Found[] = [];
  const tables: Found[] = [];
  async function visit(path: string, prefix: string, depth: number): Promise<void> {
    const entries = await readdir(path, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const found = { relative: prefix + entry.name, path: join(path, entry.name) };
      if (entry.isDirectory() && depth < 6) await visit(found.path, `${found.relative}/`, depth + 1);
      else if (imageExtension.test(entry.name)) images.push(found);
      else if (/\.csv$/i.test(entry.name)) tables.push(found);
    }
  }
  try {
    await visit(folder, '', 0);
  } catch (cause) {
    throw new DataError(`${folder}: ${fileReason(cause).replace('no such file', 'no such folder')}`, { cause });
  }
  return { images, tables };
}

/** Finds files as tables name them: by path below the folder, file name, or file name without extension. */
class FileIndex {
  readonly #byName = new Map<string, Set<Found>>();

  constructor(images: readonly Found[]) {
    for (const image of images) {
      for (const key of new Set(namesOf(image.relative))) {
        const known = this.#byName.get(key);
        if (known) known.add(image);
        else this.#byName.set(key, new Set([image]));
      }
    }
  }

  /** The file, or why there is none. */
  find(name: string): Found | string {
    const clean = name.replaceAll('\\', '/').replace(/^(\.?\/)+/, '');
    for (const key of namesOf(clean)) {
      const files = this.#byName.get(key);
      if (!files) continue;
      if (files.size === 1) return [...files][0];
      const exact = [...files].filter((file) => file.relative === clean);
      if (exact.length === 1) return exact[0];
      return `ambiguous: ${[...files].slice(0, 3).map((file) => file.relative).join(', ')}`;
    }
    return 'no such file';
  }
}

async function fromTable(
  table: Table, images: readonly Found[], options: FolderOptions, rejected: Rejected[], warnings: string[],
): Promise<{ samples: Photograph[]; labelSource: string }> {
  const rule = await rowRule(table, options);
  const { columns: { file } } = rule;
  if (file === undefined) throw new DataError(`${table.name}: no column names the image files. Columns: ${table.columns.join(', ')}`);
  const index = new FileIndex(images);
  const taken = new Map<string, Photograph>();
  const samples: Photograph[] = [];
  for (const row of table.rows) {
    const name = row[file];
    const reject = (reason: string) => rejected.push({ file: name || '(unnamed)', reason });
    if (name === '') { reject(`no file name in column '${file}'`); continue; }
    const found = index.find(name);
    if (typeof found === 'string') { reject(found); continue; }
    const said = rule.read(row);
    if (typeof said === 'string') { reject(said); continue; }
    const before = taken.get(found.path);
    if (before) {
      const labelled = before.label === said.label ? '' : `, labelled ${before.label} and ${said.label}`;
      reject(`listed twice${labelled}`);
      continue;
    }
    const sample = { id: found.relative, file: found.path, ...said };
    taken.set(found.path, sample);
    samples.push(sample);
  }
  const named = new Set(table.rows.map((row) => row[file]).flatMap((name) => {
    const found = index.find(name);
    return typeof found === 'string' ? [] : [found.path];
  }));
  const unnamed = images.filter((image) => !named.has(image.path));
  if (unnamed.length > 0) {
    warnings.push(`${unnamed.length} images are named by no row of ${table.name}, ${unnamed[0].relative} for one`);
  }
  return { samples, labelSource: rule.labelSource };
}

function fromClassFolders(folder: string, images: readonly Found[], rejected: Rejected[]): Photograph[] {
  const samples = images.flatMap((image): Photograph[] => {
    const parts = image.relative.split('/').slice(0, -1);
    const split = parts.length > 1 && splitFolders.test(parts[0]) ? parts[0] : '';
    const label = parts[split === '' ? 0 : 1];
    if (label !== undefined) return [{ id: image.relative, file: image.path, label, patient: '', split, group: '' }];
    rejected.push({ file: image.relative, reason: 'in no class folder' });
    return [];
  });
  if (samples.length === 0) {
    throw new DataError(`${folder}: no CSV, and no JPEG or PNG files in folders named by class (healthy/, infected/)`);
  }
  return samples;
}

