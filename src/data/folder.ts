/**
 * Folders of photographs: a CSV with the images that it names, or one folder a class. Yields a listing: which files,
 * with what label and patient, and which were left out and why. Nothing is decoded here; see cache.ts.
 */
import { DataError, OptionError } from '../errors.ts';
import { compileCondition } from './condition.ts';
import type { Condition } from './condition.ts';
import { checkLabelled } from './dataset.ts';
import type { Labelled } from './dataset.ts';
import { fileReason } from './decode.ts';
import { didYouMean } from '../nearest.ts';
import { importNode } from './node.ts';
import { readTable, resolveColumns } from './table.ts';
import type { Columns, Table } from './table.ts';

export interface FolderOptions {
  /** The CSV. By default the folder's only one, or its labels.csv; none means one folder a class. */
  table?: string;
  /** Columns by role; each role has usual names (`image`, `dr`, `patient`, `split`, ...). */
  columns?: Columns;
  /** Which rows are infected, over the table's columns: 'grade >= 2 or dme >= 1'. Replaces the label column. */
  positive?: string;
  /** Class names in order, the healthy one first. By default healthy, infected for 0 and 1, else the labels. */
  classes?: readonly string[];
  /** Images to leave out, by file name with or without its extension. */
  exclude?: readonly string[];
  /** Names of copies of one photograph; each inner list is a group. Joined with the table's group column. */
  duplicates?: readonly (readonly string[])[];
}

/** A file that was left out. */
export interface Rejected {
  readonly file: string;
  readonly reason: string;
}

export interface Listing extends Labelled {
  readonly name: string;
  /** Path of each sample's file. */
  readonly files: readonly string[];
  readonly rejected: readonly Rejected[];
  /** What the user should know: no patient column, images that no row names. */
  readonly warnings: readonly string[];
  /** What decided the labels: a column, an expression, folders. */
  readonly labelSource: string;
}

interface Found {
  /** Path below the folder, with / between its parts. */
  relative: string;
  path: string;
}
interface Sample {
  id: string;
  file: string;
  /** A label as written, or as the expression decides ('0', '1'). */
  label: string;
  patient?: string;
  split: string;
  group: string;
}

const imageExtension = /\.(jpe?g|png)$/i;
const splitFolders = /^(train|training|val|valid|validation|dev|test|testing)$/i;
const healthyNames = /^(0|healthy|normal|negative|none|no|no[ _-]?dr|false)$/i;

/**
 * Lists a folder of photographs.
 *
 * @throws OptionError for an option that names what is not there: a column, a class, an image to leave out.
 * @throws DataError where the folder or table cannot be read, or nothing usable is left; single files and rows that
 *   cannot be used are in `rejected`, never thrown.
 */
export async function openFolder(folder: string, options: FolderOptions = {}): Promise<Listing> {
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
  let samples: Sample[];
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
  return makeListing(folder, samples, labelSource, options, rejected, warnings);
}

/** 'N images left out: a.jpg (no such file), ... and M more'; '' for none. */
export function describeRejected(rejected: readonly Rejected[], most = 5): string {
  if (rejected.length === 0) return '';
  const named = rejected.slice(0, most).map(({ file, reason }) => `${file} (${reason})`).join(', ');
  const more = rejected.length > most ? ` and ${rejected.length - most} more` : '';
  return `${rejected.length} image${rejected.length === 1 ? '' : 's'} left out: ${named}${more}`;
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

const stem = (name: string) => name.replace(imageExtension, '');
const base = (name: string) => name.slice(name.lastIndexOf('/') + 1);
/** The names that a table or an option may call a file by. */
const namesOf = (id: string) => [id, stem(id), base(id), stem(base(id))];

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
): Promise<{ samples: Sample[]; labelSource: string }> {
  const columns = resolveColumns(table, options.columns);
  const list = `Columns: ${table.columns.join(', ')}`;
  if (columns.file === undefined) throw new DataError(`${table.name}: no column names the image files. ${list}`);
  let condition: Condition | undefined;
  if (options.positive !== undefined) {
    if (options.columns?.label !== undefined) {
      throw new OptionError("give either a label column or an expression ('positive'), not both");
    }
    condition = await compileCondition(options.positive, table.columns);
  } else if (columns.label === undefined) {
    throw new DataError(`${table.name}: no label column: name it, or give an expression ('positive'). ${list}`);
  }
  const index = new FileIndex(images);
  const taken = new Map<string, Sample>();
  const samples: Sample[] = [];
  for (const row of table.rows) {
    const name = row[columns.file];
    const reject = (reason: string) => rejected.push({ file: name || '(unnamed)', reason });
    if (name === '') { reject(`no file name in column '${columns.file}'`); continue; }
    const found = index.find(name);
    if (typeof found === 'string') { reject(found); continue; }
    const label = labelOf(row, columns.label, condition);
    if (label.error !== undefined) { reject(label.error); continue; }
    const before = taken.get(found.path);
    if (before) {
      const labelled = before.label === label.value ? '' : `, labelled ${before.label} and ${label.value}`;
      reject(`listed twice${labelled}`);
      continue;
    }
    const sample: Sample = {
      id: found.relative, file: found.path, label: label.value,
      patient: columns.patient === undefined ? undefined : row[columns.patient],
      split: columns.split === undefined ? '' : row[columns.split],
      group: columns.group === undefined ? '' : row[columns.group],
    };
    taken.set(found.path, sample);
    samples.push(sample);
  }
  const named = new Set(table.rows.map((row) => row[columns.file as string]).flatMap((name) => {
    const found = index.find(name);
    return typeof found === 'string' ? [] : [found.path];
  }));
  const unnamed = images.filter((image) => !named.has(image.path));
  if (unnamed.length > 0) {
    warnings.push(`${unnamed.length} images are named by no row of ${table.name}, ${unnamed[0].relative} for one`);
  }
  return { samples, labelSource: condition ? condition.text : `column '${columns.label}'` };
}

type RowLabel = { value: string; error?: undefined } | { value?: undefined; error: string };

function labelOf(row: Readonly<Record<string, string>>, column: string | undefined, condition?: Condition): RowLabel {
  if (condition) {
    try {
      const positive = condition.test(row);
      if (positive !== undefined) return { value: positive ? '1' : '0' };
    } catch (error) {
      return { error: (error as Error).message };
    }
    const empty = condition.columns.filter((name) => row[name] === '');
    return { error: `no label: ${empty.map((name) => `'${name}'`).join(', ')} is empty` };
  }
  const value = row[column as string];
  return value === '' ? { error: `no label: '${column}' is empty` } : { value };
}

function fromClassFolders(folder: string, images: readonly Found[], rejected: Rejected[]): Sample[] {
  const samples = images.flatMap((image): Sample[] => {
    const parts = image.relative.split('/').slice(0, -1);
    const split = parts.length > 1 && splitFolders.test(parts[0]) ? parts[0] : '';
    const label = parts[split === '' ? 0 : 1];
    if (label !== undefined) return [{ id: image.relative, file: image.path, label, split, group: '' }];
    rejected.push({ file: image.relative, reason: 'in no class folder' });
    return [];
  });
  if (samples.length === 0) {
    throw new DataError(`${folder}: no CSV, and no JPEG or PNG files in folders named by class (healthy/, infected/)`);
  }
  return samples;
}

function exclude(samples: Sample[], names: readonly string[], rejected: Rejected[], folder: string): Sample[] {
  const matches = (sample: Sample, name: string) => namesOf(sample.id).includes(name);
  for (const name of names) {
    if (!samples.some((sample) => matches(sample, name)) && !rejected.some(({ file }) => stem(file) === stem(name))) {
      throw new OptionError(`${folder} has no image '${name}' to leave out`);
    }
  }
  return samples.filter((sample) => {
    const out = names.some((name) => matches(sample, name));
    if (out) rejected.push({ file: sample.id, reason: 'excluded by option' });
    return !out;
  });
}

function makeListing(
  name: string, samples: readonly Sample[], labelSource: string, options: FolderOptions,
  rejected: readonly Rejected[], warnings: string[],
): Listing {
  if (samples.length === 0) {
    const why = describeRejected(rejected, 3);
    throw new DataError(`${name}: no usable images${why ? `; ${why}` : ''}`);
  }
  const { classes, labels } = classify(name, samples, options);
  const known = samples.some((sample) => sample.patient);
  if (!known) warnings.push(`${name}: no patient column: each image counts as a patient of its own`);
  const anonymous = known ? samples.filter((sample) => !sample.patient).length : 0;
  if (anonymous > 0) warnings.push(`${name}: ${anonymous} images without a patient count as patients of their own`);
  return checkLabelled(name, {
    name, length: samples.length, classes, labels, labelSource, rejected, warnings,
    files: samples.map((sample) => sample.file),
    ids: samples.map((sample) => sample.id),
    // A sample without a patient must not meet a patient who happens to be called like its file.
    patients: samples.map((sample) => sample.patient || (known ? `image ${sample.id}` : sample.id)),
    splits: samples.some((sample) => sample.split) ? samples.map((sample) => sample.split) : undefined,
    groups: groupsOf(name, samples, options.duplicates ?? []),
  });
}

/** Classes in order and each sample's index among them. */
function classify(name: string, samples: readonly Sample[], options: FolderOptions) {
  const values = [...new Set(samples.map((sample) => sample.label))];
  const numeric = values.every((value) => /^\d+(\.0*)?$/.test(value));
  let classes: readonly string[];
  let indexOf: (label: string) => number;
  if (numeric) {
    const most = Math.max(1, ...values.map(Number));
    if (most > 999) throw new DataError(`${name}: label ${most} (${options.columns?.label ?? 'label'}) is no class`);
    classes = options.classes ??
      (most === 1 ? ['healthy', 'infected'] : Array.from({ length: most + 1 }, (_, i) => String(i)));
    if (classes.length <= most) throw new OptionError(`${name}: label ${most}, but ${classes.length} class names`);
    indexOf = Number;
  } else {
    const sorted = [...values].sort((a, b) =>
      Number(healthyNames.test(b)) - Number(healthyNames.test(a)) || (a < b ? -1 : 1));
    classes = options.classes ?? sorted;
    for (const value of values) {
      if (!classes.includes(value)) {
        throw new OptionError(`${name}: label '${value}' is none of the classes ${classes.join(', ')}` +
          didYouMean(value, classes));
      }
    }
    indexOf = (label) => classes.indexOf(label);
  }
  return { classes, labels: Int32Array.from(samples, (sample) => indexOf(sample.label)) };
}

/** One group name a sample: the table's column joined with the explicit lists. */
function groupsOf(
  name: string, samples: readonly Sample[], lists: readonly (readonly string[])[],
): string[] | undefined {
  const groups = samples.map((sample) => sample.group);
  for (const list of lists) {
    const members = list.flatMap((wanted) =>
      samples.flatMap((sample, i) => (namesOf(sample.id).includes(wanted) ? [i] : [])));
    if (members.length === 0) throw new OptionError(`${name}: none of the duplicates ${list.join(', ')} is there`);
    const merged = new Set(members.map((i) => groups[i]).filter((group) => group !== ''));
    const target = [...merged][0] ?? `copies of ${samples[members[0]].id}`;
    for (const i of members) groups[i] = target;
    for (let i = 0; i < groups.length; i++) if (merged.has(groups[i])) groups[i] = target;
  }
  return groups.some((group) => group !== '') ? groups : undefined;
}
