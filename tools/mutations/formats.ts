/** Every format whose files are mutated. */
import type { MutatedFormat } from './format.ts';
import { imageRecords, index, list, params, records, symbol } from './mxnet.ts';
import { safetensors } from './safetensors.ts';

export const formats: readonly MutatedFormat[] = [params, symbol, records, imageRecords, safetensors, index, list];
