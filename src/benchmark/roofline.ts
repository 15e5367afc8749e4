/** The roofline: no kernel is faster than its multiply-adds at the machine's peak, nor than its bytes at the machine's bandwidth. */
import type { Probe } from './types.ts';

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
