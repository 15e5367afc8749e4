/** MXNet's fixtures: parameters by recipe, digests. */
import { readFileSync } from 'node:fs';
import { readParams } from '../../src/formats/mxnet-params.ts';
import { readSymbol } from '../../src/formats/mxnet-symbol.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import type { ModelSymbol } from '../../src/nn/symbol.ts';

export function paramsFile(path: string): Map<string, HostArray> {
  return readParams(readFileSync(path), { file: path });
}

export function symbolFile(path: string): ModelSymbol {
  return readSymbol(readFileSync(path, 'utf8'), { file: path });
}

function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** Murmur3's 32-bit finaliser. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The value of a parameter that ships with no network, from its name and shape (MXNet's axes) alone. */
export function recipe(name: string, shape: readonly number[], inputScale = 1): HostArray {
  const size = shape.reduce((n, d) => n * d, 1);
  const h = fnv1a(name);
  const data = new Float32Array(size);
  const weight = Math.sqrt(24 / (size / shape[0]));
  for (let i = 0; i < size; i++) {
    const u = mix((h + Math.imul(i, 0x9e3779b9)) >>> 0) / 2 ** 32 - 0.5;
    data[i] = name.endsWith('_weight') ? u * weight
      : name.endsWith('_gamma') || name.endsWith('_var') ? 1 + u / 2
      : name === 'data' ? 256 * u
      : u / 5;
    if (name === 'data') data[i] *= inputScale;
  }
  return { shape: [...shape], dtype: 'float32', data };
}

export interface Digest {
  readonly shape?: number[];
  readonly size: number;
  readonly sum: number;
  readonly abs: number;
  readonly l2: number;
  readonly first: number[];
  readonly last: number[];
}

export function l2(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] * values[i];
  return Math.sqrt(total);
}
