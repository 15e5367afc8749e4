/** The roofline: no kernel is faster than its multiply-adds at the machine's peak, nor than its bytes at the machine's bandwidth. */
import { median } from './statistics.ts';
import type { Probe, Row } from './types.ts';

export interface Limits {
  /** GFLOP/s. */
  readonly peak: number;
  /** GB/s: the best of reading, writing and copying. */
  readonly bandwidth: number;
  /** Whether the peak may stand for the machine's: its probe counts. What follows from one that does not is a figure of no weight. */
  readonly proven: boolean;
}

/**
 * The limits of a device among probes of several; undefined where it was not probed. A software adapter's memory is the processor's,
 * whose `memory` probes count for it too.
 */
export function limitsOf(probes: readonly Probe[], device: string, memory?: string): Limits | undefined {
  const compute = probes.find((p) => p.device === device && p.what === 'multiply-add');
  const streams = probes.filter((p) => (p.device === device || p.device === memory) && p.unit === 'GB/s').map((p) => p.value);
  if (compute === undefined || streams.length === 0) return undefined;
  return { peak: compute.value, bandwidth: Math.max(...streams), proven: compute.counts === true };
}

/** GFLOP/s that a kernel of this intensity can reach: min(peak, FLOP / byte x bandwidth). */
export function attainable({ peak, bandwidth }: Pick<Limits, 'peak' | 'bandwidth'>, flop: number, bytes: number): number {
  return Math.min(peak, (flop / bytes) * bandwidth);
}

/** Least milliseconds of so many FLOP and bytes. The same rule as `attainable`, and it holds for kernels without FLOP too. */
export function leastMilliseconds({ peak, bandwidth }: Pick<Limits, 'peak' | 'bandwidth'>, flop: number, bytes: number): number {
  return Math.max(flop / peak, bytes / bandwidth) / 1e6;
}

/** Whether the least time of so many FLOP and bytes follows from a proven limit: the peak's probe counts, or the bytes alone take longer. */
export function isProven({ peak, bandwidth, proven }: Limits, flop: number, bytes: number): boolean {
  return proven || bytes / bandwidth >= flop / peak;
}

/** A row that is quicker than memory by more than this share beats it. */
const BEATEN = 1.05;

/** What a device of ours is held to: its limits, and the device whose memory it shares, where that is another's. */
export interface Held {
  readonly contestant: string;
  readonly kind: string;
  readonly device: string;
  readonly memory?: string | undefined;
}

/**
 * The rows, with what memory alone bounds marked as unproven on devices where some row reached more than 1.05 times its bandwidth: a limit
 * that a row beats is none. Streams read or write whole lines; updates in place read and write the same ones, which costs less.
 */
export function withoutBeatenLimits(rows: readonly Row[], probes: readonly Probe[], devices: readonly Held[]): Row[] {
  const of = (row: Row, contestant: string): Held | undefined => devices.find((d) => d.kind === row.device && d.contestant === contestant);
  const quickest = new Map<string, number>();
  for (const row of rows) {
    for (const { contestant, milliseconds } of row.entries) {
      const held = of(row, contestant);
      if (held === undefined || milliseconds.length === 0 || row.bytes === 0) continue;
      quickest.set(held.device, Math.max(quickest.get(held.device) ?? 0, row.bytes / median(milliseconds) / 1e6));
    }
  }
  const isBeaten = ({ device, memory }: Held, bandwidth: number): boolean =>
    [device, memory].some((name) => name !== undefined && (quickest.get(name) ?? 0) > BEATEN * bandwidth);
  return rows.map((row) => ({
    ...row, entries: row.entries.map((entry) => {
      const held = of(row, entry.contestant);
      const limits = held && limitsOf(probes, held.device, held.memory);
      if (held === undefined || limits === undefined || entry.attainable === undefined) return entry;
      const byMemory = row.bytes / limits.bandwidth >= (entry.facts?.flop ?? row.flop) / limits.peak;
      return byMemory && isBeaten(held, limits.bandwidth) ? { ...entry, unproven: true as const } : entry;
    }),
  }));
}
