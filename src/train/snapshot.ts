/** All that an exact resume needs, as two files: a JSON text and a safetensors file. */
import type { SamplerState } from '../data/sampler.ts';
import { FormatError } from '../errors.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { EpochRecord } from './history.ts';

export const stateFormat = 1;

export interface TrainingSnapshot {
  /** Epochs finished. */
  readonly epoch: number;
  /** Updates done, which is also the step that random ops have reached. */
  readonly updates: number;
  readonly seed: number;
  readonly sampler: SamplerState;
  readonly history: readonly EpochRecord[];
  /** The epoch under way, where the state was saved within one. */
  readonly partial?: {
    readonly taken: number; readonly steps: number; readonly seconds: number; readonly learningRate: number;
  };
  /**
   * By name: `parameter/NAME` as they lie in memory, `optimizer/STATE/NAME`, `epoch/NAME` (figures of the epoch under way).
   */
  readonly tensors: ReadonlyMap<string, HostArray>;
}

/** Numbers that JSON has no words for. */
const spelled: Readonly<Record<string, number>> = { '#NaN': NaN, '#Infinity': Infinity, '#-Infinity': -Infinity };

/** JSON text in which every number survives. */
export function toExactJson(value: unknown): string {
  return JSON.stringify(value, (_, x: unknown) => (typeof x === 'number' && !Number.isFinite(x) ? `#${x}` : x), 1);
}

export function fromExactJson(text: string): unknown {
  return JSON.parse(text, (_, x: unknown) => (typeof x === 'string' && Object.hasOwn(spelled, x) ? spelled[x] : x));
}

/** The two files of a state. The JSON says how long the other is; written last, it vouches for it. */
export function encodeSnapshot(snapshot: TrainingSnapshot): { json: string; tensors: Uint8Array<ArrayBuffer> } {
  const { tensors, ...rest } = snapshot;
  const bytes = writeSafetensors(tensors, new Map([['format', `fovea state ${stateFormat}`]]));
  return { json: `${toExactJson({ format: stateFormat, tensorBytes: bytes.length, ...rest })}\n`, tensors: bytes };
}

/**
 * @throws FormatError naming file and field for text that is no state, a format that is unknown, or tensors of another state
 */
export function decodeSnapshot(json: string, tensors: Uint8Array, file: string): TrainingSnapshot {
  let value: unknown;
  try {
    value = fromExactJson(json);
  } catch (error) {
    throw new FormatError(`${file}: not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new FormatError(`${file}: a JSON object was expected`);
  const { format, tensorBytes, ...rest } = value as TrainingSnapshot & { format?: unknown; tensorBytes?: unknown };
  checkFormat(format, stateFormat, `${file}: state`);
  if (tensorBytes !== tensors.length) {
    throw new FormatError(`${file}: tensorBytes says ${String(tensorBytes)}, its safetensors file has ${tensors.length} bytes`);
  }
  for (const field of ['epoch', 'updates', 'seed'] as const) {
    if (!Number.isSafeInteger(rest[field]) || rest[field] < 0) {
      throw new FormatError(`${file}: ${field}: a count was expected, got ${JSON.stringify(rest[field])}`);
    }
  }
  if (!Array.isArray(rest.history) || rest.history.length !== rest.epoch) {
    throw new FormatError(`${file}: history: ${rest.epoch} epochs were expected`);
  }
  if (typeof rest.sampler !== 'object' || rest.sampler === null) throw new FormatError(`${file}: sampler: an object was expected`);
  return { ...rest, tensors: readSafetensors(tensors, { file: file.replace(/\.json$/, '.safetensors') }).tensors };
}

/** @throws FormatError, by number, for a format that this version does not know */
export function checkFormat(found: unknown, known: number, what: string): void {
  if (found === known) return;
  throw new FormatError(`${what} of format ${JSON.stringify(found) ?? 'unknown'}; this version reads format ${known}`);
}

/** Those of a map whose names begin with `prefix/`, without it. */
export function under(tensors: ReadonlyMap<string, HostArray>, prefix: string): Map<string, HostArray> {
  const start = `${prefix}/`;
  return new Map([...tensors].flatMap(([name, array]): [string, HostArray][] =>
    (name.startsWith(start) ? [[name.slice(start.length), array]] : [])));
}
