/**
 * Features of a frozen trunk. What does not learn gives the same for an image in every epoch: it is computed once, and training goes on
 * from there. Bits are those of training on the images, because it is the same ops on batches of the same size.
 */
import type { Dataset } from '../data/dataset.ts';
import type { LoaderOptions } from '../data/loader.ts';
import type { Device, Shape } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { DataError } from '../errors.ts';
import type { FrozenPart } from '../nn/blocks.ts';
import { shapeInMemory } from '../nn/operator.ts';
import type { ParameterArrays } from '../nn/parameters.ts';
import { readVariables } from '../nn/parameters.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { predictLogits } from './evaluate.ts';
import type { Network } from './network.ts';
import type { Normalization } from './preprocess.ts';
import { EvaluationStep } from './step.ts';

/** All that features depend on, but for the image. */
export interface FeatureOrigin {
  readonly trunk: ModelSymbol;
  /** The trunk's, as they lie in memory. */
  readonly parameters: ParameterArrays;
  readonly normalization: Normalization;
  readonly imageShape: readonly [number, number, number];
  /** By which kernels they are computed; see `Device.fingerprint`. */
  readonly device: Device['fingerprint'];
  readonly batch: number;
  /** Numbers a sample. */
  readonly size: number;
}

/** Features that outlive a run, by image. */
export interface FeatureStore {
  open(origin: FeatureOrigin): Promise<OpenFeatureStore>;
}

export interface OpenFeatureStore {
  /** Of an image's pixels; undefined where they are not known. */
  get(pixels: Uint8Array): Promise<Float32Array | undefined>;
  put(pixels: Uint8Array, features: Float32Array): Promise<void>;
}

export interface FeatureHooks {
  /** Images looked up or computed. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Features that would take more memory are computed anew in every step: bytes of all images together. */
const memoryLimit = 2 ** 31;

/** Batches computed between two looks at the signal that keep what they have. */
export const chunk = 8;

export interface FeatureSourceOptions {
  readonly network: Network;
  readonly part: FrozenPart;
  readonly device: Device;
  readonly normalization: Normalization;
  readonly batch: number;
  readonly loader?: LoaderOptions;
  readonly store?: FeatureStore;
}

/** A network's view of its rest, to which the trunk's features are what it reads. */
export function restOf(network: Network, part: FrozenPart): Network {
  const features = featureShape(part.trunk, network.imageShape);
  return { ...network, logits: part.rest, imageShape: [1, 1, 4 * sizeOf(features)], features, dispose() {} };
}

/** Of one sample, as it lies in memory. */
function featureShape(trunk: ModelSymbol, [height, width, channels]: readonly [number, number, number]): Shape {
  const [shape] = trunk.inferShape({ data: [1, channels, height, width] }).outputs.values();
  return shapeInMemory(shape).slice(1);
}

/** Whether the features of so many images of this shape are kept. */
export function fitsInMemory(part: FrozenPart, imageShape: readonly [number, number, number], images: number): boolean {
  return images * 4 * sizeOf(featureShape(part.trunk, imageShape)) <= memoryLimit;
}

/** Computes features, each once. */
export class FeatureSource {
  readonly shape: Shape;
  readonly #options: FeatureSourceOptions;
  readonly #size: number;
  readonly #step: EvaluationStep;
  /** Of the images of a dataset, by index. */
  readonly #known = new WeakMap<Dataset, Map<number, Float32Array>>();
  #store: Promise<OpenFeatureStore> | undefined;

  constructor(options: FeatureSourceOptions) {
    const { network, part, device, normalization } = options;
    this.#options = options;
    this.shape = featureShape(part.trunk, network.imageShape);
    this.#size = sizeOf(this.shape);
    this.#step = new EvaluationStep({ network: { ...network, logits: part.trunk, classes: this.#size }, device, normalization });
  }

  /** What computes them, for planning memory. */
  get step(): EvaluationStep {
    return this.#step;
  }

  /**
   * The dataset with features in place of pixels. It has those of `indices`.
   *
   * @throws what the signal was aborted with; what was computed by then is kept
   */
  async dataset(data: Dataset, indices: ArrayLike<number>, hooks: FeatureHooks = {}): Promise<Dataset> {
    const known = this.#known.get(data) ?? new Map<number, Float32Array>();
    this.#known.set(data, known);
    return this.#complete(data, indices, known, hooks);
  }

  /** The same for once: what was not known before is forgotten with the dataset. @throws as `dataset` */
  async passing(data: Dataset, indices: ArrayLike<number>, hooks: FeatureHooks = {}): Promise<Dataset> {
    const known = this.#known.get(data);
    const rows = Array.from(indices).flatMap((i) => (known?.has(i) ? [[i, known.get(i)!] as const] : []));
    return this.#complete(data, indices, new Map(rows), hooks);
  }

  async #complete(data: Dataset, indices: ArrayLike<number>, rows: Map<number, Float32Array>, hooks: FeatureHooks): Promise<Dataset> {
    const wanted = [...new Set(Array.from(indices))].filter((i) => !rows.has(i));
    const missing = await this.#lookUp(data, wanted, rows);
    let done = wanted.length - missing.length;
    const { batch, loader } = this.#options;
    for (let start = 0; start < missing.length; start += chunk * batch) {
      hooks.signal?.throwIfAborted();
      const part = missing.slice(start, start + chunk * batch);
      const values = await predictLogits(this.#step, data, part, {
        ...loader, batch, onBatch: (n) => hooks.onProgress?.(done + n, wanted.length),
      });
      for (const [k, i] of part.entries()) rows.set(i, values.slice(k * this.#size, (k + 1) * this.#size));
      await this.#remember(data, part, rows);
      done += part.length;
    }
    return featureDataset(data, rows, this.shape);
  }

  /** Takes from the store what it has. Returns the others. */
  async #lookUp(data: Dataset, indices: readonly number[], rows: Map<number, Float32Array>): Promise<number[]> {
    const store = indices.length > 0 ? await this.#open() : undefined;
    if (store === undefined) return [...indices];
    const pixels = pixelsOf(data);
    const missing: number[] = [];
    for (const i of indices) {
      const found = await store.get(pixels(i));
      if (found === undefined) missing.push(i);
      else rows.set(i, found);
    }
    return missing;
  }

  async #remember(data: Dataset, indices: readonly number[], rows: ReadonlyMap<number, Float32Array>): Promise<void> {
    const store = await this.#open();
    if (store === undefined) return;
    const pixels = pixelsOf(data);
    for (const i of indices) await store.put(pixels(i), rows.get(i)!);
  }

  #open(): Promise<OpenFeatureStore> | undefined {
    const { store, network, part: { trunk }, normalization, device, batch } = this.#options;
    if (store === undefined) return undefined;
    return this.#store ??= readVariables(trunk, network.variables.all).then((parameters) => store.open({
      trunk, parameters, normalization, imageShape: network.imageShape, device: device.fingerprint, batch, size: this.#size,
    }));
  }

  dispose(): void {
    this.#step.dispose();
  }
}

function pixelsOf(data: Dataset): (index: number) => Uint8Array {
  const pixels = new Uint8Array(data.shape[0] * data.shape[1] * data.shape[2]);
  return (index) => {
    data.readInto(index, pixels);
    return pixels;
  };
}

function featureDataset(data: Dataset, rows: ReadonlyMap<number, Float32Array>, features: Shape): Dataset {
  const { name, length, labels, classes, patients, ids, splits, groups, simulated } = data;
  return {
    name, length, labels, classes, patients, ids, splits, groups, simulated, features, shape: [1, 1, 4 * sizeOf(features)],
    readInto(index, target, offset = 0) {
      const row = rows.get(index);
      if (row === undefined) throw new DataError(`${name}: the features of '${ids[index] ?? index}' are not computed`);
      target.set(new Uint8Array(row.buffer, row.byteOffset, row.byteLength), offset);
    },
    close() {},
  };
}
