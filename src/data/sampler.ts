/**
 * Which samples a training step sees. Each epoch has an order, drawn from (seed, epoch) alone; batches are cut from it
 * and are always full: what is left over opens the next epoch, or is dropped.
 */
import { DataError, OptionError } from '../errors.ts';
import { hashName, PhiloxStream } from '../random/philox.ts';
import { didYouMean } from '../nearest.ts';

/**
 * The order of an epoch, as positions in `labels`; repetition and omission are the function's choice.
 * It must draw from `rng` alone: the same epoch is asked for again when a run resumes.
 */
export type SamplerFunction = (epoch: number, labels: Int32Array, rng: PhiloxStream) => ArrayLike<number>;

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
export type SamplerKind = (typeof samplerNames)[number] | SamplerFunction;

export interface SamplerOptions {
  kind?: SamplerKind;
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
  #epoch = 0;
  #cursor = 0;
  #carried: Int32Array = new Int32Array(0);
  #order: Int32Array | undefined;

  /**
   * @param labels class of every sample of the dataset.
   * @param indices the dataset indices to draw from (the training part).
   * @throws OptionError for an unknown kind, a batch larger than the part, ratios or weights out of range.
   */
  constructor(labels: ArrayLike<number>, indices: ArrayLike<number>, options: SamplerOptions) {
    const { kind = 'none', batch, seed = 0, epochSize, remainder } = options;
    if (typeof kind !== 'function' && !samplerNames.includes(kind)) {
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
    const size = typeof kind === 'string' && kind !== 'none' ? epochSize ?? indices.length : indices.length;
    if (typeof kind === 'string' && batch > size) {
      throw new OptionError(`a batch of ${batch} is larger than the ${size} samples of an epoch`);
    }
    this.batch = batch;
    this.#indices = Int32Array.from(indices);
    this.#labels = this.#indices.map((i) => labels[i]);
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

  /** The next batch. @throws DataError where a user's sampler gives no batch or positions that do not exist. */
  next(): SampledBatch {
    let order = this.#ordered();
    if ((this.#cursor + 1) * this.batch > order.length) {
      if (this.#cursor === 0) {
        throw new DataError(`epoch ${this.#epoch} has ${order.length} samples, which fill no batch of ${this.batch}`);
      }
      const rest = order.slice(this.#cursor * this.batch);
      this.#carried = (this.#options.remainder ?? 'carry') === 'carry' ? rest : new Int32Array(0);
      this.#epoch++;
      this.#cursor = 0;
      this.#order = undefined;
      order = this.#ordered();
      if (order.length < this.batch) return this.next();
    }
    const start = this.#cursor * this.batch;
    return {
      epoch: this.#epoch, step: this.#cursor++, steps: Math.floor(order.length / this.batch),
      indices: order.slice(start, start + this.batch),
    };
  }

  /** Batches in the current epoch. */
  stepsThisEpoch(): number {
    return Math.floor(this.#ordered().length / this.batch);
  }

  /** Where the sampler stands, to be put back by `restore`. */
  state(): SamplerState {
    return {
      format: 1, epoch: this.#epoch, cursor: this.#cursor, carried: [...this.#carried], ...this.#identity(),
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
    this.#carried = Int32Array.from(state.carried);
    this.#order = undefined;
  }

  #identity() {
    const kind = typeof this.#kind === 'function' ? 'function' : this.#kind;
    return { seed: this.#seed, batch: this.batch, samples: this.samples, kind, fingerprint: this.#fingerprint };
  }

  #ordered(): Int32Array {
    if (this.#order) return this.#order;
    const rng = new PhiloxStream(this.#seed, 'sampler', 0, this.#epoch);
    const positions = this.#draw(rng);
    const order = new Int32Array(this.#carried.length + positions.length);
    order.set(this.#carried);
    for (let k = 0; k < positions.length; k++) {
      const position = positions[k];
      if (!(Number.isInteger(position) && position >= 0 && position < this.samples)) {
        throw new DataError(`the sampler gave position ${position} in epoch ${this.#epoch}; there are ${this.samples}`);
      }
      order[this.#carried.length + k] = this.#indices[position];
    }
    return (this.#order = order);
  }

  #draw(rng: PhiloxStream): ArrayLike<number> {
    if (typeof this.#kind === 'function') return this.#kind(this.#epoch, this.#labels, rng);
    if (this.#kind === 'none') return rng.shuffle(Array.from(this.#labels, (_, i) => i));
    return drawByClass(this.#labels, this.#weights(this.#epoch), this.#options.epochSize ?? this.samples, rng);
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

function countLabels(labels: Int32Array): number[] {
  const counts: number[] = new Array<number>(labels.reduce((a, b) => Math.max(a, b), 0) + 1).fill(0);
  for (const label of labels) counts[label]++;
  return counts;
}

/**
 * `size` positions with class c in proportion weights[c] * count[c]. The shares are rounded at random so that their
 * expectation is exact, and within a class every sample is taken once before any is taken again.
 */
function drawByClass(labels: Int32Array, weights: readonly number[], size: number, rng: PhiloxStream): number[] {
  const members: number[][] = weights.map(() => []);
  labels.forEach((label, i) => members[label].push(i));
  const masses = weights.map((weight, label) => weight * members[label].length);
  const total = masses.reduce((a, b) => a + b, 0);
  if (!(total > 0)) throw new OptionError('the sampler weights leave no class with samples');
  // Systematic sampling: one uniform offset rounds all the running sums, so each share is off by less than one.
  const offset = rng.uniform();
  const order: number[] = [];
  let running = 0;
  let before = 0;
  const last = masses.findLastIndex((mass) => mass > 0);
  masses.forEach((mass, label) => {
    running += mass;
    const upTo = label >= last ? size : Math.min(size, Math.floor(running / total * size + offset));
    let missing = upTo - before;
    before = upTo;
    while (missing > 0) {
      const pass = rng.shuffle([...members[label]]).slice(0, missing);
      for (const position of pass) order.push(position);
      missing -= pass.length;
    }
  });
  return rng.shuffle(order);
}
