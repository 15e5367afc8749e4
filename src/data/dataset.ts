/** What the loader, the splits and the metrics know of a set of images: labels, patients and bytes of one shape. */
import type { Shape } from '../device/types.ts';
import { DataError } from '../errors.ts';

/** What splits and samplers need of a set of images: everything but the pixels. */
export interface Labelled {
  readonly length: number;
  /** Class of each sample, an index into `classes`. Class 0 is the healthy one. */
  readonly labels: Int32Array;
  readonly classes: readonly string[];
  /** The patient of each sample; its own id where patients are not known. */
  readonly patients: readonly string[];
  /** Name of each sample, unique: its file. */
  readonly ids: readonly string[];
  /** The given part of each sample ('train', 'test', ...), where a table or folder says; '' for one without. */
  readonly splits?: readonly string[];
  /** Samples of one group (copies of one photograph) stay on one side of every split; '' for one without. */
  readonly groups?: readonly string[];
}

/** Where samples lie, for loader workers that read them off the main thread. */
export type ByteSource =
  /** Sample i is `shape` bytes at slot `slots[i]` of an open file. */
  | { readonly kind: 'file'; readonly fd: number; readonly path: string; readonly slots: Int32Array }
  /** Sample i is `shape` bytes at slot i of shared memory. */
  | { readonly kind: 'shared'; readonly buffer: SharedArrayBuffer; readonly byteOffset: number };

/** Images of one shape as bytes. */
export interface Dataset extends Labelled {
  readonly name: string;
  /** Of one sample: height, width, channels (RGB), uint8, row-major. */
  readonly shape: readonly [height: number, width: number, channels: number];
  /**
   * Where samples are no images but float32 numbers (features that a network gave): their shape, as they lie in memory. A sample's
   * bytes are then those numbers', and `shape` is [1, 1, bytes].
   */
  readonly features?: Shape;
  /** Whether the images are simulated; whatever shows or scores them must say so. */
  readonly simulated: boolean;
  /** Copies sample `index` to `target` from `offset` on. @throws DataError beyond the ends or for unreadable bytes. */
  readInto(index: number, target: Uint8Array, offset?: number): void;
  /** Where the bytes lie, if workers can reach them; else the loader reads on the calling thread. */
  readonly source?: ByteSource;
  /** Frees what the dataset holds open. */
  close(): void;
}

export interface MemoryDatasetInit {
  name?: string;
  shape: readonly [height: number, width: number, channels: number];
  /** All samples, one after the other, of `labels.length` times the shape. Taken as it is, not copied. */
  bytes: Uint8Array;
  labels: ArrayLike<number>;
  classes?: readonly string[];
  patients?: readonly string[];
  ids?: readonly string[];
  splits?: readonly string[];
  groups?: readonly string[];
  simulated?: boolean;
}

/**
 * A dataset over bytes in memory; runs in browsers as in Node. Where `bytes` lies in a SharedArrayBuffer, loader
 * workers read it off the main thread.
 *
 * @throws DataError where lengths disagree, a label is no class, or an id is there twice.
 */
export function memoryDataset(init: MemoryDatasetInit): Dataset {
  const { name = 'images in memory', shape, bytes, simulated = false } = init;
  const length = init.labels.length;
  const stride = shape[0] * shape[1] * shape[2];
  if (shape.length !== 3 || !(Number.isInteger(stride) && stride > 0)) {
    throw new DataError(`${name}: shape must be [height, width, channels], got [${shape.join(', ')}]`);
  }
  if (bytes.length !== length * stride) {
    throw new DataError(`${name}: ${length} labels of [${shape.join(', ')}] need ${length * stride} bytes, ` +
      `got ${bytes.length}`);
  }
  const ids = init.ids ?? Array.from({ length }, (_, i) => String(i));
  const classes = init.classes ?? usualClasses(init.labels);
  const labelled = checkLabelled(name, {
    length, ids, classes,
    labels: Int32Array.from(init.labels),
    patients: init.patients ?? ids,
    splits: init.splits,
    groups: init.groups,
  });
  const shared = typeof SharedArrayBuffer !== 'undefined' && bytes.buffer instanceof SharedArrayBuffer;
  return {
    ...labelled, name, shape, simulated,
    source: shared
      ? { kind: 'shared', buffer: bytes.buffer as SharedArrayBuffer, byteOffset: bytes.byteOffset } : undefined,
    readInto(index, target, offset = 0) {
      checkRead(this, index, target, offset);
      target.set(bytes.subarray(index * stride, (index + 1) * stride), offset);
    },
    close() {},
  };
}

/** Names for classes that have none: healthy and infected for two, else their numbers. */
function usualClasses(labels: ArrayLike<number>): string[] {
  let most = 1;
  for (let i = 0; i < labels.length; i++) most = Math.max(most, labels[i]);
  return most === 1 ? ['healthy', 'infected'] : Array.from({ length: Math.floor(most) + 1 }, (_, i) => String(i));
}

/** Returns what it was given. @throws DataError naming the dataset and the sample where something disagrees. */
export function checkLabelled<T extends Labelled>(name: string, data: T): T {
  const { length, ids, labels, classes } = data;
  for (const field of ['labels', 'patients', 'ids', 'splits', 'groups'] as const) {
    const values = data[field];
    if (values !== undefined && values.length !== length) {
      throw new DataError(`${name}: ${values.length} ${field} for ${length} samples`);
    }
  }
  const seen = new Set<string>();
  for (let i = 0; i < length; i++) {
    if (!(labels[i] >= 0 && labels[i] < classes.length)) {
      throw new DataError(`${name}: label ${labels[i]} of '${ids[i]}', where there are ${classes.length} classes`);
    }
    if (seen.has(ids[i])) throw new DataError(`${name}: two samples are named '${ids[i]}'`);
    seen.add(ids[i]);
  }
  return data;
}

/** @throws DataError for a sample or a target range that does not exist. */
export function checkRead(data: Dataset, index: number, target: Uint8Array, offset: number): void {
  const stride = data.shape[0] * data.shape[1] * data.shape[2];
  if (!(Number.isInteger(index) && index >= 0 && index < data.length)) {
    throw new DataError(`${data.name}: no sample ${index}; there are ${data.length}`);
  }
  if (!(offset >= 0 && offset + stride <= target.length)) {
    throw new DataError(`${data.name}: a sample of ${stride} bytes at ${offset} does not fit ${target.length} bytes`);
  }
}

/** All samples of a dataset, in order. */
export function allIndices(data: { readonly length: number }): Int32Array {
  return Int32Array.from({ length: data.length }, (_, i) => i);
}

/** How many of the given samples (all by default) each class has. */
export function classCounts(data: Labelled, indices?: ArrayLike<number>): number[] {
  const counts = new Array<number>(data.classes.length).fill(0);
  const count = indices ? indices.length : data.length;
  for (let i = 0; i < count; i++) counts[data.labels[indices ? indices[i] : i]]++;
  return counts;
}
