/** The record of runs: FILE.json, which later runs of other faults add to, and the same as a table, FILE.md. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Fault } from './fault.ts';
import { commandOf } from './fault.ts';
import type { Failure, Verdict } from './verdict.ts';

/** What came of a fault. */
export interface Result {
  readonly fault: Fault;
  readonly verdict: Verdict;
  readonly failure?: Failure;
  /** Of building and testing with the fault. */
  readonly seconds: number;
  /** What the test said, or, of a fault that was not tried, why not. */
  readonly output: string;
}

export interface Entry {
  readonly name: string;
  readonly device: 'cpu' | 'webgpu' | 'cuda-host';
  readonly kernel: string;
  readonly what: string;
  readonly verdict: Verdict;
  /** The test that failed, and the first line of its message. */
  readonly failure?: Failure;
  /** Why it was not tried. */
  readonly reason?: string;
  readonly command: string;
  readonly seconds: number;
}

export function entryOf({ fault: { name, file, what, test }, verdict, failure, seconds, output }: Result): Entry {
  return {
    name, device: test.runner, kernel: file, what, verdict, ...(failure && { failure: { ...failure, message: failure.message.slice(0, 200) } }),
    ...(verdict === 'not tried' && { reason: output }), command: commandOf(test), seconds: Number(seconds.toFixed(1)),
  };
}

/** What FILE.json holds: nothing where there is none. */
export function readRecord(file: string): Entry[] {
  const json = `${file}.json`;
  return existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Entry[]) : [];
}

/** Writes both files: entries of the faults listed, what is new in place of what was there. */
export function record(file: string, faults: readonly Fault[], fresh: readonly Entry[]): void {
  const json = `${file}.json`;
  const known = new Map([...readRecord(file), ...fresh].map((entry) => [entry.name, entry]));
  const entries = faults.map(({ name }) => known.get(name)).filter((entry) => entry !== undefined);
  // Renamed when it is whole: a run that is stopped leaves the record readable.
  writeFileSync(`${json}.new`, `${JSON.stringify(entries, undefined, 2)}\n`);
  renameSync(`${json}.new`, json);
  writeFileSync(`${file}.md`, markdown(entries));
}

export function markdown(entries: readonly Entry[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
    [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  const count = (verdict: Verdict, among: readonly Entry[]): number => among.filter((entry) => entry.verdict === verdict).length;
  const kinds = ([['cpu', 'WASM'], ['webgpu', 'WGSL'], ['cuda-host', 'CUDA']] as const).map(([device, kind]) => {
    const own = entries.filter((entry) => entry.device === device);
    const numbers = [own.length, count('caught', own), own.length - count('caught', own) - count('not tried', own), count('not tried', own)];
    return [`${device} (${kind})`, ...numbers.map(String)];
  });
  return [
    `# Faults seeded into kernels: ${count('caught', entries)} of ${entries.length - count('not tried', entries)} caught`, '',
    'Written by `tools/faults.ts --out`. A fault is caught where a test ran and failed. The JSON file beside this one has the message of each, and '
      + 'the command.', '',
    ...table(['kernels', 'faults', 'caught', 'not caught', 'not tried'], kinds), '',
    ...table(
      ['fault', 'kernel', 'what is wrong', 'verdict', 'the test that failed, or why it was not tried', 's'],
      entries.map(({ name, kernel, what, verdict, failure, reason, seconds }) =>
        [name, kernel, what, verdict, failure?.test ?? reason ?? '', String(seconds)]),
    ), '',
  ].join('\n');
}
