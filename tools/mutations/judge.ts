/** What a reader makes of a mutated file, and whether that is allowed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { FormatError } from '../../src/errors.ts';
import type { MutatedFormat } from './format.ts';
import type { Mutation } from './mutate.ts';

/** Refused with a FormatError; read, and written as the bytes that were read; or read, and written in the writer's own way. */
export type Verdict = 'refused' | 'same bytes' | 'same value';

/** What is not allowed. */
export class Violation extends Error {}

/** Milliseconds that reading a file may take. */
const PATIENCE = 1000;

/**
 * Reads a mutated file, and writes what was read.
 *
 * @throws Violation for an error of another class or without file, field and place; for a value that is written otherwise than it was
 *   read; for more than a second, or more memory than four times the file and 64 MB
 */
export function judge(format: MutatedFormat, { seed, bytes }: Mutation): Verdict {
  const file = `mutated${format.name}`;
  const original = bytes.slice();
  const memory = new MemoryMeter();
  const begun = performance.now();
  const read = attempt(() => format.read(bytes, file));
  const took = performance.now() - begun;
  const grown = memory.grown();
  if (grown > 4 * bytes.length + (64 << 20)) throw new Violation(`${grown} bytes of memory for a file of ${bytes.length}`);
  if (took > PATIENCE) readAgain(format, original, file);
  if ('error' in read) {
    checkError(read.error, file, format.place);
    return 'refused';
  }
  const written = read.value();
  if (!equal(bytes, original)) throw new Violation('the reader or writer changed the bytes that were given to it');
  if (equal(written, original)) return 'same bytes';
  let again: Uint8Array;
  try {
    again = format.read(written, file)();
  } catch (error) {
    throw new Violation(`what was written cannot be read: ${String(error)}`);
  }
  if (!equal(again, written)) throw new Violation('what was written is read as another value');
  if (seed.exact) checkExact(format, original, written);
  return 'same value';
}

function attempt<T>(work: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function checkError(error: unknown, file: string, place: RegExp): void {
  if (!(error instanceof FormatError)) throw new Violation(`an error of another class: ${error instanceof Error ? error.stack : String(error)}`);
  const { message } = error;
  if (message.startsWith(`${file}: `) && place.test(message.slice(file.length + 2))) return;
  throw new Violation(`an error without file, field and place: ${message}`);
}

/** Where what was written differs, it does so in what may be lost. */
function checkExact(format: MutatedFormat, read: Uint8Array, written: Uint8Array): void {
  if (read.length !== written.length) throw new Violation(`${read.length} bytes were read, ${written.length} written`);
  const loose = format.fields(written).filter(({ kind }) => kind === 'ignored' || kind === 'version');
  for (let at = 0; at < read.length; at++) {
    if (read[at] === written[at] || loose.some(({ start, end }) => at >= start && at < end)) continue;
    throw new Violation(`byte ${at}: ${read[at]} was read, ${written[at]} written`);
  }
}

/** A machine that does something else may make any file slow once. */
function readAgain(format: MutatedFormat, bytes: Uint8Array, file: string): void {
  const begun = performance.now();
  attempt(() => format.read(bytes, file)); // what comes of it was judged the first time
  const took = performance.now() - begun;
  if (took > PATIENCE) throw new Violation(`${Math.round(took)} ms for a file of ${bytes.length} bytes, twice`);
}

/** How far the memory of this process has grown at most: its resident size where the system tells (Linux), else what V8 counts. */
class MemoryMeter {
  readonly #peak: boolean;
  readonly #before: number;

  constructor() {
    this.#peak = resetPeak();
    this.#before = this.#peak ? resident('VmRSS') : counted();
  }

  grown(): number {
    return (this.#peak ? Math.max(resident('VmHWM'), resident('VmRSS')) : counted()) - this.#before;
  }
}

/** Makes the highest resident size so far the present one. */
function resetPeak(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

function resident(name: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0) * 1024;
}

function counted(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
