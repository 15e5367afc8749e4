/** What the Inceptions with batch norm share: convolution, batch norm, ReLU, and the rule for widths. */
import { OptionError } from '../errors.ts';
import { activation, batchNorm, convolution } from '../nn/layers.ts';
import type { ModelSymbol } from '../nn/symbol.ts';

export interface InceptionOptions {
  /** Default 1000, or 10 for the small network. */
  readonly classes?: number;
  /** Factor on the number of channels of every convolution, rounded to multiples of 8 (of 4 below 32). Default 1. */
  readonly width?: number;
}

/**
 * The channels of a convolution at a width.
 *
 * @throws OptionError where the width is not positive
 */
export function scaleChannels(channels: number, width: number): number {
  if (!(width > 0 && width <= 16)) throw new OptionError(`width: expected a number above 0, up to 16, got ${width}`);
  if (width === 1) return channels;
  const scaled = channels * width;
  // Vector kernels want multiples of 4, and fill tiles better with 8.
  const multiple = scaled < 32 ? 4 : 8;
  return Math.max(4, Math.round(scaled / multiple) * multiple);
}

export function checkClasses(classes: number): number {
  if (!Number.isInteger(classes) || classes < 1) throw new OptionError(`classes: expected a positive integer, got ${classes}`);
  return classes;
}

/** Convolution, batch norm, ReLU. `suffix` comes after all three names. */
export function unit(
  data: ModelSymbol,
  numFilter: number,
  kernel: readonly [number, number],
  name: string,
  options: { suffix?: string; stride?: readonly [number, number]; pad?: readonly [number, number] } = {},
): ModelSymbol {
  const { suffix = '', stride = [1, 1], pad = [0, 0] } = options;
  const conv = convolution(data, { numFilter, kernel, stride, pad, name: `conv_${name}${suffix}` });
  // The epsilon is as the script had it.
  const norm = batchNorm(conv, { fixGamma: false, eps: 1e-5 + 1e-10, momentum: 0.9, name: `bn_${name}${suffix}` });
  return activation(norm, { actType: 'relu', name: `relu_${name}${suffix}` });
}
