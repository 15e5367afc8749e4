/** Networks by the names that options know. */
import type { ModelSymbol } from '../nn/symbol.ts';
import { inceptionBN, inceptionBNSmall } from '../models/index.ts';
import type { ResolvedOptions } from './run-options.ts';

/** @throws OptionError for a width out of range */
export function buildModel({ model = 'inception-bn', width = 1 }: Pick<ResolvedOptions, 'model' | 'width'>, classes: number): ModelSymbol {
  return model === 'inception-bn' ? inceptionBN({ classes, width }) : inceptionBNSmall({ classes, width });
}
