/**
 * Convolutions whose image is normalized on its way: attributes, and what they share. Where a device has no kernels that normalize as they
 * read, their lowering is the composition: what is normalized goes to scratch memory, and is convolved from there.
 */
import type { Launch, Lowering, Placed, Scratch, TensorType } from '../../device/types.ts';
import { bytesPerElement, sizeOf } from '../../device/types.ts';
import type { Attrs, Node } from '../../graph/node.ts';
import type { Rewrite } from '../../graph/op.ts';

/** How the image is normalized, as normalize's attributes say. */
export type NormalizeAttrs = {
  readonly normalize: { readonly epsilon: number; readonly fixGamma: boolean; readonly activation: 'none' | 'relu' };
};

/** Inputs of normalize, which come first: x, mean, variance, gamma, beta. */
export const NORMALIZE_INPUTS = 5;

/** The inputs of the convolution, of which `x` is the first. */
export const convolved = <T extends TensorType>(inputs: readonly T[], x: T): T[] => [x, ...inputs.slice(NORMALIZE_INPUTS)];

/** The attributes of the convolution. */
export function plainAttrs<A extends Attrs>(attrs: A & NormalizeAttrs): A {
  const { normalize: _, ...rest } = attrs;
  return rest as unknown as A;
}

/** As if normalize were one launch and the convolution another. */
export function composed<A extends Attrs, L extends Launch>(
  normalize: Lowering<NormalizeAttrs['normalize'], L>, conv: Lowering<A, L>,
): Lowering<A & NormalizeAttrs, L> {
  return {
    scratch: (inputs, outputs, attrs, features) => [
      sizeOf(inputs[0].shape) * bytesPerElement[inputs[0].dtype],
      ...(conv.scratch?.(convolved(inputs, inputs[0]), outputs, plainAttrs<A>(attrs), features) ?? []),
    ],
    launches({ inputs, outputs, scratch: [image, ...scratch], attrs, features }) {
      const x = inScratch(inputs[0], image);
      return [
        ...normalize.launches({ inputs: inputs.slice(0, NORMALIZE_INPUTS), outputs: [x], scratch: [], attrs: attrs.normalize, features }),
        ...conv.launches({ inputs: convolved(inputs, x), outputs, scratch, attrs: plainAttrs<A>(attrs), features }),
      ];
    },
  };
}

/** A contiguous value like `x` in scratch memory. */
export const inScratch = ({ shape, dtype, rows, channels }: Placed, { buffer, byteOffset }: Scratch): Placed =>
  ({ shape, dtype, rows, channels, stride: channels, buffer, offset: byteOffset / bytesPerElement[dtype] });

/**
 * A convolution takes the normalization of its image upon itself where all that read the normalized image are such convolutions, so that it
 * need not be written at all; else the image that it is computed from would be kept beside it.
 */
export function normalizing(op: string, fused: string): Rewrite {
  return {
    name: `normalize + ${op}`,
    anchor: op,
    stage: 'prologue',
    match(node, graph) {
      const { node: norm } = node.inputs[0];
      if (norm.op.name !== 'normalize' || graph.isRequested(norm) || !graph.users(norm).every((n) => takesPrologue(n, norm))) return undefined;
      const { epsilon, fixGamma, activation } = norm.attrs;
      return graph.make(fused, { ...node.attrs, normalize: { epsilon, fixGamma, activation } }, [...norm.inputs, ...node.inputs.slice(1)])
        .map((by, output) => ({ node, output, by }));
    },
  };
}

const takesPrologue = ({ op, inputs }: Node, norm: Node): boolean =>
  ['conv2d', 'conv2dStats', 'conv2dFilterGrad'].includes(op.name) && inputs.every((v, i) => (v.node === norm) === (i === 0));
