/**
 * Listings: which photographs there are, with what label and patient, and which were left out and why. Folders (folder.ts) and record
 * files (records.ts) are read into samples; what follows is the same for both.
 */
import { DataError, OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { compileCondition } from './condition.ts';
import type { Condition } from './condition.ts';
import { checkLabelled } from './dataset.ts';
import type { Labelled } from './dataset.ts';
import { resolveColumns } from './table.ts';
import type { Columns, Table } from './table.ts';

export interface ListingOptions {
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

/** The encoded photographs of a listing, JPEG or PNG. */
export interface ImageStore {
  /** What tells that sample i's bytes are those that were seen before: JSON. */
  stamps(): Promise<unknown>;
  open(): Promise<ImageReader>;
}

export interface ImageReader {
  /** Of sample i. @throws DataError naming the file where it cannot be read */
  read(index: number): Promise<Uint8Array>;
  close(): void;
}

export interface Listing extends Labelled {
  readonly name: string;
  readonly images: ImageStore;
  readonly rejected: readonly Rejected[];
  /** What the user should know: no patient column, images that no row names. */
  readonly warnings: readonly string[];
  /** What decided the labels: a column, an expression, folders. */
  readonly labelSource: string;
}

/** A photograph as its source describes it. */
export interface Sample {
  id: string;
  /** A label as written, or as the expression decides ('0', '1'). */
  label: string;
  /** '' where it is not known. */
  patient: string;
  split: string;
  group: string;
}

export const imageExtension = /\.(jpe?g|png)$/i;
const healthyNames = /^(0|healthy|normal|negative|none|no|no[ _-]?dr|false)$/i;

/** 'N images left out: a.jpg (no such file), ... and M more'; '' for none. */
export function describeRejected(rejected: readonly Rejected[], most = 5): string {
  if (rejected.length === 0) return '';
  const named = rejected.slice(0, most).map(({ file, reason }) => `${file} (${reason})`).join(', ');
  const more = rejected.length > most ? ` and ${rejected.length - most} more` : '';
  return `${rejected.length} image${rejected.length === 1 ? '' : 's'} left out: ${named}${more}`;
}

const stem = (name: string) => name.replace(imageExtension, '');
const base = (name: string) => name.slice(name.lastIndexOf('/') + 1);
/** The names that a table or an option may call a file by. */
export const namesOf = (id: string) => [id, stem(id), base(id), stem(base(id))];

/** How the rows of a table become samples. */
export interface RowRule {
  readonly columns: Columns;
  /** What decides the labels: a column, an expression. */
  readonly labelSource: string;
  /** What a row says, or why it cannot be used. */
  read(row: Table['rows'][number]): Omit<Sample, 'id'> | string;
}

/** @throws OptionError for a column or name that is not there; DataError for a table that has no label */
export async function rowRule(table: Table, options: ListingOptions): Promise<RowRule> {
  const columns = resolveColumns(table, options.columns);
  const { positive } = options;
  if (positive !== undefined && options.columns?.label !== undefined) {
    throw new OptionError("give either a label column or an expression ('positive'), not both");
  }
  const condition = positive === undefined ? undefined : await compileCondition(positive, table.columns);
  if (condition === undefined && columns.label === undefined) {
    throw new DataError(`${table.name}: no label column: name it, or give an expression ('positive'). Columns: ${table.columns.join(', ')}`);
  }
  const cell = (row: Table['rows'][number], column: string | undefined): string => (column === undefined ? '' : row[column]);
  return {
    columns,
    labelSource: condition ? condition.text : `column '${columns.label}'`,
    read(row) {
      const label = labelOf(row, columns.label, condition);
      if (label.error !== undefined) return label.error;
      return { label: label.value, patient: cell(row, columns.patient), split: cell(row, columns.split), group: cell(row, columns.group) };
    },
  };
}

type RowLabel = { value: string; error?: undefined } | { value?: undefined; error: string };

/** A row's label: what the expression decides, else what stands in the column. */
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

/** Leaves out samples by name. @throws OptionError for a name that is not there */
export function exclude<T extends Sample>(samples: readonly T[], names: readonly string[], rejected: Rejected[], source: string): T[] {
  const matches = (sample: Sample, name: string) => namesOf(sample.id).includes(name);
  for (const name of names) {
    if (!samples.some((sample) => matches(sample, name)) && !rejected.some(({ file }) => stem(file) === stem(name))) {
      throw new OptionError(`${source} has no image '${name}' to leave out`);
    }
  }
  return samples.filter((sample) => {
    const out = names.some((name) => matches(sample, name));
    if (out) rejected.push({ file: sample.id, reason: 'excluded by option' });
    return !out;
  });
}

/**
 * The listing of samples: classes in order, patients, groups.
 *
 * @throws OptionError, DataError as `openFolder`
 */
export function makeListing(
  name: string, samples: readonly Sample[], images: ImageStore, labelSource: string, options: ListingOptions,
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
    name, length: samples.length, classes, labels, images, labelSource, rejected, warnings,
    ids: samples.map((sample) => sample.id),
    // A sample without a patient must not meet a patient who happens to be called like its file.
    patients: samples.map((sample) => sample.patient || (known ? `image ${sample.id}` : sample.id)),
    splits: samples.some((sample) => sample.split) ? samples.map((sample) => sample.split) : undefined,
    groups: groupsOf(name, samples, options.duplicates ?? []),
  });
}

/** Classes in order and each sample's index among them. */
function classify(name: string, samples: readonly Sample[], options: ListingOptions) {
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
