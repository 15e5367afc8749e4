/** What a seeded fault is, and how it is put into a text. */

export interface Fault {
  /** Unique among all: `gemm-last-k`. */
  readonly name: string;
  /** What is wrong with the kernel, in words. */
  readonly what: string;
  /** From the repository's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** How often `find` occurs in the file, and which of these is replaced, from 1. Default: it occurs once. */
  readonly occurs?: { readonly times: number; readonly take: number };
  readonly test: FaultTest;
}

/** The narrowest test that should see it. */
export interface FaultTest {
  /** From the repository's root. */
  readonly file: string;
  /** Names of ops (`FOVEA_OPS`), where the file takes them. */
  readonly ops?: readonly string[];
  /** The device concerned (`FOVEA_RUNNERS`). */
  readonly runner: 'cpu' | 'webgpu' | 'cuda-host';
  /** Words in the names of the tests that see it: where the file skips these, for want of an adapter, the fault is not tried. */
  readonly needs?: string;
}

/** The op suite for some ops. */
export const suite = (runner: FaultTest['runner'], ...ops: string[]): FaultTest => ({ file: 'test/ops/suite.test.ts', ops, runner });

/** The device's own kernel tests for some ops. */
export const kernels = (runner: FaultTest['runner'], ...ops: string[]): FaultTest =>
  ({ file: `test/device/${runner}-kernels.test.ts`, ops, runner });

/** @throws Error where the text is no longer as the fault says: the list has to follow the code */
export function withFault(text: string, { name, file, find, replace, occurs = { times: 1, take: 1 } }: Fault): string {
  const parts = text.split(find);
  if (parts.length - 1 !== occurs.times) {
    throw new Error(`fault ${name}: expected ${occurs.times} of ${JSON.stringify(find)} in ${file}, found ${parts.length - 1}; `
      + 'mend its entry in tools/faults');
  }
  const { take } = occurs;
  return parts.slice(0, take).join(find) + replace + parts.slice(take).join(find);
}

export function environmentOf({ ops, runner }: FaultTest): Record<string, string> {
  return { FOVEA_RUNNERS: runner, ...(ops && { FOVEA_OPS: ops.join(',') }) };
}

/** As a person would type it. */
export function commandOf(test: FaultTest): string {
  const words = Object.entries(environmentOf(test)).map(([key, value]) => `${key}=${value}`);
  return [...words, 'npx tsx', test.file].join(' ');
}
