/** Trying a launch's variants on memory of its own, so that tuning touches no value. */
import { OutOfMemoryError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';
import { toHalfBits } from '../half.ts';
import type { Device, Placed, PlacedLaunch, Scratch, WebgpuLaunch } from '../types.ts';
import { buildExecutable } from './encode.ts';
import type { ExecutableHost, WebgpuExecutable } from './executable.ts';
import { boundOffset, boundRange } from './launch.ts';
import { scoped } from './scopes.ts';
import type { Trial, Trials } from './tuner.ts';

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

/** Trials on a device. `host` is what it lends its executables; it has the tuner that asks for them, so it is taken when they run. */
export function trialsOn(device: Device, host: () => ExecutableHost): Trials {
  return {
    async compile(launches) {
      await Promise.all(launches.map((launch) => host().pipelines.get(placed(launch))));
    },
    async open(launch) {
      const trial = new LaunchTrial(device, host());
      await trial.allocate(launch);
      return trial;
    },
  };
}

const placed = (launch: WebgpuLaunch): PlacedLaunch => ({ launch, node: 'tuning', flop: 0 });

class LaunchTrial implements Trial {
  readonly #device: Device;
  readonly #host: ExecutableHost;
  /** What stands for the launch's values. */
  readonly #own = new Map<Placed | Scratch, Placed | Scratch>();
  #repeats: number | undefined;
  #least = Infinity;

  constructor(device: Device, host: ExecutableHost) {
    this.#device = device;
    this.#host = host;
  }

  /** @throws OutOfMemoryError where there is no room for the launch's operands a second time */
  async allocate({ bindings }: WebgpuLaunch): Promise<void> {
    try {
      const error = await scoped(this.#host.device, () => {
        for (const { value } of bindings) {
          if (this.#own.has(value)) continue;
          const buffer = this.#device.allocate(boundRange(value).bytes, 'tuning');
          this.#own.set(value, 'byteOffset' in value
            ? { buffer, byteOffset: 0, bytes: value.bytes } : { ...value, buffer, offset: boundOffset(value) });
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
  #fill(value: Placed | Scratch): void {
    const pattern = 'dtype' in value && value.dtype === 'float16' ? halves() : floats();
    const { buffer } = value;
    let from = PHASE * [...this.#own.values()].indexOf(value);
    for (let at = 0; at < buffer.bytes;) {
      const bytes = Math.min(pattern.byteLength - from, buffer.bytes - at);
      this.#device.write(buffer, at, new Uint8Array(pattern.buffer, from, bytes));
      at += bytes;
      from = 0;
    }
  }

  /** Runs the launch so often in a row, in error scopes, and then what is asked for. */
  async #run<T>(launch: WebgpuLaunch, repeats: number, then: (program: WebgpuExecutable) => Promise<T>): Promise<T> {
    const own = placed({ ...launch, bindings: launch.bindings.map((b) => ({ ...b, value: this.#own.get(b.value)! })) });
    const program = await buildExecutable(this.#host, Array.from({ length: repeats }, () => own));
    try {
      await program.run();
      return await then(program);
    } finally {
      program.dispose();
    }
  }

  async #repeatsFor(launch: WebgpuLaunch): Promise<number> {
    let repeats = 1;
    for (;;) {
      const ms = await this.#run(launch, repeats, (program) => program.time());
      if (ms > UNIT_MS / 2 || repeats === MOST_REPEATS) return repeats;
      repeats = Math.min(MOST_REPEATS, Math.ceil(repeats * Math.min(16, UNIT_MS / ms)));
    }
  }

  async time(launch: WebgpuLaunch): Promise<number> {
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

  async bits(launch: WebgpuLaunch): Promise<Uint8Array[]> {
    const written = launch.bindings.filter(({ access }) => access === 'write' || access === 'read-write');
    const results = written.map(({ value }) => this.#own.get(value)!);
    for (const result of results) this.#fill(result);
    return this.#run(launch, 1, () => Promise.all(results.map(({ buffer }) =>
      this.#device.read(buffer, 0, Math.min(buffer.bytes, COMPARED_BYTES)))));
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

let halfPattern: Uint16Array<ArrayBuffer> | undefined;

/** The same as float16, an even number of them, since writes are of words. */
const halves = (): Uint16Array<ArrayBuffer> => halfPattern ??= toHalfBits(floats().subarray(0, PATTERN - 1), 'float16');
