/**
 * Inception-BN: Ioffe and Szegedy, "Batch Normalization" (2015), as MXNet's example/image-classification had it in October
 * 2016 (symbol_inception-bn.py), by its layer names. Its parameters are 11,295,240 at width 1 and 1000 classes, convolution
 * biases included.
 */
import { concat, flatten, fullyConnected, pooling, softmaxOutput, variable } from '../nn/layers.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { checkClasses, scaleChannels, unit } from './unit.ts';
import type { InceptionOptions } from './unit.ts';

export type { InceptionOptions } from './unit.ts';

/** Channels of a block that keeps the image's size: 1x1, 3x3 (reduced, out), double 3x3 (reduced, out), pool, projection. */
type KeepRow = readonly [string, number, number, number, number, number, 'avg' | 'max', number];
/** Channels of a block that halves it: 3x3 (reduced, out), double 3x3 (reduced, out). */
type HalveRow = readonly [string, number, number, number, number];

const blocks: readonly (KeepRow | HalveRow)[] = [
  ['3a', 64, 64, 64, 64, 96, 'avg', 32],
  ['3b', 64, 64, 96, 64, 96, 'avg', 64],
  ['3c', 128, 160, 64, 96],
  ['4a', 224, 64, 96, 96, 128, 'avg', 128],
  ['4b', 192, 96, 128, 96, 128, 'avg', 128],
  ['4c', 160, 128, 160, 128, 160, 'avg', 128],
  ['4d', 96, 128, 192, 160, 192, 'avg', 128],
  ['4e', 128, 192, 192, 256],
  ['5a', 352, 192, 320, 160, 224, 'avg', 128],
  ['5b', 352, 192, 320, 192, 224, 'max', 128],
];

function doubleThree(data: ModelSymbol, name: string, reduced: number, out: number, stride: readonly [number, number]): ModelSymbol {
  const first = unit(data, reduced, [1, 1], `${name}_double_3x3`, { suffix: '_reduce' });
  const second = unit(first, out, [3, 3], `${name}_double_3x3_0`, { pad: [1, 1] });
  return unit(second, out, [3, 3], `${name}_double_3x3_1`, { stride, pad: [1, 1] });
}

function three(data: ModelSymbol, name: string, reduced: number, out: number, stride: readonly [number, number]): ModelSymbol {
  const first = unit(data, reduced, [1, 1], `${name}_3x3`, { suffix: '_reduce' });
  return unit(first, out, [3, 3], `${name}_3x3`, { stride, pad: [1, 1] });
}

function keep(data: ModelSymbol, [name, one, r3, out3, rd, outd, poolType, proj]: KeepRow): ModelSymbol {
  const a = unit(data, one, [1, 1], `${name}_1x1`);
  const b = three(data, name, r3, out3, [1, 1]);
  const c = doubleThree(data, name, rd, outd, [1, 1]);
  const poolName = `${poolType}_pool_${name}_pool`;
  const pool = pooling(data, { kernel: [3, 3], stride: [1, 1], pad: [1, 1], poolType, name: poolName });
  return concat([a, b, c, unit(pool, proj, [1, 1], `${name}_proj`)], { name: `ch_concat_${name}_chconcat` });
}

function halve(data: ModelSymbol, [name, r3, out3, rd, outd]: HalveRow): ModelSymbol {
  const b = three(data, name, r3, out3, [2, 2]);
  const c = doubleThree(data, name, rd, outd, [2, 2]);
  const pool = pooling(data, { kernel: [3, 3], stride: [2, 2], pad: [1, 1], poolType: 'max', name: `max_pool_${name}_pool` });
  return concat([b, c, pool], { name: `ch_concat_${name}_chconcat` });
}

/**
 * The network, inputs `data` [N, 3, H, W] and `softmax_label` [N]. Made for 224 x 224; any size from 13 on will do, since the
 * last pooling is global. `internals(net).fc1_output` are its logits, `.global_pool_output` its features (1024 at width 1).
 *
 * @throws OptionError for classes or width out of range
 */
export function inceptionBN(options: InceptionOptions = {}): ModelSymbol {
  const { width = 1 } = options;
  const classes = checkClasses(options.classes ?? 1000);
  const scale = (channels: number): number => scaleChannels(channels, width);
  let x = unit(variable('data'), scale(64), [7, 7], '1', { stride: [2, 2], pad: [3, 3] });
  x = pooling(x, { kernel: [3, 3], stride: [2, 2], poolType: 'max', name: 'pool_1' });
  x = unit(x, scale(64), [1, 1], '2_red');
  x = unit(x, scale(192), [3, 3], '2', { pad: [1, 1] });
  x = pooling(x, { kernel: [3, 3], stride: [2, 2], poolType: 'max', name: 'pool_2' });
  for (const row of blocks) {
    const scaled = row.map((v, i) => (i > 0 && typeof v === 'number' ? scale(v) : v));
    x = row.length === 8 ? keep(x, scaled as unknown as KeepRow) : halve(x, scaled as unknown as HalveRow);
  }
  x = pooling(x, { kernel: [7, 7], stride: [1, 1], globalPool: true, poolType: 'avg', name: 'global_pool' });
  x = flatten(x, { name: 'flatten' });
  return softmaxOutput(fullyConnected(x, { numHidden: classes, name: 'fc1' }), { name: 'softmax' });
}
