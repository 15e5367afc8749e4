import { OptionError, ShapeError } from '../../errors.ts';
import { flag, ignored, integer, oneOf, tuple } from '../attributes.ts';
import { defineOperator } from '../operator.ts';

/** Convolution of images: kernel, stride, pad and dilate are [height, width]; the weight is OIHW in MXNet, KRSC below. */
export const convolution = defineOperator({
  name: 'Convolution',
  aliases: ['Convolution_v1'],
  kind: 'convolution',
  schema: {
    kernel: tuple(undefined, { length: 2, minimum: 1 }),
    num_filter: integer(undefined, 1),
    stride: tuple([1, 1], { minimum: 1 }),
    pad: tuple([0, 0], { minimum: 0 }),
    dilate: tuple([1, 1], { minimum: 1 }),
    num_group: integer(1, 1),
    no_bias: flag(false),
    layout: oneOf(['NCHW', 'None'], 'NCHW'),
    workspace: ignored,
    cudnn_tune: ignored,
    cudnn_off: ignored,
  },
  inputs: (a) => (a.no_bias ? ['data', 'weight'] : ['data', 'weight', 'bias']),
  completeShapes([data, weight, bias], { attributes: a }) {
    if (data === undefined) return [data, weight, bias];
    if (data.length !== 4) throw new ShapeError(`data: expected four axes (NCHW), got [${data.join(', ')}]`);
    return [data, [a.num_filter, data[1] / a.num_group, ...a.kernel], [a.num_filter]];
  },
  lower(e, inputs, { attributes: a }) {
    if (a.num_group !== 1) {
      throw new OptionError(`num_group ${a.num_group}: grouped convolution is not supported`);
    }
    const [h, w] = pair(a.pad, 0);
    return e.emit('conv2d', inputs, {
      stride: pair(a.stride, 1),
      padding: [h, h, w, w],
      dilation: pair(a.dilate, 1),
      activation: 'none',
    });
  },
});

/** MXNet takes an empty tuple for the default. */
export function pair(value: readonly number[], fallback: number): [number, number] {
  if (value.length === 0) return [fallback, fallback];
  if (value.length !== 2) throw new OptionError(`expected two numbers (height, width), got (${value.join(', ')})`);
  return [value[0], value[1]];
}

export const convolutions = [convolution];
