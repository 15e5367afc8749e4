/** Options of a run: what may be asked for, in what range, and what holds where nothing is said. */
import * as v from 'valibot';
import { didYouMean } from '../nearest.ts';
import { parseAugmentations } from '../data/augment-text.ts';
import { samplerNames } from '../data/sampler.ts';
import { deviceName, deviceNames } from '../device/names.ts';
import { OptionError } from '../errors.ts';
import { batchNormDefaults } from '../formats/mxnet-symbol.ts';
import { parseHead } from '../nn/head.ts';
import { expression } from '../optim/schedules.ts';
import { optimizerNames } from './optimizer.ts';
import { normalizations } from './preprocess.ts';
import { parsePreprocessing } from './stated-preprocessing.ts';

/** What `--data` says for the embedded default. */
export const phantomData = 'phantom';

export const modelNames = ['inception-bn', 'inception-bn-small'] as const;

/** A number, given as one or as text. */
function number(expected: string, low: number, high: number, isValid: (x: number) => boolean = () => true) {
  const message = `expected ${expected}`;
  return v.pipe(
    v.unknown(), v.transform((x) => (typeof x === 'string' && x.trim() !== '' ? Number(x) : x)),
    v.number(message), v.minValue(low, message), v.maxValue(high, message), v.check(isValid, message),
  );
}

const integer = (low: number, high = 2 ** 31 - 1) =>
  number(high < 2 ** 31 - 1 ? `an integer from ${low} to ${high}` : `an integer of ${low} or more`, low, high, Number.isInteger);
const share = () => number('a number from 0 to 1', 0, 1);
const text = () => v.pipe(v.string('expected text'), v.minLength(1, 'expected text'));
const words = (x: string, separator: string): string[] => x.split(separator).map((word) => word.trim());

function choice<const T extends readonly string[]>(names: T) {
  return v.custom<T[number]>((x) => names.includes(x as string), ({ input }) =>
    `expected one of ${names.join(', ')}${typeof input === 'string' ? didYouMean(input, names) : ''}`);
}

const classWeights = v.pipe(
  v.unknown(),
  v.transform((x) => {
    if (typeof x !== 'string' || x === 'none' || x === 'balanced') return x;
    return x.split(',').map((w) => (w.trim() === '' ? NaN : Number(w)));
  }),
  v.custom<'none' | 'balanced' | number[]>((x) => x === 'none' || x === 'balanced'
    || (Array.isArray(x) && x.every((w) => typeof w === 'number' && w >= 0 && Number.isFinite(w))),
  'expected none, balanced, or a weight of 0 or more for each class, as in 1,20'),
);

const learningRate = v.pipe(
  v.unknown(),
  v.transform((x) => (typeof x !== 'string' || x.trim() === '' || Number.isNaN(Number(x)) ? x : Number(x))),
  v.custom<number | string>((x) => (typeof x === 'number' ? x > 0 && Number.isFinite(x) : typeof x === 'string' && x !== ''),
    'expected a positive number, or an expression over epoch, epochs, update and updates'),
);

/** Kept as text, of which every word is known. */
const augmentations = v.pipe(text(), v.rawCheck(({ dataset, addIssue }) => {
  if (!dataset.typed) return;
  try {
    parseAugmentations(dataset.value);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    addIssue({ message: error.message });
  }
}));

const head = v.pipe(text(), v.rawCheck(({ dataset, addIssue }) => {
  if (!dataset.typed) return;
  try {
    parseHead(dataset.value);
  } catch (error) {
    addIssue({ message: (error as Error).message.replace(/^head "[^"]*": /, '') });
  }
}));

const preprocess = v.pipe(text(), v.rawCheck(({ dataset, addIssue }) => {
  if (!dataset.typed) return;
  try {
    parsePreprocessing(dataset.value);
  } catch (error) {
    addIssue({ message: (error as Error).message });
  }
}));

const flag = v.pipe(
  v.unknown(), v.transform((x) => (x === 'true' ? true : x === 'false' ? false : x)), v.boolean('expected true or false'),
);

const device = v.pipe(
  text(), v.check((name) => name === 'auto' || deviceName.test(name), `expected auto, ${deviceNames}`),
);

/** All options by name. On the command line `--class-weights`, here and in config files `classWeights`. */
const shape = {
  data: text(),
  csv: text(),
  fileColumn: text(),
  labelColumn: text(),
  patientColumn: text(),
  splitColumn: text(),
  groupColumn: text(),
  positive: text(),
  exclude: v.union([v.pipe(text(), v.transform((x) => words(x, ','))), v.array(text())], 'expected names'),
  duplicates: v.union([
    v.pipe(text(), v.transform((x) => words(x, ',').map((group) => words(group, '=')))), v.array(v.array(text())),
  ], 'expected groups of names, as in a=b,c=d'),
  size: integer(16, 2048),
  validation: number('a share from 0 to 0.9', 0, 0.9),
  test: number('a share from 0 to 0.9', 0, 0.9),
  patients: integer(4, 1_000_000),
  prevalence: share(),
  blur: number('a number from 0 to 20', 0, 20),
  labelNoise: share(),
  weights: text(),
  sha256: v.pipe(text(), v.regex(/^[0-9a-f]{64}$/i, 'expected 64 hexadecimal digits')),
  preprocess,
  meanImage: text(),
  cut: text(),
  head,
  freeze: text(),
  unfreeze: v.pipe(text(), v.regex(/^[^@,]+@\d+(,[^@,]+@\d+)*$/, 'expected a layer and an epoch, as in mixed3@5')),
  layerDecay: number('a number above 0, up to 1', 1e-3, 1),
  batchNorm: choice(['frozen', 'batch'] as const),
  batchNormDefaults: choice(batchNormDefaults),
  cacheFeatures: choice(['on', 'off'] as const),
  model: choice(modelNames),
  width: number('a number above 0, up to 4', 0.01, 4),
  epochs: integer(1),
  batch: integer(1, 65536),
  optimizer: choice(optimizerNames),
  lr: learningRate,
  momentum: share(),
  weightDecay: number('a number of 0 or more', 0, 1e6),
  clipGradient: number('a number above 0', 0, Infinity, (x) => x > 0),
  classWeights,
  sampler: choice(samplerNames),
  augment: augmentations,
  normalize: choice([...normalizations, 'model'] as const),
  seed: integer(0),
  mixed: flag,
  device,
  threads: integer(1, 64),
  workers: integer(0, 64),
  keep: choice(['best', 'all'] as const),
  recompute: choice(['off', 'on'] as const),
} as const;

const schema = v.partial(v.strictObject(shape));

export type OptionName = keyof typeof shape;
export const optionNames = Object.keys(shape) as OptionName[];

/** Options that a user gave. */
export type RunOptions = v.InferOutput<typeof schema>;

/** Those that a run always has. */
export const alwaysResolved = [
  'data', 'size', 'validation', 'test', 'epochs', 'batch', 'optimizer', 'lr', 'weightDecay', 'classWeights',
  'sampler', 'augment', 'normalize', 'seed', 'device', 'workers', 'keep',
] as const satisfies readonly OptionName[];
type Always = (typeof alwaysResolved)[number];

/** Options with what holds where nothing was said. */
export type ResolvedOptions = RunOptions & { [K in Always]-?: NonNullable<RunOptions[K]> };

const folderOnly: readonly OptionName[] = [
  'csv', 'fileColumn', 'labelColumn', 'patientColumn', 'splitColumn', 'groupColumn', 'positive', 'exclude',
  'duplicates',
];
/** Of a network that begins from weights. */
const transferOnly: readonly OptionName[] = [
  'sha256', 'preprocess', 'meanImage', 'cut', 'head', 'freeze', 'unfreeze', 'layerDecay', 'batchNorm', 'batchNormDefaults', 'cacheFeatures',
];
const phantomOnly: readonly OptionName[] = ['patients', 'prevalence', 'blur', 'labelNoise'];

const common = {
  validation: 0.15, test: 0.15, model: 'inception-bn', optimizer: 'sgd', weightDecay: 1e-4, classWeights: 'none',
  sampler: 'none', augment: 'flips', normalize: 'local', seed: 1, device: 'auto', workers: 1, keep: 'best', recompute: 'off',
} as const;

/** The rate falls along half a cosine, from the number to 0. */
const cosine = (rate: number): string => `${rate} * (1 + cos(pi * update / updates)) / 2`;

/** The embedded default; docs/training.md argues for it. */
export const phantomDefaults = {
  ...common, data: phantomData, size: 128, patients: 1200, prevalence: 0.5, blur: 1, labelNoise: 0, width: 0.25,
  epochs: 10, batch: 16, lr: cosine(0.05),
} as const;

/** For photographs of one's own. */
export const folderDefaults = { ...common, size: 224, width: 1, epochs: 30, batch: 32, lr: cosine(0.05) } as const;

/** How an option is written: `--class-weights` on the command line, `classWeights` in a config file. */
export type Spelling = (name: string) => string;
export const asFlag: Spelling = (name) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
export const asKey: Spelling = (name) => name;

/**
 * Checks options one by one.
 *
 * @param where put before messages: the file they come from
 * @throws OptionError naming the first that is wrong, what was given and what was expected; for an unknown one its nearest
 */
export function parseOptions(given: Readonly<Record<string, unknown>>, spell: Spelling = asKey, where = ''): RunOptions {
  const result = v.safeParse(schema, given);
  if (result.success) return result.output;
  const [issue] = result.issues;
  if (issue.path === undefined) {
    throw new OptionError(`${where}options: expected an object, got ${JSON.stringify(given) ?? 'nothing'}`);
  }
  const name = String(issue.path[0].key);
  if (!Object.hasOwn(shape, name)) {
    const near = didYouMean(name, optionNames.map(String)).replace(/'(\w+)'/, (_, x: string) => `'${spell(x)}'`);
    throw new OptionError(`${where}unknown option ${spell(name)}${near}`);
  }
  throw new OptionError(`${where}${spell(name)}: ${issue.message}, got ${JSON.stringify(given[name])}`);
}

/**
 * Fills in what was not said, and refuses what does not go together.
 *
 * @throws OptionError naming the options that disagree
 */
export async function resolveOptions(given: RunOptions, spell: Spelling = asKey): Promise<ResolvedOptions> {
  const phantom = (given.data ?? phantomData) === phantomData;
  for (const name of phantom ? folderOnly : phantomOnly) {
    if (given[name] === undefined) continue;
    throw new OptionError(phantom
      ? `${spell(name)} is of photographs: it needs ${spell('data')} with their folder`
      : `${spell(name)} is of the phantom: it does not go with ${spell('data')} ${String(given.data)}`);
  }
  if (given.positive !== undefined && given.labelColumn !== undefined) {
    throw new OptionError(`give either ${spell('positive')} or ${spell('labelColumn')}`);
  }
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const defaults = phantom ? phantomDefaults : folderDefaults;
  const transfer = transferDefaults(given, spell);
  const { model, width, ...others } = defaults;
  const resolved = { ...others, ...(transfer ?? { model, width }), ...defined } as ResolvedOptions;
  if (resolved.optimizer === 'adam') {
    if (given.momentum !== undefined) throw new OptionError(`${spell('momentum')} is of sgd, not of adam`);
    if (given.lr === undefined) resolved.lr = cosine(transfer ? 0.001 : 0.002);
  } else {
    resolved.momentum ??= 0.9;
  }
  checkUnfreezing(resolved, spell);
  if (resolved.validation + resolved.test >= 1) {
    throw new OptionError(`${spell('validation')} and ${spell('test')} leave nothing to train on`);
  }
  // Names that are unknown in it are refused now, not in the tenth epoch.
  await learningRateSchedule(resolved, 1);
  return resolved;
}

/** @throws OptionError for epochs that do not ascend from 2 on, or that never come */
function checkUnfreezing({ unfreeze, epochs }: ResolvedOptions, spell: Spelling): void {
  let least = 2;
  for (const part of unfreeze?.split(',') ?? []) {
    const epoch = Number(part.slice(part.indexOf('@') + 1));
    if (epoch < least) throw new OptionError(`${spell('unfreeze')} "${part}": expected epochs from ${least} on, ascending, got ${epoch}`);
    if (epoch > epochs) throw new OptionError(`${spell('unfreeze')} "${part}": epoch ${epoch} never comes: ${spell('epochs')} is ${epochs}`);
    least = epoch + 1;
  }
}

/**
 * What holds where a network begins from weights; undefined where it does not. Features of a frozen trunk can be kept where nothing is
 * augmented before it: then nothing is, unless it is asked for.
 *
 * @throws OptionError for options of the one that do not go with the other
 */
function transferDefaults(given: RunOptions, spell: Spelling) {
  if (given.weights === undefined) {
    const one = transferOnly.find((name) => given[name] !== undefined);
    if (one !== undefined) throw new OptionError(`${spell(one)} is of a network that begins from weights: it needs ${spell('weights')}`);
    if (given.normalize === 'model') throw new OptionError(`${spell('normalize')} model: it needs ${spell('weights')}`);
    return undefined;
  }
  const other = (['model', 'width'] as const).find((name) => given[name] !== undefined);
  if (other !== undefined) throw new OptionError(`${spell(other)} does not go with ${spell('weights')}: the network is that of the weights`);
  if (given.preprocess !== undefined && given.meanImage !== undefined) {
    throw new OptionError(`give either ${spell('preprocess')} or ${spell('meanImage')}`);
  }
  const said = (['preprocess', 'meanImage'] as const).find((name) => given[name] !== undefined);
  if (said !== undefined && (given.normalize ?? 'model') !== 'model') {
    throw new OptionError(`${spell(said)} is of what the weights want: it does not go with ${spell('normalize')} ${given.normalize}`);
  }
  if (given.freeze === 'none' && given.unfreeze !== undefined) {
    throw new OptionError(`${spell('unfreeze')} ${given.unfreeze} does not go with ${spell('freeze')} none: nothing is frozen`);
  }
  const whole = (given.freeze ?? 'trunk') === 'trunk' && given.unfreeze === undefined;
  const learning = { layerDecay: 1, batchNorm: 'frozen' } as const;
  // Of layers that learn: whoever says so wants some to.
  const idle = (['layerDecay', 'batchNorm'] as const).find((name) => whole && given[name] !== undefined && given[name] !== learning[name]);
  if (idle !== undefined) {
    throw new OptionError(`${spell(idle)} ${given[idle]} changes nothing where all of the trunk is frozen: `
      + `${spell('freeze')} or ${spell('unfreeze')} says what of it learns`);
  }
  return {
    ...learning, freeze: 'trunk', batchNormDefaults: 'mxnet-1.9', cacheFeatures: 'on', normalize: 'model', lr: cosine(0.01),
    augment: whole ? 'none' : 'flips',
  } as const;
}

/** The learning rate as a function of time. @param stepsAnEpoch for `updates`, the number of updates of the whole run */
export function learningRateSchedule({ lr, epochs }: Pick<ResolvedOptions, 'lr' | 'epochs'>, stepsAnEpoch: number) {
  return expression(String(lr), { epochs, updates: epochs * stepsAnEpoch });
}
