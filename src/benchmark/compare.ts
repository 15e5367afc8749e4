/** What got slower from one report to another. */
import { quantile, median } from './statistics.ts';
import type { Report } from './types.ts';

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

/** A change below this share is none, however steady the figures. */
export const leastChange = 0.05;

/**
 * Compares medians of our own contestants. A change counts where it is larger than 5 % and the quartiles do not overlap: the quicker
 * half's upper quartile lies below the slower's lower one.
 */
export function compareReports(before: Report, after: Report): Change[] {
  const entries = new Map(before.rows.flatMap((row) => row.entries.map((e) => [keyOf(row, e.contestant), e.milliseconds] as const)));
  const changes: Change[] = [];
  for (const row of after.rows) {
    for (const { contestant, milliseconds } of row.entries) {
      const old = entries.get(keyOf(row, contestant));
      if (!contestant.startsWith('fovea') || !old?.length || !milliseconds.length) continue;
      const ratio = median(milliseconds) / median(old);
      const [low, high] = ratio > 1 ? [old, milliseconds] : [milliseconds, old];
      const apart = quantile(low, 0.75) < quantile(high, 0.25) && Math.max(ratio, 1 / ratio) > 1 + leastChange;
      const verdict = !apart ? 'same' : ratio > 1 ? 'slower' : 'faster';
      changes.push({ row: row.name, device: row.device, contestant, before: median(old), after: median(milliseconds), ratio, verdict });
    }
  }
  return changes.sort((a, b) => b.ratio - a.ratio);
}

const keyOf = (row: { name: string; device: string }, contestant: string): string => JSON.stringify([row.device, row.name, contestant]);
