/** What got slower from one report to another. */
import { BenchmarkError } from '../errors.ts';
import { wasAsked } from './asked.ts';
import { quantile, median } from './statistics.ts';
import type { Entry, Report, Row } from './types.ts';

export interface Change {
  readonly row: string;
  readonly device: string;
  readonly contestant: string;
  /** Median milliseconds. */
  readonly before: number;
  readonly after: number;
  /** after / before. */
  readonly ratio: number;
  readonly verdict: 'slower' | 'faster' | 'same';
}

/** One of ours that has times before and none after, though the second run was asked for it. */
export interface Loss {
  readonly row: string;
  readonly device: string;
  readonly contestant: string;
  readonly why: string;
}

export interface Comparison {
  /** The slowest first. */
  readonly changes: readonly Change[];
  readonly lost: readonly Loss[];
  /** How many of ours the second run was not asked for, by its options. */
  readonly unasked: number;
  /** What else differs, so that a change need not be the code's doing. */
  readonly warnings: readonly string[];
}

/** Why a row is lost that the second file has not. */
export const notThere = 'not in the file';

/** A change below this share is none, however steady the figures. */
export const leastChange = 0.05;

/**
 * Compares medians of our own contestants. A change counts where it is larger than 5 % and the quartiles do not overlap: the quicker
 * half's upper quartile lies below the slower's lower one.
 *
 * @throws BenchmarkError where rows of one name are of different work: kernels of other batches
 */
export function compareReports(before: Report, after: Report): Comparison {
  assertSameWork(before, after);
  const later = new Map(after.rows.flatMap((row) => row.entries.map((e) => [keyOf(row, e), e] as const)));
  const changes: Change[] = [];
  const lost: Loss[] = [];
  const isAsked = wasAsked(after);
  let unasked = 0;
  for (const row of before.rows) {
    for (const old of row.entries) {
      const { contestant, milliseconds } = old;
      if (!contestant.startsWith('fovea') || milliseconds.length === 0) continue;
      const now = later.get(keyOf(row, old));
      const where = { row: row.name, device: row.device, contestant };
      if (now === undefined && !isAsked(row, contestant)) unasked++;
      else if (now === undefined || now.milliseconds.length === 0) {
        lost.push({ ...where, why: now?.failed === undefined ? now?.absent ?? notThere : `failed: ${now.failed}` });
      } else changes.push({ ...where, ...changeOf(milliseconds, now.milliseconds) });
    }
  }
  return { changes: changes.sort((a, b) => b.ratio - a.ratio), lost, unasked, warnings: differences(before, after) };
}

function changeOf(old: readonly number[], now: readonly number[]): Pick<Change, 'before' | 'after' | 'ratio' | 'verdict'> {
  const [before, after] = [median(old), median(now)];
  const ratio = after / before;
  const [low, high] = ratio > 1 ? [old, now] : [now, old];
  const apart = quantile(low, 0.75) < quantile(high, 0.25) && Math.max(ratio, 1 / ratio) > 1 + leastChange;
  return { before, after, ratio, verdict: !apart ? 'same' : ratio > 1 ? 'slower' : 'faster' };
}

const keyOf = ({ device, name }: Pick<Row, 'device' | 'name'>, { contestant }: Pick<Entry, 'contestant'>): string =>
  JSON.stringify([device, name, contestant]);

/** Names of steps have their batch and side; names of kernels leave their batch to the options. */
function assertSameWork(before: Report, after: Report): void {
  const [one, other] = [before, after].map((r) => (r.rows.some((row) => row.group !== 'step') ? r.options.batch : undefined));
  if (one === undefined || other === undefined || one === other) return;
  throw new BenchmarkError(`the kernels are of other batches: --batch is ${String(one)} before and ${String(other)} after`);
}

/** Machine, versions and kernels, where both files tell. */
function differences(before: Report, after: Report): string[] {
  const warnings: string[] = [];
  const note = (what: string, one: unknown, other: unknown): void => {
    if (one !== undefined && other !== undefined && one !== other) warnings.push(`${what} differs: ${String(one)} before, ${String(other)} after`);
  };
  for (const key of ['processor', 'family', 'model', 'cores', 'system', 'node', 'webgpu']) note(key, before.machine[key], after.machine[key]);
  const clockOf = ({ rows }: Report): string | undefined => {
    const kernel = rows.find(({ device, group }) => device === 'cuda' && group !== 'step');
    return kernel && `the ${kernel.clock ?? 'host'}'s`;
  };
  note('the clock of kernels on cuda', clockOf(before), clockOf(after));
  for (const one of before.devices) {
    const other = after.devices.find((d) => d.kind === one.kind && d.contestant === one.contestant);
    for (const [key, value] of Object.entries(one.fingerprint)) {
      // New kernels and lowerings are what a comparison is for.
      if (key !== 'kernels' && key !== 'lowerings') note(`${key} of ${one.contestant} on ${one.kind}`, value, other?.fingerprint[key]);
    }
  }
  return warnings;
}
