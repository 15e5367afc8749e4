/** How commands end: what they say of an error, and their exit code. */
import { CommanderError } from 'commander';
import { FoveaError, OptionError } from '../errors.ts';

export const exitCodes = { ok: 0, failed: 1, badOption: 2, interrupted: 130 } as const;

/** Of a command that an error ended. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.badOption;
  return error instanceof OptionError ? exitCodes.badOption : exitCodes.failed;
}

/** One line; with FOVEA_DEBUG=1 all that is known. Undefined of what commander has told already. */
export function describeError(error: unknown): string | undefined {
  if (error instanceof CommanderError) return undefined;
  const one = error instanceof Error ? error : new Error(String(error));
  if (process.env.FOVEA_DEBUG === '1') return `error: ${one.stack}${one.cause instanceof Error ? `\ncaused by: ${one.cause.stack}` : ''}`;
  const line = one.message.split('\n')[0];
  return one instanceof FoveaError ? `error: ${line}` : `error: ${one.name}: ${line} (FOVEA_DEBUG=1 shows where)`;
}
