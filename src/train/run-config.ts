/** `config.json` of a run: what was asked for, what was made of it, and what its bits depend on. */
import type * as FsPromises from 'node:fs/promises';
import * as v from 'valibot';
import { importNode } from '../data/node.ts';
import { FormatError } from '../errors.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Normalization } from './preprocess.ts';
import type { PartCounts } from './run-data.ts';
import type { ResolvedOptions } from './run-options.ts';
import { alwaysResolved, parseOptions } from './run-options.ts';
import { checkFormat } from './snapshot.ts';

export const configFormat = 1;

export interface RunConfig {
  /** Version of Fovea that trained. */
  readonly fovea: string;
  /** Whether its images are simulated; then nothing that it says is about patients. */
  readonly simulated: boolean;
  /** Of its files: `NAME-symbol.json`, `NAME-0001.params`. */
  readonly name: string;
  /** These run again, by `--config`. */
  readonly options: ResolvedOptions;
  readonly classes: readonly string[];
  /** Height, width, channels of the images that the network takes. */
  readonly imageShape: readonly [number, number, number];
  /** A mean image is a file beside, `NAME-mean.nd`. */
  readonly normalization: SavedNormalization;
  readonly classWeights: readonly number[];
  /** Of a network that began from weights. */
  readonly transfer?: {
    /** Path or address of the weights, and the SHA-256 of the file. */
    readonly weights: string;
    readonly sha256: string;
    /** The layer at which they were cut. */
    readonly cut: string;
  };
  readonly parts: readonly PartCounts[];
  /** Numbers that are learnt. */
  readonly parameters: number;
  readonly device: string;
  readonly fingerprint: Fingerprint;
}

export type SavedNormalization = Omit<Normalization, 'image'> & { readonly image?: string };

export function encodeConfig(config: RunConfig): string {
  return `${JSON.stringify({ format: configFormat, ...config }, undefined, 2)}\n`;
}

/** @throws FormatError naming file and field; OptionError for options out of range */
export function decodeConfig(text: string, file: string): RunConfig {
  const value = jsonObject(text, file) as unknown as RunConfig & { format: unknown };
  checkFormat(value.format, configFormat, `${file}: config`);
  const result = v.safeParse(schema, value);
  if (!result.success) {
    const [issue] = result.issues;
    const field = v.getDotPath(issue) ?? 'config';
    throw new FormatError(`${file}: ${field}: ${issue.message}, got ${JSON.stringify(issue.input) ?? 'nothing'}`);
  }
  parseOptions(value.options, undefined, `${file}: `);
  const missing = alwaysResolved.find((name) => value.options[name] === undefined);
  if (missing !== undefined) throw new FormatError(`${file}: options.${missing} is missing`);
  if ((value.options.weights === undefined) !== (value.transfer === undefined)) {
    throw new FormatError(`${file}: transfer: expected where options.weights is, and there alone`);
  }
  return value;
}

const count = v.pipe(v.number('expected a count'), v.integer('expected a count'), v.minValue(0, 'expected a count'));
const side = v.pipe(count, v.minValue(1, 'expected a number of pixels or channels'));
const text = v.string('expected text');
const numbers = (least: number) => v.pipe(
  v.array(v.number('expected a number'), 'expected numbers'), v.minLength(least, `expected ${least} numbers or more`),
);
const object = <const T extends v.ObjectEntries>(entries: T) => v.looseObject(entries, 'expected a value here');

const fileName = v.pipe(text, v.regex(/^[^/\\]+$/, 'expected the name of a file'));

/** Of the fields that anything reads back; `options` apart, which `parseOptions` knows. */
const schema = object({
  simulated: v.boolean('expected true or false'),
  name: fileName,
  options: object({}),
  classes: v.pipe(v.array(text, 'expected names'), v.minLength(2, 'expected two names or more')),
  imageShape: v.strictTuple([side, side, side], 'expected height, width, channels'),
  normalization: object({ mean: numbers(1), deviation: numbers(1), window: count, image: v.optional(fileName) }),
  classWeights: numbers(2),
  transfer: v.optional(object({ weights: text, sha256: text, cut: text })),
  parts: v.pipe(
    v.array(object({ samples: count, classes: numbers(2) }), 'expected parts'), v.minLength(1, 'expected parts'),
  ),
  fingerprint: v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]), 'expected an object of figures'),
});

/**
 * The options in a file: a run's config.json, or an object of options alone.
 *
 * @throws FormatError for a file that is neither, or a format that is unknown; OptionError for options out of range
 */
export function optionsOfConfig(text: string, file: string) {
  const value = jsonObject(text, file);
  const whole = 'options' in value;
  if (whole) checkFormat(value.format, configFormat, `${file}: config`);
  return parseOptions((whole ? value.options : value) as Record<string, unknown>, undefined, `${file}: `);
}

function jsonObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${file}: not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FormatError(`${file}: a JSON object was expected`);
  }
  return value as Record<string, unknown>;
}

/** Of the package. */
export async function foveaVersion(): Promise<string> {
  try {
    const { readFile } = await importNode<typeof FsPromises>('node:fs/promises', 'a run directory');
    const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return 'unknown';
  }
}
