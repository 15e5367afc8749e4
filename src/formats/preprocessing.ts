/** What a checkpoint wants done to images before it sees them. It travels with the model, as attributes of its input. */
import { FormatError, OptionError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import { formatAttribute } from '../nn/attributes.ts';
import { changeAttributes } from '../nn/symbol.ts';
import type { ModelSymbol } from '../nn/symbol.ts';

/** x = (byte - mean) / deviation, for bytes of 0 to 255 in the order red, green, blue. */
export interface Preprocessing {
  /** [height, width] in pixels that the network was trained at, where the file says so. */
  readonly size?: readonly [number, number];
  /** Of each channel, in units of a byte. Zeros where there is a mean image. */
  readonly mean: readonly number[];
  /** Of each channel, in units of a byte. */
  readonly deviation: readonly number[];
  /** The mean of each pixel, float32 [3, height, width], where the network was trained on images less their mean image. */
  readonly meanImage?: HostArray;
}

/** [0, 255] to [-1, 1], as the Inceptions of Keras, of TensorFlow and (by `transform_input`) of torchvision take images. */
export const toMinusOneToOne: Preprocessing = { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5] };

/** How a warning writes the option by which preprocessing can be said otherwise. */
export type SpellPreprocessing = (option: 'preprocessing' | 'meanImage') => string;
export const asOption: SpellPreprocessing = (option) => `option ${option}`;

/** Preprocessing that was given in place of a model's own, at the model's size where none was given with it. */
export function atSize(given: Preprocessing | undefined, size: Preprocessing['size']): Preprocessing | undefined {
  return given && { ...(size && { size }), ...given };
}

/** The mean of ImageNet's colours alone, as MXNet's example scripts of 2016 subtract it. */
export const lessMeanColour: Preprocessing = { mean: [123.68, 116.779, 103.939], deviation: [1, 1, 1] };

/**
 * The preprocessing that a symbol's input states, or undefined where it states none. The mean image, being no attribute, is
 * given with it (`PREFIX-mean.nd`).
 *
 * @throws FormatError where an attribute cannot be read
 */
export function preprocessingOf(symbol: ModelSymbol, meanImage?: HostArray): Preprocessing | undefined {
  const node = symbol.nodes.find((n) => n.op === 'null' && (n.attributes.__mean__ ?? n.attributes.__deviation__) !== undefined);
  if (node === undefined) return meanImage && { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage };
  const numbers = (key: string, fallback: readonly number[]): readonly number[] => {
    const text = node.attributes[key];
    if (text === undefined) return fallback;
    const values = /^\(.*\)$/.test(text) ? text.slice(1, -1).split(',').filter((t) => t.trim() !== '').map(Number) : [];
    if (values.length === 0 || !values.every((v) => Number.isFinite(v))) {
      throw new FormatError(`variable "${node.name}": ${key}: expected numbers in parentheses, got "${text}"`);
    }
    return values;
  };
  const mean = numbers('__mean__', [0, 0, 0]);
  const size = numbers('__size__', []);
  return {
    mean,
    deviation: numbers('__deviation__', mean.map(() => 1)),
    ...(size.length === 2 ? { size: [size[0], size[1]] } : {}),
    ...(meanImage === undefined ? {} : { meanImage }),
  };
}

/**
 * The symbol with the preprocessing (but for its mean image) as attributes of the input `data`, for files to keep, in place of what they
 * said before; without one, with nothing there.
 *
 * @throws OptionError where there is something to say, and no such input
 */
export function withPreprocessing(symbol: ModelSymbol, preprocessing: Preprocessing | undefined): ModelSymbol {
  const { mean, deviation, size } = preprocessing ?? {};
  if (preprocessing !== undefined && !symbol.nodes.some(({ op, name }) => op === 'null' && name === 'data')) {
    throw new OptionError(`preprocessing stands with the input data; the network has ${symbol.listArguments()[0]}, ...`);
  }
  const stated = { __mean__: mean, __deviation__: deviation, __size__: size };
  return changeAttributes(symbol, (node) => {
    if (node.op !== 'null' || node.name !== 'data') return undefined;
    const others = Object.entries(node.attributes).filter(([key]) => !(key in stated));
    const own = Object.entries(stated).flatMap(([key, numbers]) => (numbers ? [[key, formatAttribute(numbers)]] : []));
    return Object.fromEntries([...others, ...own]) as Readonly<Record<string, string>>;
  });
}
