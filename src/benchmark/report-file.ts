/** The JSON file of a run, read and written. */
import { FormatError } from '../errors.ts';
import { nodeFiles, readText, writeWhole } from '../train/files.ts';
import type { Report } from './types.ts';

const digits = 5;

/** Writes a report; numbers keep five digits, which is more than any clock has. */
export async function writeReport(file: string, report: Report): Promise<void> {
  const rounded = (_: string, x: unknown): unknown => (typeof x === 'number' && !Number.isInteger(x) ? Number(x.toPrecision(digits)) : x);
  // A line a row: differences between files show in version control.
  const { rows, probes, ...head } = report;
  const lines = (items: readonly unknown[]): string => items.map((item) => `  ${JSON.stringify(item, rounded)}`).join(',\n');
  const text = `{\n${Object.entries(head).map(([key, value]) => `"${key}": ${JSON.stringify(value, rounded)}`).join(',\n')},\n`
    + `"probes": [\n${lines(probes)}\n],\n"rows": [\n${lines(rows)}\n]\n}\n`;
  await writeWhole(await nodeFiles(), file, text);
}

/** @throws FormatError naming the file and what is wrong with it; DataError where it cannot be read */
export async function readReport(file: string): Promise<Report> {
  const text = await readText(await nodeFiles(), file);
  let report: Report;
  try {
    report = JSON.parse(text) as Report;
  } catch (cause) {
    throw new FormatError(`${file}: is no JSON: ${(cause as Error).message}`, { cause });
  }
  if (report?.format !== 1) {
    throw new FormatError(`${file}: "format" is ${JSON.stringify(report?.format)}, expected 1: a file that fovea bench --out wrote`);
  }
  const whole = Array.isArray(report.rows) && report.rows.every((row) =>
    typeof row?.name === 'string' && Array.isArray(row.entries)
    && row.entries.every((e: { milliseconds?: unknown } | undefined) => Array.isArray(e?.milliseconds)));
  if (!whole) throw new FormatError(`${file}: "rows" should be a list of rows with entries and their milliseconds`);
  return report;
}
