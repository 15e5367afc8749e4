/** Augmentations as text, for command lines and config files: `noise=2@infected,rotate180@infected`, `rotate=15,scale=0.9-1.1,flips`. */
import { OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import type { Augmentation, TracedTransform } from './augment.ts';
import { augment } from './augment.ts';
import type { InterMethod, RecordAugmentationOptions } from './record-augmentation.ts';
import { recordAugmentation } from './record-augmentation.ts';
import { flipLeftRight, flipUpDown, gaussianNoise, rotate180 } from './transforms.ts';

/** What a word stands for, where it is one that takes part in `recordAugmentation`: the value between its bounds, the first of two less. */
const recordWords: Readonly<Record<string, (low: number, high: number) => RecordAugmentationOptions>> = {
  rotate: (_, angle) => ({ maxRotateAngle: angle }),
  shear: (_, ratio) => ({ maxShearRatio: ratio }),
  aspect: (_, ratio) => ({ maxAspectRatio: ratio }),
  scale: (low, high) => ({ minRandomScale: low, maxRandomScale: high }),
  crop: (low, high) => ({ minCropSize: low, maxCropSize: high }),
  pad: (_, pixels) => ({ pad: pixels }),
  fill: (_, level) => ({ fillValue: level }),
  hue: (_, most) => ({ randomH: most }),
  saturation: (_, most) => ({ randomS: most }),
  lightness: (_, most) => ({ randomL: most }),
  contrast: (_, most) => ({ maxRandomContrast: most }),
  illumination: (_, most) => ({ maxRandomIllumination: most }),
};

/** Those of them whose value is a name. */
const namedWords: Readonly<Record<string, (name: string) => RecordAugmentationOptions>> = {
  inter: (name) => ({ interMethod: name as InterMethod }),
};

/** Those that are transforms of their own. */
const plainWords: Readonly<Record<string, (value: number | undefined) => readonly TracedTransform[]>> = {
  flips: () => [flipUpDown, flipLeftRight],
  rotate180: () => [rotate180],
  noise: (value) => [gaussianNoise(value!)],
};

/** Words that say how images are resampled, and change none by themselves. */
const wordsOfResampling: readonly string[] = ['fill', ...Object.keys(namedWords)];
/** Those that resample. */
const resampling: readonly string[] = ['rotate', 'shear', 'aspect', 'scale', 'crop', 'pad'];

/** Words that take both bounds of a range; all others one value. */
const rangeWords: readonly string[] = ['scale', 'crop'];

const words = [...Object.keys(plainWords), ...Object.keys(recordWords), ...Object.keys(namedWords)];

interface Term {
  readonly text: string;
  readonly word: string;
  /** What stands behind =, where it is one. */
  readonly value: string | undefined;
  /** Its numbers; equal where one is given. */
  readonly range: readonly [number, number] | undefined;
  readonly probability: number | undefined;
  readonly which: string | undefined;
}

const exampleOf = (word: string): string => (word in namedWords ? `${word}=cubic` : 'noise=2');

function parseTerm(text: string): Term {
  const match = /^([a-z0-9]+)(?:=([\d.]+|[a-z][a-z\d]*)(?:-([\d.]+))?)?(?::([\d.]+))?(?:@(.+))?$/.exec(text);
  if (match === null) {
    throw new OptionError(`'${text}' is no augmentation; expected a word, =VALUE, :PROBABILITY and @CLASS, as in noise=2:0.5@infected`);
  }
  const [, word, low, upper, probability, which] = match;
  const high = upper ?? low;
  if (!words.includes(word)) throw new OptionError(`'${word}' is none of none, ${words.join(', ')}${didYouMean(word, words)}`);
  const isNamed = word in namedWords;
  const takesNone = word === 'flips' || word === 'rotate180';
  if (takesNone !== (low === undefined)) {
    throw new OptionError(`'${text}': ${word} takes ${takesNone ? 'no value' : `a value, as in ${exampleOf(word)}`}`);
  }
  if (upper !== undefined && !rangeWords.includes(word)) {
    const example = isNamed ? exampleOf(word) : `${word}=${upper}`;
    throw new OptionError(`'${text}': ${word} takes one value, as in ${example}; ${rangeWords.join(' and ')} take a range`);
  }
  const numbers = [...(isNamed ? [] : [low, high]), probability].filter((x) => x !== undefined);
  if (numbers.some((x) => Number.isNaN(Number(x)))) throw new OptionError(`'${text}': a number was expected after = and :`);
  return {
    text, word, which, value: low, range: low === undefined ? undefined : [Number(low), Number(high)],
    probability: probability === undefined ? undefined : Number(probability),
  };
}

/**
 * The augmentations that a text names, separated by commas. Flips (each axis), the turn by 180 degrees and noise (its deviation in grey
 * levels) fall on half of the images where no probability is given; the words of the record iterator, which together are one
 * `recordAugmentation` for each class and probability, on all, with crops anywhere.
 *
 * @throws OptionError for an unknown word, with the nearest; a value out of range; a word that is there twice for a class; `fill` and `inter`
 *   without one that they are about
 */
export function parseAugmentations(text: string): Augmentation[] {
  if (text.trim() === 'none') return [];
  const out: Augmentation[] = [];
  const records = new Map<string, { readonly terms: Term[]; options: RecordAugmentationOptions }>();
  const seen = new Set<string>();
  for (const term of text.split(',').map((part) => parseTerm(part.trim()))) {
    const { word, value, range, probability, which } = term;
    const suffix = which === undefined ? '' : `@${which}`;
    if (seen.has(word + suffix)) throw new OptionError(`'${word}${suffix}' is there twice`);
    seen.add(word + suffix);
    if (word in plainWords) {
      out.push(...plainWords[word](range?.[1]).map((tensor) =>
        augment({ name: tensor.name + suffix, class: which, probability: probability ?? 0.5, tensor })));
      continue;
    }
    const key = `record${suffix}${probability === undefined ? '' : `:${probability}`}`;
    const record = records.get(key) ?? { terms: [], options: { randCrop: true } };
    record.terms.push(term);
    record.options = { ...record.options, ...(word in namedWords ? namedWords[word](value!) : recordWords[word](...range!)) };
    records.set(key, record);
  }
  for (const { terms } of records.values()) {
    const idle = terms.find((term) => wordsOfResampling.includes(term.word));
    if (idle === undefined || terms.some((term) => resampling.includes(term.word))) continue;
    throw new OptionError(`'${idle.text}' has nothing to resample: it goes with ${resampling.join(', ')} of the same @CLASS and :PROBABILITY`);
  }
  // First, as the iterator's own order is before normalisation: noise should not be smoothed by a resampling after it.
  return [...[...records].map(([name, { terms: [{ which, probability }], options }]) =>
    augment({ name, class: which, probability, tensor: recordAugmentation(options) })), ...out];
}
