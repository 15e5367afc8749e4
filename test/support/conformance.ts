/**
 * Comparisons with other systems' figures. Each is an assertion; with `FOVEA_CONFORMANCE` set to a file, each is also a line of it, of
 * which `tools/conformance.ts` makes the table in docs/conformance.md.
 */
import { appendFileSync } from 'node:fs';
import * as assert from 'uvu/assert';

export interface Comparison {
  /** Whose figures: `MXNet, operators`. */
  readonly source: string;
  /** Which of them. */
  readonly fixture: string;
  /** What the error is a share of, and of what: `of the largest value`. */
  readonly measure: string;
  readonly error: number;
  readonly tolerance: number;
  /** Device or reference that ours was computed on. */
  readonly runner: string;
}

/** Asserts that an error is within its tolerance, and records both. */
export function holds(comparison: Comparison, what: string): void {
  const { error, tolerance, measure } = comparison;
  if (process.env.FOVEA_CONFORMANCE !== undefined) appendFileSync(process.env.FOVEA_CONFORMANCE, `${JSON.stringify(comparison)}\n`);
  assert.ok(error <= tolerance, `${what}: off by ${error} ${measure}, tolerance ${tolerance}`);
}
