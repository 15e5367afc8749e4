/** What a test's output says about a seeded fault. */

export type Verdict = 'caught' | 'NOT caught' | 'no test failed' | 'out of time' | 'does not compile' | 'fails without the fault' | 'not tried';

/** How a run of a test ended. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
  /** Whether it was killed for taking too long. */
  readonly hung: boolean;
  readonly seconds: number;
}

/** A test that failed, by name, and the first line of why. */
export interface Failure {
  readonly test: string;
  readonly message: string;
}

/** The first test that uvu reports as failed, or undefined where none ran so far: an import that throws, a signal. */
export function firstFailure(output: string): Failure | undefined {
  const found = /^ *FAIL .*?"(.+)"\n\s*(\S.*)$/m.exec(output);
  return found === null ? undefined : { test: found[1], message: found[2] };
}

/** Only a test that ran and failed has seen the fault. One that never ended, or ended before any test was judged, proves nothing. */
export function verdictOf({ code, output, hung }: Ended): { verdict: Verdict; failure?: Failure } {
  if (hung) return { verdict: 'out of time' };
  if (code === 0) return { verdict: 'NOT caught' };
  if (/createComputePipeline failed|src\/generated was out of date/.test(output)) return { verdict: 'does not compile' };
  const failure = firstFailure(output);
  return failure === undefined ? { verdict: 'no test failed' } : { verdict: 'caught', failure };
}

/** Why tests whose name contains `needs` were skipped, or undefined where they were not. */
export function skipped(output: string, needs: string): string | undefined {
  for (const [, name, reason] of output.matchAll(/^# skip: (.*?) # (.*)$/gm)) if (name.includes(needs)) return reason;
  return undefined;
}
