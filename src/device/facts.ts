/** A device's fingerprint, in lines. */
import type { Device } from './types.ts';

/** What decides a device's bits and speed, a line each, but for what is said elsewhere. */
export const factsOf = ({ fingerprint }: Device, said: readonly string[] = []): string[] =>
  Object.entries(fingerprint).filter(([key]) => key !== 'kind' && !said.includes(key)).map(([key, value]) => `${key}: ${value}`);
