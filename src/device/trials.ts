/** Trying a launch's variants on memory of its own, so that tuning touches no value. */
import { OutOfMemoryError } from '../errors.ts';
import { PhiloxStream } from '../random/philox.ts';
import { toHalfBits } from './half.ts';
import type { Device, HalfType, Placed, PlacedLaunch, Scratch } from './types.ts';
import { isHalfType } from './types.ts';
import type { Trial, Trials, Tunable } from './tuner.ts';

/** The launch is repeated until it takes about this long, beside which the time of a submit, or the steps of timestamps, are little. */
const UNIT_MS = 4;
const MOST_REPEATS = 256;

/** Runs of such a unit, of which the fastest counts; fewer where the first takes this many times as long as the best variant. */
const RUNS = 3;
const HOPELESS = 1.5;

/** Bytes of each result that are compared: many workgroups' tiles. */
const COMPARED_BYTES = 4 << 20;

/** Numbers that operands are filled with, again and again: a prime, so that rows differ. */
const PATTERN = 262_139;
/** Bytes from where one operand begins to where the next does. */
const PHASE = 4096;

/** Memory of a launch. */
export type Operand = Placed | Scratch;

/** Launches made ready, which can be timed once they have run. */
export interface Timed {
  run(): Promise<void>;
  /** Milliseconds of one run. */
  time(): Promise<number>;
  dispose(): void;
}

/** What differs between devices. */
export interface TrialHost<L extends Tunable> {
  readonly device: Pick<Device, 'allocate' | 'write' | 'read'>;
  compile(launches: readonly PlacedLaunch[]): Promise<void>;
  /** What a launch reads and writes, and of these what it writes, as far as launches tell them apart. */
  operands(launch: L): readonly Operand[];
  results(launch: L): readonly Operand[];
  /** Bytes of a buffer that has room for a value, and the value in it. */
  bytesOf(value: Operand): number;
  inBuffer(value: Placed, buffer: Placed['buffer']): Placed;
  /** The launch on other memory. */
  moved(launch: L, to: (value: Operand) => Operand): L;
  /** Does what allocates and writes; what went wrong unseen, where the device tells of it later. */
  watched(work: () => void): Promise<string | undefined>;
  build(launches: readonly PlacedLaunch[]): Promise<Timed>;
}

/** Trials on a device. The host has the tuner that asks for them, so it is taken when they run. */
export function trialsOn<L extends Tunable>(host: () => TrialHost<L>): Trials<L> {
  return {
    compile: (launches) => host().compile(launches.map(placed)),
    async open(launch) {
      const trial = new LaunchTrial(host());
      await trial.allocate(launch);
      return trial;
    },
  };
}

const placed = (launch: Tunable): PlacedLaunch => ({ launch, node: 'tuning', flop: 0 });

class LaunchTrial<L extends Tunable> implements Trial<L> {
  readonly #host: TrialHost<L>;
  /** What stands for the launch's values. */
  readonly #own = new Map<Operand, Operand>();
  #repeats: number | undefined;
  #least = Infinity;

  constructor(host: TrialHost<L>) {
    this.#host = host;
  }

  /** @throws OutOfMemoryError where there is no room for the launch's operands a second time */
  async allocate(launch: L): Promise<void> {
    const { device, bytesOf, inBuffer } = this.#host;
    try {
      const error = await this.#host.watched(() => {
        for (const value of this.#host.operands(launch)) {
          if (this.#own.has(value)) continue;
          const buffer = device.allocate(bytesOf(value), 'tuning');
          this.#own.set(value, 'byteOffset' in value ? { buffer, byteOffset: 0, bytes: value.bytes } : inBuffer(value, buffer));
          this.#fill(this.#own.get(value)!);
        }
      });
      if (error !== undefined) throw new OutOfMemoryError(error);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Fills a value from another place of the pattern than the others. */
  #fill(value: Operand): void {
    const pattern = 'dtype' in value && isHalfType(value.dtype) ? halves(value.dtype) : floats();
    const { buffer } = value;
    let from = PHASE * [...this.#own.values()].indexOf(value);
    for (let at = 0; at < buffer.bytes;) {
      const bytes = Math.min(pattern.byteLength - from, buffer.bytes - at);
      this.#host.device.write(buffer, at, new Uint8Array(pattern.buffer, from, bytes));
      at += bytes;
      from = 0;
    }
  }

  /** Runs the launch so often in a row, and then what is asked for. */
  async #run<T>(launch: L, repeats: number, then: (program: Timed) => Promise<T>): Promise<T> {
    const own = placed(this.#host.moved(launch, (value) => this.#own.get(value)!));
    const program = await this.#host.build(Array.from({ length: repeats }, () => own));
    try {
      await program.run();
      return await then(program);
    } finally {
      program.dispose();
    }
  }

  async #repeatsFor(launch: L): Promise<number> {
    let repeats = 1;
    for (;;) {
      const ms = await this.#run(launch, repeats, (program) => program.time());
      if (ms > UNIT_MS / 2 || repeats === MOST_REPEATS) return repeats;
      repeats = Math.min(MOST_REPEATS, Math.ceil(repeats * Math.min(16, UNIT_MS / ms)));
    }
  }

  async time(launch: L): Promise<number> {
    const repeats = this.#repeats ??= await this.#repeatsFor(launch);
    const ms = await this.#run(launch, repeats, async (program) => {
      let best = Infinity;
      for (let i = 0; i < RUNS; i++) {
        best = Math.min(best, await program.time() / repeats);
        if (best > HOPELESS * this.#least) break;
      }
      return best;
    });
    this.#least = Math.min(this.#least, ms);
    return ms;
  }

  async bits(launch: L): Promise<Uint8Array[]> {
    const results = [...new Set(this.#host.results(launch))].map((value) => this.#own.get(value)!);
    for (const result of results) this.#fill(result);
    return this.#run(launch, 1, () => Promise.all(results.map(({ buffer }) =>
      this.#host.device.read(buffer, 0, Math.min(buffer.bytes, COMPARED_BYTES)))));
  }

  dispose(): void {
    for (const { buffer } of this.#own.values()) buffer.dispose();
    this.#own.clear();
  }
}

let pattern: Float32Array<ArrayBuffer> | undefined;

/** From -1 to 1. */
function floats(): Float32Array<ArrayBuffer> {
  if (pattern === undefined) {
    const stream = new PhiloxStream(0, 'tuning');
    pattern = Float32Array.from({ length: PATTERN }, () => stream.uniform(-1, 1));
  }
  return pattern;
}

const halfPatterns = new Map<HalfType, Uint16Array<ArrayBuffer>>();

/** The same in 16 bits, an even number of them, since writes are of words. */
function halves(dtype: HalfType): Uint16Array<ArrayBuffer> {
  const made = halfPatterns.get(dtype) ?? toHalfBits(floats().subarray(0, PATTERN - 1), dtype);
  halfPatterns.set(dtype, made);
  return made;
}
