import { OptionError, ShapeError } from '../../errors.ts';
import { flag, ignored, oneOf, tuple } from '../attributes.ts';
import { defineOperator } from '../operator.ts';
import { pair } from './convolution.ts';

/** Max and average pooling over height and width. `full` rounds output sizes up, `valid` down. */
export const poolingOperator = defineOperator({
  name: 'Pooling',
  aliases: ['Pooling_v1'],
  kind: 'pooling',
  schema: {
    kernel: tuple([], { minimum: 1 }),
    stride: tuple([1, 1], { minimum: 1 }),
    pad: tuple([0, 0], { minimum: 0 }),
    pool_type: oneOf(['max', 'avg'], 'max'),
    global_pool: flag(false),
    pooling_convention: oneOf(['valid', 'full'], 'valid'),
    count_include_pad: flag(true),
    layout: oneOf(['NCHW', 'None'], 'NCHW'),
    cudnn_off: ignored,
  },
  inputs: () => ['data'],
  // MXNet keeps places of maxima only where a kernel of two sides is stated, were it for a global pooling that reads none.
  outputCount: (a) => (a.pool_type === 'max' && a.kernel.length === 2 ? 2 : 1),
  lower(e, [x], { attributes: a }) {
    const { shape } = e.typeOf(x);
    if (shape.length !== 4) throw new ShapeError(`data: expected four axes, got ${shape.length}`);
    if (a.global_pool) {
      return e.emit(a.pool_type === 'max' ? 'max' : 'mean', [x], { axes: [1, 2], keepDims: true });
    }
    if (a.kernel.length !== 2) throw new OptionError(`kernel: expected (height, width), got (${a.kernel.join(', ')})`);
    const [h, w] = pair(a.pad, 0);
    const window = {
      size: [...a.kernel],
      stride: pair(a.stride, 1),
      padding: [h, h, w, w],
      ceil: a.pooling_convention === 'full',
    };
    return a.pool_type === 'max'
      ? e.emit('maxPool2d', [x], window)
      : e.emit('avgPool2d', [x], { ...window, countPadding: a.count_include_pad });
  },
});

export const pooling = [poolingOperator];
