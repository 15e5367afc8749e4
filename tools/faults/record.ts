/** The record of runs: FILE.json, which later runs of other faults add to, and the same as a table, FILE.md. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Fault } from './fault.ts';
import { commandOf } from './fault.ts';
import type { Failure, Verdict } from './verdict.ts';

export interface Entry {
  readonly name: string;
  readonly device: 'cpu' | 'webgpu';
  readonly kernel: string;
  readonly what: string;
  readonly verdict: Verdict;
  /** The test that failed, and the first line of its message. */
  readonly failure?: Failure;
  readonly command: string;
  /** Of building and testing with the fault. */
  readonly seconds: number;
}

export function entryOf({ name, file, what, test }: Fault, verdict: Verdict, seconds: number, failure?: Failure): Entry {
  return {
    name, device: test.runner, kernel: file, what, verdict, ...(failure && { failure: { ...failure, message: failure.message.slice(0, 200) } }),
    command: commandOf(test), seconds: Number(seconds.toFixed(1)),
  };
}

/** Writes both files: entries of the faults listed, what is new in place of what was there. */
export function record(file: string, faults: readonly Fault[], fresh: readonly Entry[]): void {
  const json = `${file}.json`;
  const before = existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Entry[]) : [];
  const known = new Map([...before, ...fresh].map((entry) => [entry.name, entry]));
  const entries = faults.map(({ name }) => known.get(name)).filter((entry) => entry !== undefined);
  // Renamed when it is whole: a run that is stopped leaves the record readable.
  writeFileSync(`${json}.new`, `${JSON.stringify(entries, undefined, 2)}\n`);
  renameSync(`${json}.new`, json);
  writeFileSync(`${file}.md`, markdown(entries));
}

export function markdown(entries: readonly Entry[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const caught = entries.filter(({ verdict }) => verdict === 'caught').length;
  const tried = entries.filter(({ verdict }) => verdict !== 'not tried').length;
  const rows = entries.map(({ name, kernel, what, verdict, failure, seconds }) =>
    `| ${[name, kernel, what, verdict, failure?.test ?? '', String(seconds)].map(cell).join(' | ')} |`);
  return [
    `# Faults seeded into kernels: ${caught} of ${tried} caught`, '',
    '| fault | kernel | what is wrong | verdict | the test that failed | s |', '|---|---|---|---|---|---|', ...rows, '',
  ].join('\n');
}
