/** Lowering of the gradients of a convolution that batch norm follows: both make dy on their way, by terms that are worked out once. */
import type { CudaLaunch, GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType } from '../../device/types.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convolved } from '../support/prologue.ts';
import type { NormalizeAttrs } from '../support/prologue.ts';
import { filterGradLaunches, runsScratch } from './conv-filter-grad.ts';
import { inputGradLaunches } from './conv.ts';
import { constantsLaunch, constantsScratch, gradientScratch, gradientTermsLaunches } from './norm.ts';
import { prologueBy } from './prologue.ts';
import type { Prologue } from './prologue.ts';

type Attrs = ConvAttrs & {
  readonly filterShape: Shape; readonly epsilon: number; readonly fixGamma: boolean; readonly activation: 'none' | 'relu';
};

/** Partial sums, terms, and partial results of the filter gradient where its sums are cut. */
const scratchOf = ([, dz]: readonly TensorType[], { filterShape }: Attrs): number[] => [...gradientScratch(dz), ...runsScratch(dz, filterShape)];

function gradients(
  [x, dz, y, ...others]: readonly Placed[], [dw, dgamma, dbeta, dx]: readonly Placed[], [partial, terms, runs]: readonly Scratch[], attrs: Attrs,
  features: GpuFeatures | undefined, image?: Prologue,
): CudaLaunch[] {
  const [mean, variance, gamma, beta, filter] = others;
  const relu = attrs.activation === 'relu';
  const gradient = { normed: y, terms, relu };
  return [
    ...gradientTermsLaunches([dz, y, mean, variance, gamma, beta], dgamma, dbeta, [partial, terms], attrs, { relu, frozen: false }),
    ...filterGradLaunches({ x, dy: dz, dw }, runs, attrs, features, { right: image, gradient }),
    ...(filter === undefined ? [] : inputGradLaunches(dz, filter, dx, attrs, features, gradient)),
  ];
}

export const conv2dBatchNormGradLowering: Lowering<Attrs, CudaLaunch> = {
  scratch: (inputs, _outputs, attrs) => scratchOf(inputs, attrs),
  launches: ({ inputs, outputs, scratch, attrs, features }) => gradients(inputs, outputs, scratch, attrs, features),
};

export const normalizeConv2dBatchNormGradLowering: Lowering<Attrs & NormalizeAttrs, CudaLaunch> = {
  scratch: (inputs, _outputs, attrs) => [constantsScratch(inputs), ...scratchOf(convolved(inputs, inputs[0]), attrs)],
  launches: ({ inputs, outputs, scratch: [constants, ...scratch], attrs, features }) => [
    constantsLaunch(inputs, constants, attrs.normalize),
    ...gradients(convolved(inputs, inputs[0]), outputs, scratch, attrs, features, prologueBy(constants, attrs)),
  ],
};
