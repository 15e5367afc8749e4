/** Batches for training and for evaluation: full, in a fixed order, assembled ahead of the device. */
import { DataError, OptionError } from '../errors.ts';
import type { Augmenter, Drawn } from './augmenter.ts';
import type { Dataset } from './dataset.ts';
import { makeGatherer } from './gather.ts';
import type { Gatherer } from './gather.ts';
import type { SampledBatch, Sampler, SamplerState } from './sampler.ts';

/** One batch. Its pixels are lent: see `TrainLoader.next`. */
export interface Batch {
  /** Batch x height x width x channels, uint8. */
  readonly pixels: Uint8Array;
  /** Class of each sample. */
  readonly labels: Int32Array;
  /** Dataset index of each sample; -1 for padding. */
  readonly sampleIds: Int32Array;
  /** 1 for a sample, 0 for padding. */
  readonly weights: Float32Array;
  readonly shape: readonly [batch: number, height: number, width: number, channels: number];
}

/** A batch with its place in training. */
export interface TrainBatch extends Batch {
  /** What random numbers are drawn by, one for each sample; see `SampledBatch`. */
  readonly draws: Int32Array;
  /** Batch x `Augmenter.columns`: on which images augmentations fall, and their numbers. Empty without any. */
  readonly augmentation: Float32Array;
  /** From 0. */
  readonly epoch: number;
  /** From 0, of `steps` in this epoch. */
  readonly step: number;
  readonly steps: number;
}

export interface LoaderOptions {
  /** Batches assembled ahead. Default 2. */
  prefetch?: number;
  /** Threads that assemble them; 0 does so on the calling thread. Default 1. The batches do not depend on it. */
  workers?: number;
}

/** Batches stay valid until this many later ones have been asked for. */
const lent = 2;

function checkOptions({ prefetch = 2, workers = 1 }: LoaderOptions): { prefetch: number; workers: number } {
  if (!Number.isInteger(prefetch) || prefetch < 0) throw new OptionError(`prefetch must be 0 or more, got ${prefetch}`);
  if (!Number.isInteger(workers) || workers < 0) throw new OptionError(`workers must be 0 or more, got ${workers}`);
  return { prefetch, workers };
}

/** A supply of buffers of one size: those of batches no longer lent are filled again. */
class BufferPool {
  readonly #size: number;
  readonly #free: ArrayBuffer[] = [];
  readonly #out: ArrayBuffer[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): ArrayBuffer {
    return this.#free.pop() ?? new ArrayBuffer(this.#size);
  }

  /** Notes a buffer as lent, and takes back the one lent before the last `lent`. */
  lend(buffer: ArrayBuffer): void {
    this.#out.push(buffer);
    while (this.#out.length > lent) this.#free.push(this.#out.shift() as ArrayBuffer);
  }

  giveBack(buffer: ArrayBuffer): void {
    this.#free.push(buffer);
  }
}

/** A batch under way: its order is fixed, its pixels are coming. */
interface Ahead {
  batch: SampledBatch;
  /** The sampler's state after it. */
  after: SamplerState;
  pixels: Promise<ArrayBuffer>;
}

/**
 * Training batches without end, in the sampler's order whatever the number of threads. One call of `next` at a time.
 */
export class TrainLoader {
  readonly #data: Dataset;
  readonly #sampler: Sampler;
  readonly #prefetch: number;
  readonly #workers: number;
  readonly #augmenter: Augmenter | undefined;
  readonly #pool: BufferPool;
  #gatherer: Promise<Gatherer> | undefined;
  #queue: Ahead[] = [];
  #state: SamplerState;
  #closed = false;

  /**
   * @param augmenter changes bytes here, and says what the device is to do to images
   * @throws OptionError for options out of range.
   */
  constructor(data: Dataset, sampler: Sampler, options: LoaderOptions = {}, augmenter?: Augmenter) {
    ({ prefetch: this.#prefetch, workers: this.#workers } = checkOptions(options));
    this.#data = data;
    this.#augmenter = augmenter;
    this.#sampler = sampler;
    this.#pool = new BufferPool(sampler.batch * data.shape[0] * data.shape[1] * data.shape[2]);
    this.#state = sampler.state();
  }

  /**
   * The next batch. Its pixels are lent until the call after the next: later their buffer is filled anew, and a view
   * kept of it is empty. Copy what must stay.
   *
   * @throws DataError where bytes cannot be read or the loader is closed.
   */
  async next(): Promise<TrainBatch> {
    if (this.#closed) throw new DataError(`${this.#data.name}: the loader is closed`);
    this.#fill(1);
    const head = this.#queue.shift() as Ahead;
    const buffer = await head.pixels;
    this.#state = head.after;
    this.#pool.lend(buffer);
    try {
      this.#fill(this.#prefetch);
    } catch {
      // A sampler that fails ahead fails again when its batch is asked for; this batch is whole.
    }
    const { epoch, step, steps, indices, draws } = head.batch;
    const drawn = this.#drawn(head.batch);
    return {
      pixels: new Uint8Array(buffer),
      labels: drawn.labels,
      sampleIds: indices,
      draws,
      augmentation: this.#augmenter?.settings(drawn) ?? new Float32Array(0),
      weights: new Float32Array(indices.length).fill(1),
      shape: [indices.length, ...this.#data.shape],
      epoch, step, steps,
    };
  }

  /** The place after the last batch that `next` gave, however many are ready ahead. JSON. */
  state(): SamplerState {
    return this.#state;
  }

  /** Goes on from a state that `state` gave. Batches ready ahead are dropped. @throws DataError as Sampler.restore. */
  restore(state: SamplerState): void {
    this.#sampler.restore(state);
    for (const { pixels } of this.#queue) pixels.then((buffer) => this.#pool.giveBack(buffer), () => {});
    this.#queue = [];
    this.#state = this.#sampler.state();
  }

  /** Ends the threads. */
  close(): void {
    this.#closed = true;
    for (const { pixels } of this.#queue) pixels.catch(() => {});
    this.#queue = [];
    this.#gatherer?.then((gatherer) => gatherer.close(), () => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drawn(batch: SampledBatch): Drawn {
    return { ...batch, labels: batch.indices.map((i) => this.#data.labels[i]) };
  }

  #fill(depth: number): void {
    this.#gatherer ??= makeGatherer(this.#data, this.#workers);
    const gatherer = this.#gatherer;
    while (this.#queue.length < depth && !this.#closed) {
      const batch = this.#sampler.next();
      const buffer = this.#pool.take();
      // The indices are copied to a worker, not moved: the batch hands them out as sample ids.
      const pixels = gatherer.then(async (g) => {
        const filled = await g.gather(batch.indices, buffer);
        this.#augmenter?.changePixels(new Uint8Array(filled), this.#drawn(batch));
        return filled;
      });
      pixels.catch(() => {}); // reported by the `next` that takes it
      this.#queue.push({ batch, after: this.#sampler.state(), pixels });
    }
  }
}

/**
 * Each of the given samples once, in order, in batches of one size: the last is padded with copies of its last sample
 * that carry weight 0, label 0 and sample id -1. The pixels are lent as those of `TrainLoader.next`.
 *
 * @throws OptionError for a batch below 1. @throws DataError where bytes cannot be read or there are no samples.
 */
export async function* evaluationBatches(
  data: Dataset, indices: ArrayLike<number>, batch: number, options: LoaderOptions = {},
): AsyncGenerator<Batch & { readonly count: number }, void, void> {
  const { prefetch, workers } = checkOptions(options);
  if (!Number.isInteger(batch) || batch < 1) throw new OptionError(`batch must be 1 or more, got ${batch}`);
  if (indices.length === 0) throw new DataError(`${data.name}: no samples to evaluate`);
  const stride = data.shape[0] * data.shape[1] * data.shape[2];
  const pool = new BufferPool(batch * stride);
  const gatherer = await makeGatherer(data, workers);
  const queue: { count: number; padded: Int32Array; pixels: Promise<ArrayBuffer> }[] = [];
  let start = 0;
  const fill = (depth: number) => {
    for (; queue.length < depth && start < indices.length; start += batch) {
      const count = Math.min(batch, indices.length - start);
      const padded = Int32Array.from({ length: batch }, (_, k) => indices[start + Math.min(k, count - 1)]);
      const pixels = gatherer.gather(padded, pool.take());
      pixels.catch(() => {});
      queue.push({ count, padded, pixels });
    }
  };
  try {
    for (fill(1); queue.length > 0; fill(1)) {
      const { count, padded, pixels } = queue.shift() as (typeof queue)[number];
      const buffer = await pixels;
      pool.lend(buffer);
      fill(prefetch);
      yield {
        pixels: new Uint8Array(buffer),
        labels: padded.map((i, k) => (k < count ? data.labels[i] : 0)),
        sampleIds: padded.map((i, k) => (k < count ? i : -1)),
        weights: Float32Array.from({ length: batch }, (_, k) => (k < count ? 1 : 0)),
        shape: [batch, ...data.shape],
        count,
      };
    }
  } finally {
    gatherer.close();
  }
}
