/** What was submitted to a device's stream and is not known to be done; waiting for it, and what to say when it has failed. */
import { freemem, totalmem } from 'node:os';
import { DeviceError, OutOfMemoryError } from '../../errors.ts';
import type { PlacedLaunch } from '../types.ts';
import type { Bindings } from './bindings.ts';
import { CudaError, Result } from './bindings.ts';
import { describeLaunch } from './pack.ts';

/** Runs that may be under way: enough that the GPU never waits for JavaScript, few enough that memory in flight stays bounded. */
const MOST_RUNS = 16;
/** How many of the launches that may be at fault are named. */
const MOST_NAMED = 6;

const DISABLE_TIMING = 2;

interface Run {
  readonly event: bigint;
  readonly launches: readonly PlacedLaunch[];
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

export class WorkQueue {
  readonly #cuda: Bindings;
  readonly #stream: bigint;
  readonly #name: string;
  readonly #enter: () => void;
  readonly #runs: Run[] = [];
  readonly #spare: bigint[] = [];
  /** Why nothing can be done with the device any more. */
  lost: DeviceError | undefined;

  /** @param enter makes the device's context the thread's; throws where the device is disposed of or lost */
  constructor(cuda: Bindings, stream: bigint, name: string, enter: () => void) {
    this.#cuda = cuda;
    this.#stream = stream;
    this.#name = name;
    this.#enter = enter;
  }

  /** Has `hand` give a run to the driver, of these launches. */
  submit(launches: readonly PlacedLaunch[], hand: () => void): void {
    // Nothing that may throw lies between: where the next call tells of a failure, this run is under suspicion.
    const event = this.#spare.pop() ?? this.#cuda.handle('cuEventCreate', [DISABLE_TIMING]);
    try {
      hand();
    } catch (error) {
      this.#spare.push(event);
      throw error;
    }
    this.#runs.push({ event, launches });
    this.#cuda.call('cuEventRecord', [event, this.#stream]);
  }

  /** Waits while too many runs are under way. */
  async throttle(): Promise<void> {
    this.#reap();
    if (this.#runs.length > MOST_RUNS) await this.wait(this.#runs[0].event, 'a run');
    this.#reap();
  }

  #reap(): void {
    while (this.#runs.length > 0 && this.guard(() => this.#cuda.ready(this.#runs[0].event))) this.#spare.push(this.#runs.shift()!.event);
  }

  /** Resolves when the event has come. JavaScript goes on meanwhile: a wait inside the driver would hold it, signals and timers up. */
  async wait(event: bigint, about: string): Promise<void> {
    const began = performance.now();
    while (!this.guard(() => this.#cuda.ready(event, about))) await (performance.now() - began < 2 ? turn() : pause());
  }

  /** Nothing is under way any more, all went well. */
  drained(): void {
    for (const { event } of this.#runs.splice(0)) this.#spare.push(event);
  }

  /** Does something with the driver. Errors come out as `failure` has them. */
  guard<T>(work: () => T): T {
    try {
      // A kernel's failure may show first here.
      this.#enter();
      return work();
    } catch (error) {
      throw this.failure(error);
    }
  }

  /**
   * What to tell of an error: out of memory as such, with what is free; after an error that leaves the context dead, which kernel it was or
   * may have been, now and at every later call.
   *
   * @param suspect the launch at fault, where it is known
   */
  failure(error: unknown, suspect?: PlacedLaunch): unknown {
    if (!(error instanceof CudaError)) return error;
    if (error.sticky) {
      this.lost ??= new DeviceError(`${this.#name} was lost${this.#suspects(suspect)}: ${error.message}`, { cause: error });
      return this.lost;
    }
    if (error.result !== Result.outOfMemory) return error;
    const left = error.call === 'cuMemHostAlloc' ? `the host's memory ran out: ${freemem()} of its ${totalmem()} bytes are free` : this.freeMemory();
    return new OutOfMemoryError(`${this.#name}: ${error.message}; ${left}`, { cause: error });
  }

  /** `123 of 456 bytes are free`, of the GPU's. */
  freeMemory(): string {
    const free = new BigUint64Array(1);
    const total = new BigUint64Array(1);
    try {
      this.#cuda.call('cuMemGetInfo_v2', [free, total]);
    } catch (error) {
      return `what is free is not known (${(error as Error).message})`;
    }
    return `${free[0]} of ${total[0]} bytes are free`;
  }

  #suspects(known: PlacedLaunch | undefined): string {
    const launches = known !== undefined ? [known] : this.#runs.flatMap((run) => run.launches);
    const names = [...new Set(launches.map(describeLaunch))];
    if (names.length === 0) return '';
    if (names.length === 1) return ` in ${names[0]}`;
    const shown = names.length > MOST_NAMED ? [...names.slice(0, MOST_NAMED), `${names.length - MOST_NAMED} more`] : names;
    return ` in one of ${shown.join(', ')} (FOVEA_CUDA_CHECK=1 runs launches one by one and names the one at fault)`;
  }

  dispose(): void {
    this.drained();
    for (const event of this.#spare.splice(0)) this.#cuda.attempt('cuEventDestroy_v2', [event]);
  }
}
