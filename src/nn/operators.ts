/** MXNet's operators that Symbols may hold. */
import { OptionError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import type { Operator } from './operator.ts';
import { activations } from './operators/activation.ts';
import { arithmetic } from './operators/arithmetic.ts';
import { convolutions } from './operators/convolution.ts';
import { dense } from './operators/dense.ts';
import { losses } from './operators/loss.ts';
import { normalizations } from './operators/normalization.ts';
import { pooling } from './operators/pooling.ts';
import { reductions } from './operators/reduction.ts';
import { shapes } from './operators/shape.ts';

const table = new Map<string, Operator>();
for (const operator of [
  ...activations, ...arithmetic, ...convolutions, ...dense, ...losses, ...normalizations, ...pooling, ...reductions,
  ...shapes,
]) {
  for (const name of [operator.name, ...(operator.aliases ?? [])]) table.set(name, operator);
}

/**
 * The operator of that name or alias.
 *
 * @throws OptionError that names it and the layer
 */
export function findOperator(name: string, layer: string): Operator {
  const operator = table.get(name);
  if (operator === undefined) {
    throw new OptionError(`layer "${layer}": operator "${name}" is not supported${didYouMean(name, table.keys(), '"')}`);
  }
  return operator;
}

/** Names of all operators, aliases included. */
export function operatorNames(): string[] {
  return [...table.keys()].sort();
}
