import * as assert from 'uvu/assert';

type ErrorClass = abstract new (...args: never[]) => Error;

function check(error: unknown, kind: ErrorClass, pattern: RegExp): void {
  assert.ok(error !== undefined, `expected a ${kind.name}, nothing was thrown`);
  assert.ok(error instanceof kind, `expected a ${kind.name}, got ${String(error)}`);
  assert.match(error.message, pattern);
}

/** Asserts that a call throws an error of a class whose message matches. */
export function throws(run: () => unknown, kind: ErrorClass, pattern: RegExp = /./): void {
  let error: unknown;
  try {
    run();
  } catch (e) {
    error = e;
  }
  check(error, kind, pattern);
}

/** The same for a promise. */
export async function rejects(run: () => Promise<unknown>, kind: ErrorClass, pattern: RegExp = /./): Promise<void> {
  let error: unknown;
  try {
    await run();
  } catch (e) {
    error = e;
  }
  check(error, kind, pattern);
}
