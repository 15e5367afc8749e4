/**
 * Which samples a training step sees. Each epoch has an order, drawn from (seed, epoch) alone; batches are cut from it
 * and are always full: what is left over opens the next epoch, or is dropped.
 */
import { DataError, OptionError } from '../errors.ts';
import { hashName, PhiloxStream } from '../random/philox.ts';
import { didYouMean } from '../nearest.ts';
import { countLabels, drawByClass } from './draw-by-class.ts';
import type { Chosen, EachEpoch } from './each-epoch.ts';
import { checkEpoch, poolOf } from './each-epoch.ts';

/** Options of the annealed sampler, w(t) = r^(t-1) w0 + (1 - r^(t-1)) wf for epoch t = 1, 2, ... */
export interface AnnealedOptions {
  /** r, 0 to 1. Default 0.975. */
  ratio?: number;
  /** w0, relative chance of a sample of each class at first. Default: inverse frequency, so all classes are equal. */
  first?: readonly number[];
  /** wf, the same in the end. Default: 1 for the most frequent class, 2 for every other. */
  last?: readonly number[];
}

export const samplerNames = ['none', 'balanced', 'annealed'] as const;
/**
 * `none`: every sample once, shuffled. `balanced`: all classes equally often. `annealed`: balanced at first, then
 * towards the natural frequencies (team o_O, second in Kaggle's diabetic retinopathy competition of 2015).
 */
export type SamplerKind = (typeof samplerNames)[number];

export interface SamplerOptions {
  kind?: SamplerKind;
  /** Draws the epochs in place of `kind`. */
  eachEpoch?: EachEpoch;
  /** Names by which `eachEpoch` may ask for a class. */
  classes?: readonly string[];
  /** Samples a step. */
  batch: number;
  seed?: number;
  /** What becomes of the samples that do not fill a batch: opened with next epoch ('carry', default) or dropped. */
  remainder?: 'carry' | 'drop';
  annealed?: AnnealedOptions;
  /** Samples drawn an epoch by 'balanced' and 'annealed'; default as many as there are. */
  epochSize?: number;
}

/** All that a resumed sampler needs; JSON. */
export interface SamplerState {
  readonly format: 1;
  readonly epoch: number;
  /** Batches of this epoch handed out so far. */
  readonly cursor: number;
  /** Samples carried into this epoch: dataset indices. */
  readonly carried: readonly number[];
  /** Augmentations that were asked for them, by name; null for a sample that is left to chance. */
  readonly carriedChosen?: readonly (readonly string[] | null)[];
  /** What the order depends on; a state fits only where these are the same. */
  readonly seed: number;
  readonly batch: number;
  readonly samples: number;
  readonly kind: string;
  /** Hash of the part's indices and labels and of the sampler's other options. */
  readonly fingerprint: number;
}

export interface SampledBatch {
  /** From 0. */
  readonly epoch: number;
  /** Number of this batch in its epoch, from 0, and how many the epoch has. */
  readonly step: number;
  readonly steps: number;
  /** `batch` dataset indices. */
  readonly indices: Int32Array;
  /**
   * What random numbers are drawn by, one for each: its index where it is there for the first time in the epoch, other numbers where it
   * is there again. They depend on the epoch's order, not on how it is cut into batches.
   */
  readonly draws: Int32Array;
  /** Augmentations that `eachEpoch` asked for. */
  readonly chosen?: Chosen;
}

/** An epoch as it is handed out. */
interface Order {
  readonly indices: Int32Array;
  readonly draws: Int32Array;
  readonly chosen?: Chosen;
}

/** Hands out full batches of dataset indices, endlessly, epoch after epoch. */
export class Sampler {
  readonly batch: number;
  readonly #indices: Int32Array;
  readonly #labels: Int32Array;
  readonly #kind: SamplerKind;
  readonly #seed: number;
  readonly #options: SamplerOptions;
  readonly #fingerprint: number;
  /** Samples of the dataset, those of other parts included. */
  readonly #total: number;
  #epoch = 0;
  #cursor = 0;
  #carried: { readonly indices: Int32Array; readonly chosen?: Chosen } = { indices: new Int32Array(0) };
  #order: Order | undefined;

  /**
   * @param labels class of every sample of the dataset.
   * @param indices the dataset indices to draw from (the training part).
   * @throws OptionError for an unknown kind, a batch larger than the part, ratios or weights out of range.
   */
  constructor(labels: ArrayLike<number>, indices: ArrayLike<number>, options: SamplerOptions) {
    const { kind = 'none', eachEpoch, batch, seed = 0, epochSize, remainder } = options;
    if (eachEpoch !== undefined && options.kind !== undefined) {
      throw new OptionError(`sampler '${kind}' does not go with eachEpoch, which draws the epochs itself`);
    }
    if (!samplerNames.includes(kind)) {
      throw new OptionError(`unknown sampler '${kind}': one of ${samplerNames.join(', ')}` +
        didYouMean(kind, samplerNames));
    }
    if (!Number.isInteger(batch) || batch < 1) throw new OptionError(`batch must be 1 or more, got ${batch}`);
    if (epochSize !== undefined && (!Number.isInteger(epochSize) || epochSize < 1)) {
      throw new OptionError(`samples an epoch must be 1 or more, got ${epochSize}`);
    }
    if (remainder !== undefined && remainder !== 'carry' && remainder !== 'drop') {
      throw new OptionError(`remainder must be 'carry' or 'drop', got '${remainder as string}'`);
    }
    const size = kind === 'none' ? indices.length : epochSize ?? indices.length;
    if (eachEpoch === undefined && batch > size) {
      throw new OptionError(`a batch of ${batch} is larger than the ${size} samples of an epoch`);
    }
    this.batch = batch;
    this.#indices = Int32Array.from(indices);
    this.#labels = this.#indices.map((i) => labels[i]);
    this.#total = labels.length;
    this.#kind = kind;
    this.#seed = seed;
    this.#options = options;
    this.#fingerprint = hashName(JSON.stringify([
      [...this.#indices], [...this.#labels], remainder ?? 'carry', epochSize ?? null, options.annealed ?? null]));
    if (kind === 'annealed') this.#weights(0);
  }

  /** Samples that the sampler draws from. */
  get samples(): number {
    return this.#indices.length;
  }

  /** The next batch. @throws DataError where `eachEpoch` gives no batch or samples that are not in this part. */
  next(): SampledBatch {
    let order = this.#ordered();
    if ((this.#cursor + 1) * this.batch > order.indices.length) {
      if (this.#cursor === 0) {
        throw new DataError(`epoch ${this.#epoch + 1} has ${order.indices.length} samples, which fill no batch of ${this.batch}`);
      }
      const from = (this.#options.remainder ?? 'carry') === 'carry' ? this.#cursor * this.batch : order.indices.length;
      this.#carried = { indices: order.indices.slice(from), chosen: order.chosen?.slice(from) };
      this.#epoch++;
      this.#cursor = 0;
      this.#order = undefined;
      order = this.#ordered();
      if (order.indices.length < this.batch) return this.next();
    }
    const [start, end] = [this.#cursor * this.batch, (this.#cursor + 1) * this.batch];
    return {
      epoch: this.#epoch, step: this.#cursor++, steps: Math.floor(order.indices.length / this.batch),
      indices: order.indices.slice(start, end), draws: order.draws.slice(start, end),
      ...(order.chosen && { chosen: order.chosen.slice(start, end) }),
    };
  }

  /** Batches in the current epoch. */
  stepsThisEpoch(): number {
    return Math.floor(this.#ordered().indices.length / this.batch);
  }

  /** Where the sampler stands, to be put back by `restore`. */
  state(): SamplerState {
    const { indices, chosen } = this.#carried;
    return {
      format: 1, epoch: this.#epoch, cursor: this.#cursor, carried: [...indices],
      ...(chosen && { carriedChosen: chosen.map((names) => names ?? null) }), ...this.#identity(),
    };
  }

  /** Puts the sampler where `state` was taken. @throws DataError naming what differs, or an unknown format. */
  restore(state: SamplerState): void {
    if (state.format !== 1) throw new DataError(`sampler state of format ${String(state.format)}; this reads format 1`);
    const mine = this.#identity();
    for (const key of Object.keys(mine) as (keyof typeof mine)[]) {
      if (state[key] === mine[key]) continue;
      throw new DataError(key === 'fingerprint'
        ? 'sampler state was saved for other samples, labels or sampler options'
        : `sampler state was saved with ${key} ${state[key]}, where it is ${mine[key]} now`);
    }
    for (const key of ['epoch', 'cursor'] as const) {
      if (!(Number.isSafeInteger(state[key]) && state[key] >= 0)) {
        throw new DataError(`sampler state has ${key} ${state[key]}`);
      }
    }
    const known = new Set(this.#indices);
    for (const i of state.carried) {
      if (!known.has(i)) throw new DataError(`sampler state carries sample ${i}, which is not in this training part`);
    }
    this.#epoch = state.epoch;
    this.#cursor = state.cursor;
    this.#carried = { indices: Int32Array.from(state.carried), chosen: state.carriedChosen?.map((names) => names ?? undefined) };
    this.#order = undefined;
  }

  #identity() {
    const kind = this.#options.eachEpoch ? 'eachEpoch' : this.#kind;
    return { seed: this.#seed, batch: this.batch, samples: this.samples, kind, fingerprint: this.#fingerprint };
  }

  #ordered(): Order {
    if (this.#order) return this.#order;
    const drawn = this.#draw(new PhiloxStream(this.#seed, 'sampler', 0, this.#epoch));
    const { indices: carried, chosen: carriedChosen } = this.#carried;
    const indices = new Int32Array(carried.length + drawn.indices.length);
    indices.set(carried);
    indices.set(drawn.indices, carried.length);
    const some = drawn.chosen ?? carriedChosen;
    const chosen = some && [
      ...carriedChosen ?? Array.from(carried, () => undefined), ...drawn.chosen ?? Array.from(drawn.indices, () => undefined),
    ];
    return (this.#order = { indices, draws: this.#drawsOf(indices), ...(chosen && { chosen }) });
  }

  #drawsOf(indices: Int32Array): Int32Array {
    const times = new Map<number, number>();
    return indices.map((index) => {
      const before = times.get(index) ?? 0;
      times.set(index, before + 1);
      return (index + before * this.#total) | 0;
    });
  }

  #draw(rng: PhiloxStream): { readonly indices: Int32Array; readonly chosen?: Chosen } {
    const { eachEpoch, classes = [], epochSize } = this.#options;
    if (eachEpoch !== undefined) {
      const pool = poolOf(this.#epoch + 1, this.#indices, this.#labels, classes);
      return checkEpoch(pool, eachEpoch(pool, rng));
    }
    const positions = this.#kind === 'none' ? rng.shuffle(Array.from(this.#labels, (_, i) => i))
      : drawByClass(this.#labels, this.#weights(this.#epoch), epochSize ?? this.samples, rng);
    return { indices: Int32Array.from(positions, (position) => this.#indices[position]) };
  }

  /** Relative chance of a sample of each class in an epoch (from 0). */
  #weights(epoch: number): number[] {
    const counts = countLabels(this.#labels);
    const balanced = counts.map((count) => (count > 0 ? this.samples / count : 0));
    if (this.#kind !== 'annealed') return balanced;
    const { ratio = 0.975, first = balanced, last } = this.#options.annealed ?? {};
    const most = counts.indexOf(Math.max(...counts));
    const final = last ?? counts.map((_, label) => (label === most ? 1 : 2));
    if (!(ratio >= 0 && ratio <= 1)) throw new OptionError(`annealing ratio must lie between 0 and 1, got ${ratio}`);
    for (const weights of [first, final]) {
      if (weights.length < counts.length || !weights.every((w) => w >= 0 && Number.isFinite(w))) {
        throw new OptionError(`annealing weights [${weights.join(', ')}]: one of 0 or more for each of the ` +
          `${counts.length} classes`);
      }
    }
    const share = ratio ** epoch;
    return counts.map((_, label) => share * first[label] + (1 - share) * final[label]);
  }
}
