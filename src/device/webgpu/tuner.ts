/**
 * Choosing among a launch's variants by time. Variants give equal bits, which is seen to before one is chosen, so choices change nothing
 * but speed. They are kept by adapter and version of the kernels: those of tuning-table.ts come with the package, others are measured
 * when a Program is built and go into a store.
 */
import type { WebgpuLaunch } from '../types.ts';
import { tuningTable } from './tuning-table.ts';

/** Names of chosen variants by key (kernel, replacements, class of shapes). */
export type Choices = Record<string, string>;

/** Where measured choices of an adapter are kept between runs. Neither function may reject. */
export interface TuningStore {
  load(adapter: string): Promise<Choices>;
  save(adapter: string, choices: Choices): Promise<void>;
}

/** `table`: what comes with the package, else the default. `measure`: also what is in the store, else measured. `off`: the default. */
export type TuningMode = 'table' | 'measure' | 'off';

/** Seconds that the variants of one Program may take to compile and measure; what is left then has the default, and its turn with the next. */
export const TUNING_SECONDS = 4;

type Variant = NonNullable<WebgpuLaunch['variants']>[number];

/** Tries a launch's variants. */
export interface Trial {
  /** Milliseconds of the launch with a variant in place. */
  time(launch: WebgpuLaunch): Promise<number>;
  /** What it writes, or as much of it as tells variants apart, from operands that are the same each time. */
  bits(launch: WebgpuLaunch): Promise<readonly Uint8Array[]>;
  dispose(): void;
}

/** What the tuner asks of its device. */
export interface Trials {
  /** Compiles launches in parallel, for later. */
  compile(launches: readonly WebgpuLaunch[]): Promise<void>;
  open(launch: WebgpuLaunch): Promise<Trial>;
}

/** `conv2d_forward_tiles|VEC=1,V=vec4f|10,6,9,0`: launches that are expected to be fastest with the same variant. */
export function tuningKey(launch: WebgpuLaunch): string {
  const chosen = new Set(Object.keys(launch.replace ?? {}).filter((name) =>
    launch.variants!.some((v) => v.replace[name] !== launch.variants![0].replace[name])));
  const fixed = Object.entries(launch.replace ?? {}).filter(([name]) => !chosen.has(name));
  return `${launch.shader}|${fixed.map(([name, value]) => `${name}=${value}`).join(',')}|${launch.tuning ?? ''}`;
}

/** The launch with one of its variants in place. */
export function withVariant(launch: WebgpuLaunch, { grid, replace }: Variant): WebgpuLaunch {
  const { variants: _, tuning: __, ...rest } = launch;
  return { ...rest, grid, replace };
}

export class Tuner {
  readonly #mode: TuningMode;
  readonly #adapter: string;
  readonly #store: TuningStore | undefined;
  readonly #trials: Trials;
  readonly #log: (line: string) => void;
  readonly #shipped: Choices;
  #kept: Choices | undefined;
  /** Keys that could not be measured: they have the default and are not tried again. */
  readonly #failed = new Set<string>();
  #learning: Promise<void> = Promise.resolve();
  readonly #seconds: number;
  /** Variants timed since the device was made, by key: milliseconds by name. */
  readonly timings = new Map<string, Readonly<Record<string, number>>>();

  constructor(
    mode: TuningMode, adapter: string, store: TuningStore | undefined, trials: Trials, seconds = TUNING_SECONDS,
    log: (line: string) => void = console.warn,
  ) {
    this.#mode = mode;
    this.#seconds = seconds;
    this.#adapter = adapter;
    this.#store = store;
    this.#trials = trials;
    this.#log = (line) => log(`fovea: tuning: ${line}`);
    this.#shipped = tuningTable.find((entry) => entry.adapter.test(adapter))?.choices ?? {};
  }

  /** How many variants were timed since the device was made. */
  get measurements(): number {
    return [...this.timings.values()].reduce((sum, times) => sum + Object.keys(times).length, 0);
  }

  /** The launches with their variants chosen, in the same order. Never rejects: what cannot be measured has the default. */
  async choose(launches: readonly WebgpuLaunch[]): Promise<WebgpuLaunch[]> {
    // What has no variants need not wait: so is what a trial builds, in the midst of it.
    if (this.#mode === 'measure' && launches.some((launch) => launch.variants !== undefined)) {
      // One at a time: Programs that are built side by side measure nothing twice.
      this.#learning = this.#learning.then(() => this.#learn(launches)).catch((error: Error) => this.#log(`choices are not kept: ${error.message}`));
      await this.#learning;
    }
    return launches.map((launch) => (launch.variants === undefined ? launch : withVariant(launch, this.#known(launch) ?? launch.variants[0])));
  }

  #known(launch: WebgpuLaunch): Variant | undefined {
    const key = tuningKey(launch);
    const name = this.#mode === 'off' ? undefined : this.#shipped[key] ?? this.#kept?.[key];
    // A name that is not there is of another version of the package.
    return launch.variants!.find((v) => v.name === name);
  }

  /** Measures what is not known of the launches, as far as the time goes. */
  async #learn(launches: readonly WebgpuLaunch[]): Promise<void> {
    if (this.#kept === undefined) {
      this.#kept = {};
      this.#kept = await this.#store?.load(this.#adapter) ?? this.#kept;
    }
    const unknown = new Map(launches.filter((l) => l.variants !== undefined && this.#known(l) === undefined).map((l) => [tuningKey(l), l]));
    for (const key of this.#failed) unknown.delete(key);
    if (unknown.size === 0) return;
    const until = performance.now() + 1000 * this.#seconds;
    // All at once, since adapters compile in parallel; how that went is asked for when a launch has its turn.
    const compiled = [...unknown.values()].map((launch) =>
      this.#trials.compile(launch.variants!.map((v) => withVariant(launch, v))).then(() => undefined, (error: Error) => ({ error })));
    let done = 0;
    for (const [key, launch] of unknown) {
      const ready = await inTime(compiled[done], until);
      if (ready === 'late') break;
      try {
        if (ready !== undefined) throw ready.error;
        this.#kept[key] = (await this.#fastest(key, launch)).name;
      } catch (error) {
        this.#failed.add(key);
        this.#log(`${launch.shader} keeps its default (${key}): ${(error as Error).message}`);
      }
      done++;
    }
    if (done < unknown.size) {
      this.#log(`${unknown.size - done} of ${unknown.size} kinds of launches keep their default for now: ${this.#seconds} s are up`);
    }
    if (done > 0) await this.#store?.save(this.#adapter, this.#kept);
  }

  /**
   * The fastest of the variants that give the default's bits. All should, but whether a compiler contracts multiplications and additions
   * is its own affair in each of them.
   */
  async #fastest(key: string, launch: WebgpuLaunch): Promise<Variant> {
    const [first] = launch.variants!;
    const trial = await this.#trials.open(launch);
    try {
      const timed: { variant: Variant; ms: number }[] = [];
      for (const variant of launch.variants!) {
        timed.push({ variant, ms: await trial.time(withVariant(launch, variant)) });
      }
      this.timings.set(key, Object.fromEntries(timed.map(({ variant, ms }) => [variant.name, ms])));
      timed.sort((a, b) => a.ms - b.ms);
      let expected: readonly Uint8Array[] | undefined;
      for (const { variant } of timed) {
        if (variant === first) break;
        expected ??= await trial.bits(withVariant(launch, first));
        if (equal(await trial.bits(withVariant(launch, variant)), expected)) return variant;
        this.#log(`${launch.shader}: "${variant.name}" gives other bits than "${first.name}" here and is not used`);
      }
      return first;
    } finally {
      trial.dispose();
    }
  }
}

/** What `work` comes to, or 'late' where the time is up before. */
async function inTime<T>(work: Promise<T>, until: number): Promise<T | 'late'> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), Math.max(0, until - performance.now()));
  });
  try {
    return performance.now() < until ? await Promise.race([work, late]) : 'late';
  } finally {
    clearTimeout(timer);
  }
}

const equal = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.every((bytes, i) => bytes.length === b[i].length && bytes.every((v, j) => v === b[i][j]));
