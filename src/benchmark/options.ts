/** What a benchmark may be asked for, and what holds where nothing is said. */
import * as v from 'valibot';
import { deviceName, deviceNames } from '../device/names.ts';
import { OptionError } from '../errors.ts';
import { groups } from './types.ts';
import type { Group } from './types.ts';

/** A list of integers: given as such, or as text with commas. */
const integers = (low: number, high: number) => {
  const message = `expected integers from ${low} to ${high}, separated by commas`;
  return v.pipe(
    v.unknown(), v.transform((x) => (typeof x === 'string' ? x.split(',').map((w) => (w.trim() === '' ? NaN : Number(w))) : x)),
    v.array(v.pipe(v.number(message), v.integer(message), v.minValue(low, message), v.maxValue(high, message)), message), v.minLength(1, message),
  );
};

const number = (low: number, high: number, whole = true) => {
  const message = `expected ${whole ? 'an integer' : 'a number'} from ${low} to ${high}`;
  return v.pipe(
    v.unknown(), v.transform((x) => (typeof x === 'string' && x.trim() !== '' ? Number(x) : x)),
    v.number(message), v.minValue(low, message), v.maxValue(high, message), v.check((x) => !whole || Number.isInteger(x), message),
  );
};

const words = (isValid: (word: string) => boolean, message: string, separator = ',') => v.pipe(
  v.unknown(), v.transform((x) => (typeof x === 'string' ? x.split(separator).map((w) => w.trim()) : x)),
  v.array(v.custom<string>((w) => typeof w === 'string' && isValid(w), message), message), v.minLength(1, message),
);

const shape = {
  device: words((w) => deviceName.test(w), `expected ${deviceNames}, separated by commas`),
  only: words((w) => (groups as readonly string[]).includes(w), `expected some of ${groups.join(', ')}, separated by commas`),
  filter: v.string(),
  batch: number(1, 1024),
  stepBatch: integers(1, 1024),
  side: number(32, 2048),
  width: number(0.05, 4, false),
  runs: number(1, 10_000),
  threads: integers(1, 64),
  limit: number(1, 86_400, false),
  stepLimit: number(1, 86_400, false),
  shapes: number(1, 1000),
  recompute: v.boolean(),
  tf32: v.boolean(),
  plain: v.boolean(),
  probes: v.boolean(),
  quick: v.boolean(),
  out: v.pipe(v.string(), v.minLength(1, 'expected the name of a file')),
  charts: v.pipe(v.string(), v.minLength(1, 'expected the name of a folder')),
  peers: v.boolean(),
  python: words((w) => w !== '', 'expected paths of interpreters, separated by commas'),
  peer: words((w) => w !== '', 'expected parts of names, separated by semicolons', ';'),
} as const;

const schema = v.partial(v.strictObject(shape));

export type BenchmarkOptionName = keyof typeof shape;
type Given = v.InferOutput<typeof schema>;

/** Options with what holds where nothing was said. */
export type BenchmarkOptions = Omit<Given, 'device' | 'only' | 'stepBatch'> & {
  readonly device: readonly string[];
  readonly only: readonly Group[];
  readonly batch: number;
  readonly stepBatch: readonly number[];
  readonly side: number;
  readonly width: number;
  readonly runs: number;
  readonly limit: number;
  readonly stepLimit: number;
  readonly probes: boolean;
  readonly peers: boolean;
};

export const defaults = {
  device: ['cpu', 'webgpu', 'cuda'], only: groups, batch: 4, stepBatch: [2, 16], side: 224, width: 1, runs: 20, limit: 60, stepLimit: 600, probes: true,
  peers: true,
} as const satisfies Partial<BenchmarkOptions>;

/** What `--quick` says instead: every part is seen, no figure is worth keeping. */
export const quickDefaults = { batch: 1, stepBatch: [4], side: 64, runs: 5, limit: 5, stepLimit: 120, shapes: 3, recompute: true } as const;

/**
 * Checks options and fills in defaults.
 *
 * @param spell how an option is written where it comes from, as in `--step-batch`
 * @throws OptionError naming the option and what was expected
 */
export function parseBenchmarkOptions(given: Readonly<Record<string, unknown>>, spell: (name: string) => string): BenchmarkOptions {
  const result = v.safeParse(schema, given, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const name = String(issue.path?.[0]?.key ?? '');
    throw new OptionError(`${spell(name)}: ${issue.message}, got ${JSON.stringify(given[name])}`);
  }
  return { ...defaults, ...(result.output.quick && quickDefaults), ...result.output } as BenchmarkOptions;
}
