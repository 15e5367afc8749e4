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

/**
 * Asserts that two runs of bytes or numbers are the same, and records how many of them are not.
 *
 * @param what what they are: `bytes`, `values`
 */
export function holdsExactly(
  source: string, fixture: string, what: string, got: ArrayLike<number | bigint>, want: ArrayLike<number | bigint>,
): void {
  let error = Math.abs(got.length - want.length);
  for (let i = 0; i < Math.min(got.length, want.length); i++) if (!Object.is(got[i], want[i])) error++;
  holds({ source, fixture, measure: `${what} that differ`, error, tolerance: 0, runner: 'host' }, fixture);
}

/** Asserts that an error is within its tolerance, and records both. */
export function holds(comparison: Comparison, what: string): void {
  const { error, tolerance, measure } = comparison;
  if (process.env.FOVEA_CONFORMANCE !== undefined) appendFileSync(process.env.FOVEA_CONFORMANCE, `${JSON.stringify(comparison)}\n`);
  assert.ok(error <= tolerance, `${what}: off by ${error} ${measure}, tolerance ${tolerance}`);
}
