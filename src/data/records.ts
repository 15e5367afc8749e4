/**
 * A `.rec` of images as a listing: a table of its own, with a row a record and the columns record (its key), id, id2, label, and
 * label_1, label_2, ... where it packs several; where a `.lst` is given, its labels and a column path. Nothing but headers is read here; see
 * cache.ts.
 */
import type * as Path from 'node:path';
import { DataError, FormatError, OptionError } from '../errors.ts';
import { unpackImage } from '../formats/image-record.ts';
import type { ImageRecord } from '../formats/image-record.ts';
import { parseList } from '../formats/record-list.ts';
import { readBytes } from './decode.ts';
import type { FolderOptions } from './folder.ts';
import { exclude, makeListing, rowRule } from './listing.ts';
import type { ImageStore, Listing, Rejected, Sample } from './listing.ts';
import { importNode } from './node.ts';
import { RecordFile } from './record-file.ts';
import type { OpenRecordsOptions } from './record-file.ts';
import type { Table } from './table.ts';

const HEADER = 24;
/** Labels that the first reading of a header brings along. */
const USUAL_LABELS = 8;

export const isRecordFile = (path: string): boolean => /\.rec$/i.test(path);

/** A sample with its record's number. */
interface Packed extends Sample {
  record: number;
}

export interface RecordsOptions extends Omit<FolderOptions, 'table'>, OpenRecordsOptions {
  /** A `.lst`, whose labels and paths take the place of what records say, by the ids that they bear: MXNet's `path_imglist`. */
  table?: string;
  /**
   * Of the records only the run number `index`, from 0, of `count` of one length, the last of which may be shorter: a worker's share, MXNet's
   * `part_index` and `num_parts` (which without an index cuts by bytes instead).
   */
  part?: { readonly index: number; readonly count: number };
}

/**
 * Lists the images of a record file. Labels are numbers: those of the column `label`, or what `positive` makes of the columns.
 *
 * @throws OptionError for an option that names what is not there, a `table` that is no `.lst`, a `part` that is none
 * @throws DataError, FormatError where the file, its index or list cannot be read or nothing usable is left; records that cannot be used,
 *   and stretches that are none, are in `rejected`
 */
export async function openRecords(path: string, options: RecordsOptions = {}): Promise<Listing> {
  const { table: listPath, part = { index: 0, count: 1 } } = options;
  if (listPath !== undefined && !/\.lst$/i.test(listPath)) {
    throw new OptionError(`${path} holds its labels: a CSV (${listPath}) does not go with it, only a .lst of other labels`);
  }
  const { index, count } = part;
  if (!(Number.isInteger(count) && count >= 1 && Number.isInteger(index) && index >= 0 && index < count)) {
    throw new OptionError(`part: expected an index from 0 to below a count, got index ${index} of ${count}`);
  }
  const list = listPath === undefined ? undefined : await readList(listPath);
  const { basename } = await importNode<typeof Path>('node:path', 'a record file');
  const file = await RecordFile.open(path, options);
  try {
    const name = basename(path);
    const length = Math.ceil(file.length / count);
    const [first, last] = [index * length, (index + 1) * length];
    const rejected: Rejected[] = file.damage.filter(({ offset }) => {
      // Told by the part that has the record behind it, or the last one.
      const behind = file.offsets.findIndex((o) => o > offset);
      return behind < 0 ? last >= file.length : behind >= first && behind < last;
    }).map(({ offset, bytes, reason }) => ({ file: `${name}, byte ${offset}`, reason: `${bytes} bytes are no record: ${reason}` }));
    for (const { key, offset } of last >= file.length ? file.lost : []) {
      rejected.push({ file: `${name}/${key}`, reason: `byte ${offset} is beyond the end: the file was cut short` });
    }
    const { table, records, unused } = readHeaders(file, { name, list, first, last }, rejected);
    const rule = await rowRule(table, options);
    const samples: Packed[] = [];
    table.rows.forEach((row, k) => {
      const said = rule.read(row);
      const id = `${name}/${row.record}`;
      if (typeof said === 'string') rejected.push({ file: id, reason: said });
      else if (!/^\d+$/.test(said.label)) rejected.push({ file: id, reason: `label ${said.label} is no class; an expression may tell: 'label > 0.5'` });
      else samples.push({ id, ...said, record: records[k] });
    });
    const left = exclude(samples, options.exclude ?? [], rejected, path);
    const warnings: string[] = [];
    if (unused > 0) warnings.push(`${unused} of the ${list!.entries.size} images of ${list!.path} are not in ${path}`);
    const byColumn = rule.labelSource === "column 'label'";
    if (byColumn && table.columns.includes('label_1')) {
      warnings.push(`${path}: records have several labels (${table.columns.filter((c) => c.startsWith('label')).join(', ')}): the first is taken`);
    }
    const labelSource = byColumn && list !== undefined ? `${rule.labelSource} of ${list.path}` : rule.labelSource;
    return makeListing(path, left, storeOf(file, left), labelSource, options, rejected, warnings);
  } finally {
    file.close();
  }
}

/** A `.lst` by the ids of its images. */
interface LabelList {
  readonly path: string;
  readonly entries: ReadonlyMap<bigint, { readonly labels: readonly number[]; readonly path: string }>;
}

async function readList(path: string): Promise<LabelList> {
  const text = new TextDecoder().decode(await readBytes(path, path));
  return { path, entries: new Map(parseList(text, { file: path }).map((entry) => [BigInt(entry.key), entry])) };
}

/** Which records' headers are asked for, and where their labels come from. */
interface Asked {
  /** The file's. */
  readonly name: string;
  readonly list: LabelList | undefined;
  readonly first: number;
  readonly last: number;
}

interface Headers {
  /** A row a record whose header can be read. */
  readonly table: Table;
  /** Their numbers. */
  readonly records: readonly number[];
  /** How many of the list's images no record is. */
  readonly unused: number;
}

function readHeaders(file: RecordFile, { name, list, first, last }: Asked, rejected: Rejected[]): Headers {
  const isAsked = (record: number): boolean => record >= first && record < last;
  const all: { head: ImageRecord; record: number }[] = [];
  for (let i = 0; i < file.length; i++) {
    try {
      all.push({ head: unpackImage(headerOf(file, i), { file: file.path }), record: i });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      if (isAsked(i)) rejected.push({ file: `${name}/${file.keys[i]}`, reason: error.message.replace(`${file.path}: `, '') });
    }
  }
  // Without an index records are known by the ids that they bear, where these tell them apart: all of them, whichever are asked for.
  const ids = new Set(all.map(({ head }) => head.id));
  const byId = file.index === undefined && ids.size === all.length;
  const known = all.filter(({ record }) => isAsked(record)).flatMap(({ head, record }) => {
    const called = String(byId ? head.id : file.keys[record]);
    const entry = list?.entries.get(head.id);
    if (list === undefined || entry !== undefined) return [{ head, record, called, labels: entry?.labels ?? head.labels, path: entry?.path }];
    rejected.push({ file: `${name}/${called}`, reason: `image ${head.id} is not in ${list.path}` });
    return [];
  });
  const most = known.reduce((n, { labels }) => Math.max(n, labels.length), 1);
  const labelColumns = Array.from({ length: most }, (_, k) => (k === 0 ? 'label' : `label_${k}`));
  const rows = known.map(({ head, called, labels, path }): Record<string, string> => ({
    record: called, id: String(head.id), id2: String(head.id2), ...(path === undefined ? {} : { path }),
    ...Object.fromEntries(labelColumns.map((column, k) => [column, Number.isFinite(labels[k]) ? String(labels[k]) : ''])),
  }));
  const columns = ['record', 'id', 'id2', ...(list === undefined ? [] : ['path']), ...labelColumns];
  const unused = [...list?.entries.keys() ?? []].filter((id) => !ids.has(id)).length;
  return { table: { name: file.path, columns, rows }, records: known.map(({ record }) => record), unused };
}

/** What records are called: by the keys of the index or, where there is none, by the ids that they bear, where these tell them apart. */
export function recordNames(file: RecordFile): string[] {
  const keys = file.keys.map(String);
  if (file.index !== undefined) return keys;
  const ids = keys.map((_, i) => {
    try {
      return String(unpackImage(headerOf(file, i), { file: file.path }).id);
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  });
  const known = ids.filter((id) => id !== undefined);
  return new Set(known).size === known.length ? ids.map((id, i) => id ?? keys[i]) : keys;
}

/** Header and labels of a record, without its image. */
function headerOf(file: RecordFile, i: number): Uint8Array {
  const head = file.head(i, HEADER + 4 * USUAL_LABELS);
  if (head.length < HEADER) return head;
  const flag = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
  return flag <= USUAL_LABELS ? head : file.head(i, HEADER + 4 * flag);
}

function storeOf(file: RecordFile, samples: readonly Packed[]): ImageStore {
  const stamp = { ...file.stamp(), records: samples.map(({ record }) => file.offsets[record]) };
  return {
    stamps: async () => stamp,
    async open() {
      const opened = file.reopen();
      return { read: async (index) => imageOf(opened, samples[index].record, samples[index].id), close: () => opened.close() };
    },
  };
}

/** The encoded image of record i. @throws DataError with the name and the byte where no whole record is there */
export function imageOf(file: RecordFile, i: number, name: string): Uint8Array {
  try {
    return unpackImage(file.read(i), { file: file.path }).image;
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new DataError(`${name}: ${cause.message.replace(`${file.path}: `, '')}`, { cause });
  }
}
