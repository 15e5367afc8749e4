/** MXNet's fixtures: parameters by recipe, digests. */
import { readFileSync } from 'node:fs';
import { readParams } from '../../src/formats/mxnet-params.ts';
import { readSymbol } from '../../src/formats/mxnet-symbol.ts';
import { permuteAxes } from '../../src/nn/host-array.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { toMXNetAxes } from '../../src/nn/operator.ts';
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

/** Values that follow from a name and a seed (0: the name alone), each a function of u in [-1/2, 1/2). */
function hashed(name: string, shape: readonly number[], seed: number, value: (u: number) => number): HostArray {
  const size = shape.reduce((n, d) => n * d, 1);
  const h = fnv1a(seed === 0 ? name : `${seed}/${name}`);
  const data = new Float32Array(size);
  for (let i = 0; i < size; i++) data[i] = value(mix((h + Math.imul(i, 0x9e3779b9)) >>> 0) / 2 ** 32 - 0.5);
  return { shape: [...shape], dtype: 'float32', data };
}

/** Of a weight's numbers: sqrt(24 / fan_in). */
function weightScale(shape: readonly number[]): number {
  return Math.sqrt(24 / (shape.reduce((n, d) => n * d, 1) / shape[0]));
}

/** The value of a parameter that ships with no network, from its name and shape (MXNet's axes) alone. */
export function recipe(name: string, shape: readonly number[], inputScale = 1, seed = 0): HostArray {
  if (name.endsWith('_weight')) return hashed(name, shape, seed, ((scale) => (u) => u * scale)(weightScale(shape)));
  if (name.endsWith('_gamma') || name.endsWith('_var')) return hashed(name, shape, seed, (u) => 1 + u / 2);
  // The scale is applied in float32.
  if (name === 'data') return hashed(name, shape, seed, (u) => Math.fround(256 * u) * inputScale);
  return hashed(name, shape, seed, (u) => u / 5);
}

/** The same for PyTorch's fixtures, the image among what has more than one axis (their SOURCE.md says 2 u, their make.py does this). */
export function torchRecipe(name: string, shape: readonly number[], seed = 0): HostArray {
  if (shape.length > 1) return hashed(name, shape, seed, ((scale) => (u) => u * scale)(weightScale(shape)));
  return hashed(name, shape, seed, name.endsWith('running_var') || name.endsWith('bn.weight') ? (u) => 1 + u / 2 : (u) => u / 5);
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

/** Values as they lie in memory, in MXNet's order. */
export function toNCHW(values: ArrayLike<number>, shape: readonly number[]): Float32Array {
  const array: HostArray = { shape, dtype: 'float32', data: Float32Array.from(values) };
  return permuteAxes(array, toMXNetAxes(shape.length)).data as Float32Array;
}

/** Largest distance of the first and last values, over the root mean square. */
export function edgeError(got: Float32Array, want: Digest): number {
  const rms = want.l2 / Math.sqrt(want.size);
  const last = got.subarray(Math.max(0, got.length - want.last.length));
  return Math.max(...want.first.map((v, i) => Math.abs(got[i] - v)), ...want.last.map((v, i) => Math.abs(last[i] - v))) / rms;
}
