/**
 * A convolution whose result is normalized as it is stored: attributes, inputs, and its lowering where a device has no kernels that do so.
 * That is the composition: the convolution goes to scratch memory, in float32, and is normalized from there.
 */
import type { Launch, Lowering, TensorType } from '../../device/types.ts';
import { bytesPerElement, sizeOf } from '../../device/types.ts';
import type { ConvAttrs } from './conv.ts';
import { inScratch } from './prologue.ts';
import type { NormalizeAttrs } from './prologue.ts';

export type EpilogueAttrs = ConvAttrs & NormalizeAttrs;

/** Image and filter come first, then what normalize reads besides: mean, variance, gamma, beta; then a bias, if any. */
const OPERANDS = 2;
const VECTORS = 4;

/** The convolution's inputs. */
export const convolvedBy = <T>(inputs: readonly T[]): T[] => [...inputs.slice(0, OPERANDS), ...inputs.slice(OPERANDS + VECTORS)];

/** Normalize's, of which what was convolved is the first. */
export const normalizedBy = <T>(inputs: readonly T[], y: T): T[] => [y, ...inputs.slice(OPERANDS, OPERANDS + VECTORS)];

type PlainAttrs = ConvAttrs & { readonly activation: 'none' };

/** The convolution's attributes. */
export const convAttrs = ({ stride, padding, dilation }: EpilogueAttrs): PlainAttrs => ({ stride, padding, dilation, activation: 'none' });

/** What was convolved, ahead of its normalization. */
export const between = ({ shape }: TensorType): TensorType => ({ shape, dtype: 'float32' });

/** As if the convolution were one launch and normalize another. */
export function followed<L extends Launch>(conv: Lowering<PlainAttrs, L>, normalize: Lowering<NormalizeAttrs['normalize'], L>): Lowering<EpilogueAttrs, L> {
  return {
    scratch: (inputs, [y], attrs, features) => [
      sizeOf(y.shape) * bytesPerElement.float32,
      ...(conv.scratch?.(convolvedBy(inputs), [between(y)], convAttrs(attrs), features) ?? []),
    ],
    launches({ inputs, outputs: [y], scratch: [image, ...scratch], attrs, features }) {
      const convolved = inScratch({ ...y, ...between(y) }, image);
      return [
        ...conv.launches({ inputs: convolvedBy(inputs), outputs: [convolved], scratch, attrs: convAttrs(attrs), features }),
        ...normalize.launches({ inputs: normalizedBy(inputs, convolved), outputs: [y], scratch: [], attrs: attrs.normalize, features }),
      ];
    },
  };
}
