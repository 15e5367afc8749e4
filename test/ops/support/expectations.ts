/** What the suite expects of ops that are out of the ordinary, by name, so that a forgotten gradient or sample is a failure. */
import type { DifferentiableOp } from '../../../src/tensor/define-op.ts';

/** Ops whose result is an integer, a bool, or a function of them. */
const discrete = [
  'argMax', 'oneHot', 'equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual', 'logicalAnd', 'logicalOr', 'logicalNot',
  'random', 'allFinite',
];
/** Gradients that have no gradient rule themselves, fused kernels that stand for ops that have one, and updates of variables. */
const terminal = [
  'maxPool2dGrad', 'maxPool2dIndexGrad', 'batchNormGrad', 'batchNormReluGrad', 'normalizeGrad', 'softmaxCrossEntropyGrad',
  'maxPool2dIndices', 'conv2dStats', 'conv2dNormalize', 'normalizeConv2d', 'normalizeConv2dStats',
  'normalizeConv2dFilterGrad', 'conv2dBatchNormGrad', 'normalizeConv2dBatchNormGrad', 'sgdUpdate', 'adamUpdate', 'assignFlat',
];
/** MXNet's loss layers give another gradient than that of their result, on purpose; the fixtures check it. detach gives none. */
const own = ['softmaxOutput', 'linearRegressionOutput', 'logisticRegressionOutput', 'makeLoss', 'detach'];
/** Augmentations of images, ahead of all that is learnt. */
const images = ['warpAffine', 'shiftHls'];
/** Defined, but zero or cut. */
const zero = ['cast'];

/** `checked` where finite differences apply, else in two words why not. */
export function gradientCell(op: DifferentiableOp): string {
  if (discrete.includes(op.name)) return 'discrete';
  if (terminal.includes(op.name)) return 'has none';
  if (own.includes(op.name)) return 'its own';
  if (images.includes(op.name)) return 'of data';
  if (zero.includes(op.name)) return 'zero';
  return 'checked';
}

/** Ops without samples, and why. */
export const noSamples: Readonly<Record<string, string>> = {};

/** Ops that are never more than a view: they have no kernels. */
export const viewsAlone: readonly string[] = ['detach', 'linearRegressionOutput', 'makeLoss'];
