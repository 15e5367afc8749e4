/**
 * The names that PyTorch's Inception v3 has for its parameters, in torchvision (models/inception.py) and timm (models/inception_v3.py)
 * alike, and the Symbol's for the same. The axes are the same too: OIHW and [out, in].
 */

const a = ['branch1x1', 'branch5x5_1', 'branch5x5_2', 'branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3', 'branch_pool'];
const b = ['branch3x3', 'branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3'];
const c = [
  'branch1x1', 'branch7x7_1', 'branch7x7_2', 'branch7x7_3', 'branch7x7dbl_1', 'branch7x7dbl_2', 'branch7x7dbl_3', 'branch7x7dbl_4',
  'branch7x7dbl_5', 'branch_pool',
];
const d = ['branch3x3_1', 'branch3x3_2', 'branch7x7x3_1', 'branch7x7x3_2', 'branch7x7x3_3', 'branch7x7x3_4'];
const e = [
  'branch1x1', 'branch3x3_1', 'branch3x3_2a', 'branch3x3_2b', 'branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3a', 'branch3x3dbl_3b',
  'branch_pool',
];
const blocks: readonly (readonly [string, readonly string[]])[] = [
  ['Mixed_5b', a], ['Mixed_5c', a], ['Mixed_5d', a], ['Mixed_6a', b], ['Mixed_6b', c], ['Mixed_6c', c], ['Mixed_6d', c], ['Mixed_6e', c],
  ['Mixed_7a', d], ['Mixed_7b', e], ['Mixed_7c', e],
];

/** PyTorch's modules of convolution and batch norm in the order in which the Symbol numbers them. */
const modules = [
  'Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3', 'Conv2d_3b_1x1', 'Conv2d_4a_3x3',
  ...blocks.flatMap(([block, branches]) => branches.map((branch) => `${block}.${branch}`)),
];

/** A Symbol's parameter by PyTorch's name of it; states are moving statistics. */
export interface TorchName {
  readonly name: string;
  readonly state: boolean;
}

/** PyTorch's names to those of `inceptionV3`. */
export const torchInceptionV3: ReadonlyMap<string, TorchName> = new Map([
  ...modules.flatMap((module, i): [string, TorchName][] => {
    const norm = `batch_normalization_${i + 1}`;
    return [
      [`${module}.conv.weight`, { name: `conv2d_${i + 1}_weight`, state: false }],
      [`${module}.bn.weight`, { name: `${norm}_gamma`, state: false }],
      [`${module}.bn.bias`, { name: `${norm}_beta`, state: false }],
      [`${module}.bn.running_mean`, { name: `${norm}_moving_mean`, state: true }],
      [`${module}.bn.running_var`, { name: `${norm}_moving_var`, state: true }],
    ];
  }),
  ['fc.weight', { name: 'fc1_weight', state: false }],
  ['fc.bias', { name: 'fc1_bias', state: false }],
]);

/** What state dicts hold beside: the auxiliary head, which has no part in inference, and counts of batches. */
export function isBesideInference(name: string): boolean {
  return name.startsWith('AuxLogits.') || name.endsWith('.num_batches_tracked');
}
