/** What parts of tools/gpu.ts have come to, and where that is kept. */
import { constants, copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry, Report } from '../../src/benchmark/types.ts';
import { operatorFixtures } from '../../test/support/python.ts';
import type { Part } from './parts.ts';

export interface Outcome {
  readonly part: string;
  readonly seconds: number;
  /** `not run`: on something it was to run on, for the reason that `why` gives. */
  readonly result: 'passed' | 'failed' | 'ended at the limit' | 'interrupted' | 'not begun' | 'not run';
  readonly why?: string;
  readonly file?: string;
}

/** Whether there are parts, and each has passed on all that it was to run on. */
export const allPassed = (outcomes: readonly Outcome[]): boolean => outcomes.length > 0 && outcomes.every(({ result }) => result === 'passed');

type Figures = Pick<Report, 'rows'> & { readonly devices: readonly Pick<Report['devices'][number], 'kind' | 'contestant' | 'software'>[] };

const hasTimes = ({ milliseconds }: Entry): boolean => milliseconds.length > 0;

const kindOf = (name: string): string => name.split(':')[0];

/** Whether a report has times of ours on a device: one that was opened may have had no room or no kernel in any row. */
function isMeasured(name: string, devices: Part['devices'], report: Figures): boolean {
  const kind = kindOf(name);
  const several = new Set(devices.filter((other) => kindOf(other) === kind)).size > 1;
  const asked = `fovea, ${name.replace(/^webgpu:/, '')}, `;
  const ours = report.devices.filter((one) =>
    one.kind === kind && !(name === 'webgpu' && one.software) && (!several || `${one.contestant}, `.startsWith(asked)));
  // Ways of a step are named behind its contestant.
  return report.rows.some(({ device, entries }) => device === kind && entries.some((entry) =>
    hasTimes(entry) && ours.some(({ contestant }) => `${entry.contestant}, `.startsWith(`${contestant}, `))));
}

/**
 * What a part that ended well has passed over all the same, or undefined: tests say what they skip, and a benchmark's report what it
 * measured.
 *
 * @param said what the part printed
 * @param report a benchmark's, where it wrote one
 */
export function passedOver(said: string, part: Pick<Part, 'devices' | 'report' | 'peers'>, report?: Figures): string | undefined {
  // These want files, not a device.
  const skipped = [...said.matchAll(/^# skip: (.*?) # (.*)$/gm)].find(([, what]) => what !== operatorFixtures);
  if (skipped !== undefined) return `${skipped[1]} was skipped: ${skipped[2]}`;
  if (!part.report) return undefined;
  if (report === undefined) return 'it wrote no report';
  const entries = report.rows.flatMap((row) => row.entries);
  const lacking = [
    ...part.devices.filter((name) => !isMeasured(name, part.devices, report)),
    ...(part.peers ?? []).filter((name) => !entries.some((entry) => entry.contestant === name && hasTimes(entry))),
  ];
  return lacking.length === 0 ? undefined : `the report has no times of ${lacking.join(' and ')}`;
}

/**
 * Copies the reports of the parts that passed to another folder, and the file that says what became of each part; what is there already stays.
 * Returns a line for each.
 */
export function keep(from: string, outcomes: readonly Outcome[], about: string, to: string): string[] {
  const reports = outcomes.flatMap(({ result, file }) => (result === 'passed' && file?.endsWith('.json') ? [file] : []));
  if (reports.length === 0) return ['nothing to keep'];
  mkdirSync(to, { recursive: true });
  return [...reports, about].map((file) => {
    const path = join(to, file);
    if (existsSync(path)) return `not kept: ${path} is there already`;
    copyFileSync(join(from, file), path, constants.COPYFILE_EXCL);
    return `kept: ${path}`;
  });
}
