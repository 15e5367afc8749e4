/** The JSON file of a run, read and written. */
import * as v from 'valibot';
import { FormatError } from '../errors.ts';
import { nodeFiles, readText, writeWhole } from '../train/files.ts';
import type { Report } from './types.ts';
import { groups } from './types.ts';

const digits = 5;

/** What is read of a file must be there; the rest may be, in files of other versions too. */
const figures = v.array(v.number());
const words = v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]));
const schema = v.looseObject({
  machine: words, options: v.record(v.string(), v.unknown()), peers: v.array(v.looseObject({ name: v.string() })), failures: v.array(v.string()),
  devices: v.array(v.looseObject({ name: v.string(), kind: v.string(), fingerprint: words })),
  probes: v.array(v.looseObject({ device: v.string(), what: v.string(), value: v.number(), unit: v.string(), milliseconds: figures })),
  rows: v.array(v.looseObject({
    group: v.picklist(groups), device: v.string(), name: v.string(), layers: v.array(v.string()), flop: v.number(), bytes: v.number(),
    entries: v.array(v.looseObject({ contestant: v.string(), milliseconds: figures })),
  })),
});

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
  const checked = v.safeParse(schema, report, { abortEarly: true });
  if (!checked.success) {
    const [issue] = checked.issues;
    const at = (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('').slice(1);
    const given = issue.input === undefined ? 'is missing' : `is ${JSON.stringify(issue.input).slice(0, 40)}, expected ${expectedOf(issue.type)}`;
    throw new FormatError(`${file}: "${at}" ${given}: a file that fovea bench --out wrote was expected`);
  }
  return report;
}

/** By the schema's types. */
const expected: Readonly<Record<string, string>> = {
  string: 'a string', number: 'a number', array: 'a list', record: 'an object', loose_object: 'an object', union: 'a string, a number or a boolean',
  picklist: `one of ${groups.join(', ')}`,
};

const expectedOf = (type: string): string => expected[type] ?? type;
