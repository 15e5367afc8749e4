import { OptionError } from '../../errors.ts';
import { flag, float, ignored, integer } from '../attributes.ts';
import { axisInMemory, defineOperator, permuted, resolveAxis } from '../operator.ts';

/**
 * Batch normalization (Ioffe and Szegedy, 2015) over all axes but one. In training it uses the batch's statistics and moves
 * the moving ones, `moving * momentum + batch * (1 - momentum)`, both with the biased variance as MXNet's do;
 * `use_global_stats` keeps to the moving ones. `fix_gamma` takes gamma as 1.
 */
export const batchNorm = defineOperator({
  name: 'BatchNorm',
  aliases: ['BatchNorm_v1', 'CuDNNBatchNorm'],
  kind: 'normalization',
  schema: {
    eps: float(1e-3),
    momentum: float(0.9),
    fix_gamma: flag(true),
    use_global_stats: flag(false),
    output_mean_var: flag(false),
    axis: integer(1),
    cudnn_off: ignored,
  },
  inputs: () => ['data', 'gamma', 'beta', 'moving_mean', 'moving_var'],
  auxiliary: ['moving_mean', 'moving_var'],
  outputCount: () => 3,
  completeShapes([data, ...rest], { name, attributes: a }) {
    if (data === undefined) return [data, ...rest];
    const c = [data[resolveAxis(a.axis, data.length, name)]];
    return [data, c, c, c, c];
  },
  lower(e, [x, gamma, beta, mean, variance], { name, attributes: a }) {
    if (a.output_mean_var) throw new OptionError('output_mean_var is not supported');
    const rank = e.typeOf(x).shape.length;
    // The op normalizes the last axis, where the channels of images lie.
    const axis = axisInMemory(resolveAxis(a.axis, rank, name), rank);
    const axes = Array.from({ length: rank }, (_, i) => i);
    const forth = [...axes.filter((i) => i !== axis), axis];
    const back = axes.map((i) => forth.indexOf(i));
    const input = permuted(e, x, forth);
    const attrs = { epsilon: a.eps, fixGamma: a.fix_gamma };
    if (!e.training || a.use_global_stats) {
      const [y] = e.emit('normalize', [input, mean, variance, gamma, beta], { ...attrs, activation: 'none' });
      return [permuted(e, y, back)];
    }
    const [y, batchMean, batchVariance] = e.emit('batchNorm', [input, gamma, beta], { ...attrs, activation: 'none' });
    e.update(mean, e.emit('movingAverage', [mean, batchMean], { momentum: a.momentum })[0]);
    e.update(variance, e.emit('movingAverage', [variance, batchVariance], { momentum: a.momentum })[0]);
    return [permuted(e, y, back)];
  },
});

export const normalizations = [batchNorm];
