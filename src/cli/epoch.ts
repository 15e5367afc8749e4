import { OptionError } from '../errors.ts';

/** The number after --epoch. @throws OptionError */
export function epochOption(given: unknown): number | undefined {
  if (given === undefined) return undefined;
  const epoch = Number(given);
  if (!Number.isInteger(epoch) || epoch < 1) throw new OptionError(`--epoch: expected an integer of 1 or more, got ${JSON.stringify(given)}`);
  return epoch;
}
