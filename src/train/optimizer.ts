/** From a name and numbers to an optimizer over a network's parameters. */
import type { Device } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { trainingAttributes } from '../nn/symbol.ts';
import { adam } from '../optim/adam.ts';
import type { AdamOptions } from '../optim/adam.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import { sgd } from '../optim/sgd.ts';
import type { SgdOptions } from '../optim/sgd.ts';
import type { Network } from './network.ts';

export const optimizerNames = ['sgd', 'adam'] as const;
export type OptimizerName = (typeof optimizerNames)[number];

export type OptimizerChoice =
  | ({ readonly kind: 'sgd' } & Omit<SgdOptions, 'device' | 'multipliers'>)
  | ({ readonly kind: 'adam' } & Omit<AdamOptions, 'device' | 'multipliers'>);

/** @throws OptionError for a kind that is unknown or options out of range */
export function createOptimizer(network: Network, choice: OptimizerChoice, device: Device): Optimizer {
  const multipliers = (name: string) => {
    const { lrMult, wdMult } = trainingAttributes(network.logits, name);
    return { lrMult, wdMult };
  };
  const { trainable } = network.variables;
  if (choice.kind === 'sgd') return sgd(trainable, { momentum: 0.9, ...choice, device, multipliers });
  if (choice.kind === 'adam') return adam(trainable, { ...choice, device, multipliers });
  const { kind } = choice as { kind: string };
  throw new OptionError(`optimizer: '${kind}' is none of ${optimizerNames.join(', ')}${didYouMean(kind, optimizerNames)}`);
}
