/** Tables of labels: CSV (comma, semicolon or tab) to rows of strings, and the columns that mean something in them. */
import type * as CsvParse from 'csv-parse/sync';
import { DataError, OptionError } from '../errors.ts';
import { fileReason } from './decode.ts';
import { didYouMean } from '../nearest.ts';
import { importNode, importPackage } from './node.ts';

export interface Table {
  /** What errors call it: the path it was read from. */
  readonly name: string;
  readonly columns: readonly string[];
  /** One record a row, every column present; an absent cell is ''. Cells are trimmed. */
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** The columns that a table of images may have. */
export const roles = ['file', 'label', 'patient', 'split', 'group'] as const;
export type ColumnRole = (typeof roles)[number];
export type Columns = Partial<Record<ColumnRole, string>>;

/** Names taken for each role where no option says otherwise, first match first; case, spaces, - and _ do not count. */
const usualNames: Record<ColumnRole, readonly string[]> = {
  file: ['image', 'file', 'filename', 'imagename', 'imagefile', 'imageid', 'idcode', 'path', 'imagepath', 'name', 'id'],
  label: ['label', 'dr', 'infected', 'target', 'class', 'diagnosis', 'level', 'grade', 'drgrade', 'retinopathygrade'],
  patient: ['patient', 'patientid', 'subject', 'subjectid', 'person', 'personid'],
  split: ['split', 'set', 'subset', 'partition', 'usage'],
  group: ['group', 'duplicategroup', 'duplicateof'],
};

/**
 * Reads a CSV file with a header line. The delimiter is whichever of , ; and tab the header has most of.
 *
 * @throws DataError naming the file, and the line where there is one, where it is missing, ragged or empty.
 */
export async function readTable(path: string): Promise<Table> {
  const { readFile } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a table');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new DataError(`${path}: ${fileReason(cause)}`, { cause });
  }
  return parseTable(text, path);
}

/**
 * Parses CSV text with a header line.
 *
 * @throws DataError where a line has another number of cells than the header, a column name is empty or there twice.
 */
export async function parseTable(text: string, name = 'table'): Promise<Table> {
  const { parse } = await importPackage<typeof CsvParse>('csv-parse/sync', 'reading a CSV file');
  let records: string[][];
  try {
    records = parse(text, { bom: true, trim: true, skip_empty_lines: true, delimiter: delimiterOf(text) });
  } catch (cause) {
    throw new DataError(`${name}: ${(cause as Error).message}`, { cause });
  }
  if (records.length === 0) throw new DataError(`${name}: empty, where a header line was expected`);
  const [columns, ...cells] = records;
  for (const [index, column] of columns.entries()) {
    if (column === '') throw new DataError(`${name}: column ${index + 1} has no name`);
    if (columns.indexOf(column) !== index) throw new DataError(`${name}: two columns are named '${column}'`);
  }
  const rows = cells.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));
  return { name, columns, rows };
}

function delimiterOf(text: string): string {
  const header = text.slice(0, text.search(/[\r\n]|$/)).replace(/"[^"]*"/g, '');
  const count = (character: string) => header.split(character).length - 1;
  return [',', ';', '\t'].reduce((best, next) => (count(next) > count(best) ? next : best));
}

/**
 * Which column has which role: the one asked for, else the first of the usual names that the table has.
 *
 * @throws OptionError for a column asked for that is not there, with those that are, or an unknown role.
 */
export function resolveColumns(table: Table, asked: Columns = {}): Columns {
  const found: Columns = {};
  for (const role of Object.keys(asked)) {
    if (!(roles as readonly string[]).includes(role)) {
      throw new OptionError(`unknown column role '${role}': one of ${roles.join(', ')}${didYouMean(role, roles)}`);
    }
  }
  for (const role of roles) {
    const wanted = asked[role];
    if (wanted !== undefined) {
      if (!table.columns.includes(wanted)) {
        const hint = didYouMean(wanted, table.columns) || ';';
        throw new OptionError(`${table.name} has no column '${wanted}' for ${role}${hint} ` +
          `columns: ${table.columns.join(', ')}`);
      }
      found[role] = wanted;
      continue;
    }
    for (const usual of usualNames[role]) {
      const column = table.columns.find((name) => plain(name) === usual);
      if (column !== undefined) {
        found[role] = column;
        break;
      }
    }
  }
  return found;
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
