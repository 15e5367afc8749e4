/** What the bits of a run depend on: resumed under the same, it equals an uninterrupted one. */
import type { Device } from '../device/types.ts';
import { OptionError } from '../errors.ts';

export type Fingerprint = Readonly<Record<string, string | number | boolean>>;

/**
 * Raised when a release computes other bits from the same ops: in layers, optimizers or the training step. Kernels, lowerings, ops and
 * graphs need no number: devices' fingerprints have hashes of their sources.
 */
const numerics = 2;

/** @param options what was asked for of the computation: a config file may have been edited since */
export function fingerprintOf(
  device: Device, dataDigest: string, options: Readonly<Record<string, string>> = {},
): Fingerprint {
  const engine = typeof process === 'object' && process?.versions?.v8
    ? `V8 ${process.versions.v8.split('.').slice(0, 2).join('.')}` : globalThis.navigator?.userAgent ?? 'unknown';
  const machine = typeof process === 'object' && process?.arch ? process.arch : 'unknown';
  const own = Object.fromEntries(Object.entries(device.fingerprint).map(([key, value]) => [`device.${key}`, value]));
  return { numerics, engine, machine, data: dataDigest, ...own, ...options };
}

/** 'device.relaxedSimd: false, was true', one for each figure that differs. */
export function fingerprintDifferences(saved: Fingerprint, now: Fingerprint): string[] {
  return [...new Set([...Object.keys(saved), ...Object.keys(now)])]
    .filter((key) => saved[key] !== now[key])
    .map((key) => `${key}: ${String(now[key] ?? 'absent')}, was ${String(saved[key] ?? 'absent')}`);
}

/** @throws OptionError saying what differs, where a resumed run could not be the same bit for bit */
export function requireSameFingerprint(saved: Fingerprint, now: Fingerprint, allowInexact: boolean, log: (line: string) => void): void {
  const differences = fingerprintDifferences(saved, now);
  if (differences.length === 0) return;
  const list = differences.join('; ');
  if (!allowInexact) {
    throw new OptionError(`this run would not go on bit for bit (${list}); --allow-inexact resumes it all the same`);
  }
  log(`resuming inexactly: ${list}`);
}
