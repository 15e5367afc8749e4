/** Options of `fit` that can be judged before anything is made. */
import type { Dataset } from '../data/dataset.ts';
import { DataError, OptionError } from '../errors.ts';
import type { FitOptions } from './fit-types.ts';

/** @throws OptionError for options out of range; DataError for parts that are empty, or data that do not go together */
export function checkOptions({ epochs, batch, seed = 0, data, train, validation, validationData }: FitOptions): void {
  const counts = { epochs, batch };
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) throw new OptionError(`${name}: expected an integer of 1 or more, got ${value}`);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31) {
    throw new OptionError(`seed: expected an integer from 0 to 2^31 - 1, got ${seed}`);
  }
  if (train.length === 0) throw new DataError('the training part is empty');
  if (validation?.length === 0) throw new DataError('the validation part is empty');
  if (validationData === undefined) return;
  if (validation === undefined) throw new OptionError('validationData: validation is missing, which says which of its images to take');
  if (validationData.shape.join() !== data.shape.join() || validationData.classes.join() !== data.classes.join()) {
    const form = ({ shape, classes }: Dataset): string => `images of [${shape.join(', ')}], classes ${classes.join(', ')}`;
    throw new DataError(`${validationData.name}: ${form(validationData)}; ${data.name}: ${form(data)}: they should be the same`);
  }
}
