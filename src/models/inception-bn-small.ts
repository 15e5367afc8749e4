/**
 * Inception-BN for images of 28 x 28, as MXNet's example/image-classification had it (symbol_inception-bn-28-small.py; layer
 * names as its successor gave them). Its parameters are 1,652,826 at width 1 and 10 classes, convolution biases included.
 */
import { concat, flatten, fullyConnected, pooling, softmaxOutput, variable } from '../nn/layers.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { checkClasses, scaleChannels, unit } from './unit.ts';
import type { InceptionOptions } from './unit.ts';

/** Channels of the 1x1 and 3x3 convolutions; of the 3x3 alone where the block halves the image. */
const blocks: readonly (readonly [string, number, number?])[] = [
  ['in3a', 32, 32], ['in3b', 32, 48], ['in3c', 80],
  ['in4a', 112, 48], ['in4b', 96, 64], ['in4c', 80, 80], ['in4d', 48, 96], ['in4e', 96],
  ['in5a', 176, 160], ['in5b', 176, 160],
];

function simple(data: ModelSymbol, name: string, one: number, three: number): ModelSymbol {
  const a = unit(data, one, [1, 1], `${name}_1x1`);
  const b = unit(data, three, [3, 3], `${name}_3x3`, { pad: [1, 1] });
  return concat([a, b], { name: `${name}_chconcat` });
}

function downsample(data: ModelSymbol, name: string, three: number): ModelSymbol {
  const a = unit(data, three, [3, 3], `${name}_conv`, { stride: [2, 2], pad: [1, 1] });
  const pool = pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType: 'max', name: `${name}_pool` });
  return concat([a, pool], { name: `${name}_chconcat` });
}

/**
 * The network, inputs `data` [N, 3, H, W] and `softmax_label` [N]. Made for 28 x 28; any size will do, since the last pooling
 * is global.
 *
 * @throws OptionError for classes or width out of range
 */
export function inceptionBNSmall(options: InceptionOptions = {}): ModelSymbol {
  const { width = 1 } = options;
  const classes = checkClasses(options.classes ?? 10);
  const scale = (channels: number): number => scaleChannels(channels, width);
  let x = unit(variable('data'), scale(96), [3, 3], '1', { pad: [1, 1] });
  for (const [name, first, three] of blocks) {
    x = three === undefined ? downsample(x, name, scale(first)) : simple(x, name, scale(first), scale(three));
  }
  x = pooling(x, { kernel: [7, 7], globalPool: true, poolType: 'avg', name: 'global_pool' });
  x = flatten(x, { name: 'flatten1' });
  return softmaxOutput(fullyConnected(x, { numHidden: classes, name: 'fc1' }), { name: 'softmax' });
}
