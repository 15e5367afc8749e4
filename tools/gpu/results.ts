/** What parts of tools/gpu.ts have come to, and where that is kept. */
import { constants, copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Outcome {
  readonly part: string;
  readonly seconds: number;
  /** `not run`: on something it was to run on, for the reason that `why` gives. */
  readonly result: 'passed' | 'failed' | 'ended at the limit' | 'not begun' | 'not run';
  readonly why?: string;
  readonly file?: string;
}

/** Tests that want files, not a device. */
const wantsFixtures = "MXNet's operator fixtures";

/**
 * What a part that ended well has passed over all the same, or undefined: tests say what they skip, and a benchmark's report what it
 * measured.
 *
 * @param said what the part printed
 * @param report a benchmark's
 */
export function passedOver(
  said: string, devices: readonly string[], report?: { readonly devices: readonly { readonly kind: string; readonly software?: boolean }[] },
): string | undefined {
  const skipped = [...said.matchAll(/^# skip: (.*?) # (.*)$/gm)].find(([, what]) => what !== wantsFixtures);
  if (skipped !== undefined) return `${skipped[1]} was skipped: ${skipped[2]}`;
  if (report === undefined) return undefined;
  const measured = (name: string): boolean =>
    report.devices.some(({ kind, software }) => kind === name.split(':')[0] && !(name === 'webgpu' && software === true));
  const lacking = devices.filter((name) => !measured(name));
  return lacking.length === 0 ? undefined : `the report has no figures of ${lacking.join(' and ')}`;
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
