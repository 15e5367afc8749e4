/**
 * A `.rec` of images as a listing: a table of its own, with a row a record and the columns record (its key), id, id2, label, and
 * label_1, label_2, ... where it packs several. Nothing but headers is read here; see cache.ts.
 */
import type * as Path from 'node:path';
import { DataError, FormatError, OptionError } from '../errors.ts';
import { unpackImage } from '../formats/image-record.ts';
import type { ImageRecord } from '../formats/image-record.ts';
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

/**
 * Lists the images of a record file. Labels are numbers: those of the column `label`, or what `positive` makes of the columns.
 *
 * @throws OptionError for an option that names what is not there, and for `table`: records have their labels with them
 * @throws DataError, FormatError where the file or its index cannot be read or nothing usable is left; records that cannot be used, and
 *   stretches that are none, are in `rejected`
 */
export async function openRecords(path: string, options: FolderOptions & OpenRecordsOptions = {}): Promise<Listing> {
  if (options.table !== undefined) throw new OptionError(`${path} holds its labels: a CSV (${options.table}) does not go with it`);
  const { basename } = await importNode<typeof Path>('node:path', 'a record file');
  const file = await RecordFile.open(path, options);
  try {
    const name = basename(path);
    const rejected: Rejected[] = file.damage.map(({ offset, bytes, reason }) =>
      ({ file: `${name}, byte ${offset}`, reason: `${bytes} bytes are no record: ${reason}` }));
    for (const { key, offset } of file.lost) rejected.push({ file: `${name}/${key}`, reason: `byte ${offset} is beyond the end: the file was cut short` });
    const { table, records } = readHeaders(file, name, rejected);
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
    if (rule.labelSource === "column 'label'" && table.columns.includes('label_1')) {
      warnings.push(`${path}: records have several labels (${table.columns.filter((c) => c.startsWith('label')).join(', ')}): the first is taken`);
    }
    return makeListing(path, left, storeOf(file, left), rule.labelSource, options, rejected, warnings);
  } finally {
    file.close();
  }
}

/** A row a record whose header can be read, and that record's number. */
function readHeaders(file: RecordFile, name: string, rejected: Rejected[]): { table: Table; records: number[] } {
  const heads: { head: ImageRecord; record: number }[] = [];
  for (let i = 0; i < file.length; i++) {
    try {
      heads.push({ head: unpackImage(headerOf(file, i), { file: file.path }), record: i });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      rejected.push({ file: `${name}/${file.keys[i]}`, reason: error.message.replace(`${file.path}: `, '') });
    }
  }
  // Without an index records are known by the ids that they bear, where these tell them apart.
  const byId = file.index === undefined && new Set(heads.map(({ head }) => head.id)).size === heads.length;
  const most = heads.reduce((n, { head }) => Math.max(n, head.labels.length), 1);
  const labels = Array.from({ length: most }, (_, k) => (k === 0 ? 'label' : `label_${k}`));
  const rows = heads.map(({ head, record }): Record<string, string> => ({
    record: String(byId ? head.id : file.keys[record]), id: String(head.id), id2: String(head.id2),
    ...Object.fromEntries(labels.map((column, k) => [column, k < head.labels.length ? String(head.labels[k]) : ''])),
  }));
  return { table: { name: file.path, columns: ['record', 'id', 'id2', ...labels], rows }, records: heads.map(({ record }) => record) };
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
