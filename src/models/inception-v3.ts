/**
 * Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2015), without its auxiliary head, by
 * Keras' layer names (`conv2d_1`, `batch_normalization_1`, `activation_1`, ... in order of making; blocks `mixed0` to `mixed10`).
 * It learns 23,834,568 numbers at width 1 and 1000 classes, the gammas of its 94 batch norms (17,216) among them.
 */
import { OptionError } from '../errors.ts';
import { activation, batchNorm, concat, convolution, flatten, fullyConnected, pooling, softmaxOutput, variable } from '../nn/layers.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { checkClasses, scaleChannels } from './unit.ts';
import type { InceptionOptions } from './unit.ts';

/**
 * Whose Inception v3: they differ in what weights cannot say. Keras takes gamma as 1, and leaves the padding out of average pools;
 * torchvision (timm too) learns gamma, and counts it in; MXNet's example takes gamma as 1, counts it in, and its last block pools maxima.
 */
export const inceptionV3Variants = ['keras', 'torchvision', 'mxnet'] as const;
export type InceptionV3Variant = (typeof inceptionV3Variants)[number];

export interface InceptionV3Options extends InceptionOptions {
  /** Default `keras`. */
  readonly variant?: InceptionV3Variant;
}

type Pair = readonly [number, number];
/** One convolution of a branch: filters and kernel; padded to keep the size, unless it halves it. */
type Conv = readonly [filters: number, kernel: Pair, halve?: 'halve'];

const [one, three, five, row, column] = [[1, 1], [3, 3], [5, 5], [1, 7], [7, 1]] as const;

/** Makes layers, numbering them as Keras does. */
class Builder {
  readonly #counts = new Map<string, number>();
  readonly #width: number;
  readonly #variant: InceptionV3Variant;

  constructor(width: number, variant: InceptionV3Variant) {
    this.#width = width;
    this.#variant = variant;
  }

  name(stem: string): string {
    const count = (this.#counts.get(stem) ?? 0) + 1;
    this.#counts.set(stem, count);
    return `${stem}_${count}`;
  }

  /** Convolution without a bias, batch norm, ReLU. */
  conv(data: ModelSymbol, filters: number, kernel: Pair, stride: Pair, pad: Pair): ModelSymbol {
    const numFilter = scaleChannels(filters, this.#width);
    const conv = convolution(data, { numFilter, kernel, stride, pad, noBias: true, name: this.name('conv2d') });
    const fixGamma = this.#variant !== 'torchvision';
    const norm = batchNorm(conv, { eps: 1e-3, momentum: 0.99, fixGamma, name: this.name('batch_normalization') });
    return activation(norm, { actType: 'relu', name: this.name('activation') });
  }

  branch(data: ModelSymbol, ...convs: readonly Conv[]): ModelSymbol {
    return convs.reduce((x, [filters, kernel, halve]) =>
      this.conv(x, filters, kernel, halve ? [2, 2] : [1, 1], halve ? [0, 0] : [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2]), data);
  }

  halvingPool(data: ModelSymbol): ModelSymbol {
    return pooling(data, { kernel: [3, 3], stride: [2, 2], poolType: 'max', name: this.name('max_pooling2d') });
  }

  /** 3x3 with stride 1, then a projection. */
  poolBranch(data: ModelSymbol, filters: number, last = false): ModelSymbol {
    const window = { kernel: [3, 3], stride: [1, 1], pad: [1, 1] } as const;
    const pool = last && this.#variant === 'mxnet'
      ? pooling(data, { ...window, poolType: 'max', name: this.name('max_pooling2d') })
      : pooling(data, { ...window, poolType: 'avg', countIncludePad: this.#variant !== 'keras', name: this.name('average_pooling2d') });
    return this.branch(pool, [filters, one]);
  }
}

/** 35 x 35: a, e of figure 5 in the paper. */
function blockA(b: Builder, x: ModelSymbol, name: string, pool: number): ModelSymbol {
  const parts = [
    b.branch(x, [64, one]), b.branch(x, [48, one], [64, five]), b.branch(x, [64, one], [96, three], [96, three]), b.poolBranch(x, pool),
  ];
  return concat(parts, { name });
}

/** To 17 x 17. */
function blockB(b: Builder, x: ModelSymbol, name: string): ModelSymbol {
  const parts = [b.branch(x, [384, three, 'halve']), b.branch(x, [64, one], [96, three], [96, three, 'halve'])];
  return concat([...parts, b.halvingPool(x)], { name });
}

/** 17 x 17, with 7 x 7 as 1 x 7 and 7 x 1. */
function blockC(b: Builder, x: ModelSymbol, name: string, c: number): ModelSymbol {
  const parts = [
    b.branch(x, [192, one]), b.branch(x, [c, one], [c, row], [192, column]),
    b.branch(x, [c, one], [c, column], [c, row], [c, column], [192, row]), b.poolBranch(x, 192),
  ];
  return concat(parts, { name });
}

/** To 8 x 8. */
function blockD(b: Builder, x: ModelSymbol, name: string): ModelSymbol {
  const parts = [
    b.branch(x, [192, one], [320, three, 'halve']), b.branch(x, [192, one], [192, row], [192, column], [192, three, 'halve']),
  ];
  return concat([...parts, b.halvingPool(x)], { name });
}

/** 8 x 8, with 3 x 3 as 1 x 3 beside 3 x 1. */
function blockE(b: Builder, x: ModelSymbol, name: string, index: number): ModelSymbol {
  const fan = (data: ModelSymbol, fanName: string): ModelSymbol =>
    concat([b.branch(data, [384, [1, 3]]), b.branch(data, [384, [3, 1]])], { name: fanName });
  const parts = [
    b.branch(x, [320, one]),
    fan(b.branch(x, [384, one]), `mixed9_${index}`),
    fan(b.branch(x, [448, one], [384, three]), b.name('concatenate')),
    b.poolBranch(x, 192, index === 1),
  ];
  return concat(parts, { name });
}

/**
 * The network, inputs `data` [N, 3, H, W] and `softmax_label` [N]. Made for 299 x 299; any size from 75 on will do, since the last
 * pooling is global. `internals(net).mixed0_output` to `.mixed10_output` are its blocks, `.global_pool_output` its features (2048
 * at width 1), `.fc1_output` its logits.
 *
 * @throws OptionError for classes or width out of range, or an unknown variant
 */
export function inceptionV3(options: InceptionV3Options = {}): ModelSymbol {
  const { width = 1, variant = 'keras' } = options;
  if (!inceptionV3Variants.includes(variant)) {
    throw new OptionError(`variant: expected one of ${inceptionV3Variants.join(', ')}, got ${String(variant)}`);
  }
  const classes = checkClasses(options.classes ?? 1000);
  const b = new Builder(width, variant);
  let x = b.branch(variable('data'), [32, three, 'halve']);
  x = b.conv(x, 32, [3, 3], [1, 1], [0, 0]);
  x = b.halvingPool(b.branch(x, [64, three]));
  x = b.branch(x, [80, one]);
  x = b.halvingPool(b.conv(x, 192, [3, 3], [1, 1], [0, 0]));
  [32, 64, 64].forEach((pool, i) => (x = blockA(b, x, `mixed${i}`, pool)));
  x = blockB(b, x, 'mixed3');
  [128, 160, 160, 192].forEach((c, i) => (x = blockC(b, x, `mixed${4 + i}`, c)));
  x = blockD(b, x, 'mixed8');
  for (const index of [0, 1]) x = blockE(b, x, `mixed${9 + index}`, index);
  x = pooling(x, { kernel: [8, 8], globalPool: true, poolType: 'avg', name: 'global_pool' });
  x = flatten(x, { name: 'flatten' });
  return softmaxOutput(fullyConnected(x, { numHidden: classes, name: 'fc1' }), { name: 'softmax' });
}
