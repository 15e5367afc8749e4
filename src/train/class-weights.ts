/** How much an error in each class costs. */
import { DataError, OptionError } from '../errors.ts';

/** `none`: 1 each. `balanced`: inversely as the class is frequent. Or the weights themselves. */
export type ClassWeights = 'none' | 'balanced' | readonly number[];

/**
 * A weight for each class.
 *
 * `balanced` gives class c of K the weight n / (K n_c), so that the classes weigh equally in all and the mean over samples
 * is 1. A class without samples gets 0: nothing of it is ever seen.
 *
 * @param counts samples of each class in the training part.
 * @throws OptionError for a count of weights other than that of the classes, or one below 0.
 */
export function resolveClassWeights(weights: ClassWeights, counts: readonly number[]): number[] {
  if (weights === 'none') return counts.map(() => 1);
  if (weights === 'balanced') {
    const total = counts.reduce((a, b) => a + b, 0);
    if (total === 0) throw new DataError('class weights from counts: there are no training samples');
    const present = counts.filter((count) => count > 0).length;
    return counts.map((count) => (count > 0 ? total / (present * count) : 0));
  }
  if (weights.length !== counts.length) {
    throw new OptionError(`class weights [${weights.join(', ')}]: one for each of the ${counts.length} classes was expected`);
  }
  for (const weight of weights) {
    if (!(weight >= 0 && Number.isFinite(weight))) throw new OptionError(`class weight ${weight}: 0 or more was expected`);
  }
  if (!weights.some((weight) => weight > 0)) throw new OptionError('class weights: all are 0; nothing would be learnt');
  return [...weights];
}
