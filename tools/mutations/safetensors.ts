import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { jsonFields } from './format.ts';
import type { MutatedFormat, Seed } from './format.ts';
import { someArray } from './mxnet.ts';

const headerLength = (bytes: Uint8Array): number => (bytes.length < 8 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));

let made: readonly Seed[] | undefined;

export const safetensors: MutatedFormat = {
  name: '.safetensors',
  place: /, byte \d+: /,
  seeds: () => (made ??= [
    new Map([['w', someArray('float32', [2, 3], 'w')], ['step', someArray('int32', [], 'step')], ['ü "quoted"', someArray('float16', [4], 'half')]]),
    new Map([['empty', someArray('float32', [0, 4], 'empty')], ['b', someArray('bool', [3], 'b')], ['long', someArray('int64', [1, 1, 2], 'long')]]),
    new Map<string, never>(),
  ].map((tensors, i) => ({
    name: `${tensors.size} tensors`, bytes: writeSafetensors(tensors, new Map(i === 0 ? [['format', 'pt'], ['note', '"\\']] : [])), exact: false,
  }))),
  fields: (bytes) => [{ kind: 'length', start: 0, end: 8 }, ...jsonFields(bytes, 8, 8 + headerLength(bytes))],
  read(bytes, file) {
    const { tensors, metadata } = readSafetensors(bytes, { file });
    return () => writeSafetensors(tensors, metadata);
  },
  repair(mutated, seed) {
    const grown = mutated.length - seed.length;
    if (mutated.length < 8 || grown === 0 || headerLength(mutated) !== headerLength(seed)) return mutated;
    const out = mutated.slice();
    new DataView(out.buffer).setUint32(0, Math.max(0, headerLength(seed) + grown), true);
    return out;
  },
};
