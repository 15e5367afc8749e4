/**
 * Choosing among a launch's variants by time. Variants give equal bits, which is seen to before one is chosen, so choices change nothing
 * but speed. They are kept by adapter and version of the kernels: those of a table come with the package, others are measured when a
 * Program is built and go into a store.
 */
import { DeviceError } from '../errors.ts';
import type { CudaLaunch, WebgpuLaunch } from './types.ts';

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

export interface TuningOptions {
  /**
   * How the kernels' variants are chosen, all of equal bits: `table`, as comes with the package; `measure`, by timing what is not in
   * it, once per adapter, when a Program is built (some seconds at most); `off`, by default sizes. Default: `measure` on hardware,
   * `table` on software adapters.
   */
  readonly tuning?: TuningMode;
  /** Where measured choices are kept. Default: a file in the user's cache folder in Node, the device's own memory in a browser. */
  readonly tuningStore?: TuningStore;
  /** Seconds that measuring may add to the making of one Program, default 4. What is left then has the default, and its turn with the next. */
  readonly tuningSeconds?: number;
}

/** What these options come to. */
export interface Tuning {
  readonly mode: TuningMode;
  readonly store?: TuningStore | undefined;
  readonly seconds?: number | undefined;
}

const modes: readonly TuningMode[] = ['table', 'measure', 'off'];

/** @throws DeviceError for an option that is none */
export function checkTuning({ tuning, tuningSeconds: seconds }: TuningOptions): void {
  if (tuning !== undefined && !modes.includes(tuning)) {
    throw new DeviceError(`tuning is ${JSON.stringify(tuning)}; expected one of ${modes.join(', ')}`);
  }
  if (seconds !== undefined && !(seconds >= 0)) throw new DeviceError(`tuningSeconds is ${seconds}; expected a number of seconds, 0 or more`);
}

/** Options as a tuner takes them, with the default store where something is to be measured: a file of the kind of device. */
export async function tuningOf(options: TuningOptions, byDefault: TuningMode, kind: 'webgpu' | 'cuda'): Promise<Tuning> {
  const { tuning: mode = byDefault, tuningStore, tuningSeconds: seconds } = options;
  return { mode, seconds, store: mode === 'measure' ? tuningStore ?? await defaultStore(kind) : undefined };
}

async function defaultStore(kind: 'webgpu' | 'cuda'): Promise<TuningStore | undefined> {
  if (typeof process === 'undefined' || process.versions?.node === undefined) return undefined;
  const { fileStore, tuningFile } = await import('./tuning-file.ts');
  return fileStore(tuningFile(kind));
}

/** Launches that may have variants. */
export type Tunable = WebgpuLaunch | CudaLaunch;

export type VariantOf<L extends Tunable> = NonNullable<L['variants']>[number];

/** Tries a launch's variants. */
export interface Trial<L extends Tunable> {
  /** Milliseconds of the launch with a variant in place. */
  time(launch: L): Promise<number>;
  /** What it writes, or as much of it as tells variants apart, from operands that are the same each time. */
  bits(launch: L): Promise<readonly Uint8Array[]>;
  dispose(): void;
}

/** What the tuner asks of its device. */
export interface Trials<L extends Tunable> {
  /** Compiles launches in parallel, for later. */
  compile(launches: readonly L[]): Promise<void>;
  open(launch: L): Promise<Trial<L>>;
}

const kernelOf = (launch: Tunable): string => ('shader' in launch ? launch.shader : launch.kernel);

const macrosOf = (of: Tunable | VariantOf<Tunable>): Readonly<Record<string, string | number>> =>
  ('define' in of ? of.define : 'replace' in of ? of.replace : undefined) ?? {};

/** `conv2d_forward_tiles|VEC=1,V=vec4f|10,6,9,0`: launches that are expected to be fastest with the same variant. */
export function tuningKey(launch: Tunable): string {
  const [first, ...others] = launch.variants!.map(macrosOf);
  const fixed = Object.entries(macrosOf(launch)).filter(([name]) => others.every((v) => v[name] === first[name]));
  return `${kernelOf(launch)}|${fixed.map(([name, value]) => `${name}=${value}`).join(',')}|${launch.tuning ?? ''}`;
}

/** The launch with one of its variants in place. */
export function withVariant<L extends Tunable>(launch: L, variant: VariantOf<L>): L {
  const { variants: _, tuning: __, ...rest } = launch;
  const { name: ___, ...own } = variant;
  return { ...rest, ...own } as unknown as L;
}

export class Tuner<L extends Tunable> {
  readonly #mode: TuningMode;
  readonly #adapter: string;
  readonly #store: TuningStore | undefined;
  readonly #trials: Trials<L>;
  readonly #log: (line: string) => void;
  readonly #shipped: Choices;
  #kept: Choices | undefined;
  /** Keys that could not be measured: they have the default and are not tried again. */
  readonly #failed = new Set<string>();
  #learning: Promise<void> = Promise.resolve();
  readonly #seconds: number;
  /** Variants timed since the device was made, by key: milliseconds by name. */
  readonly timings = new Map<string, Readonly<Record<string, number>>>();

  /**
   * @param adapter what choices are kept by: all that speed may depend on
   * @param shipped what is known of it without measuring
   */
  constructor(
    { mode, store, seconds = TUNING_SECONDS }: Tuning, adapter: string, trials: Trials<L>, shipped: Choices = {},
    log: (line: string) => void = console.warn,
  ) {
    this.#mode = mode;
    this.#seconds = seconds;
    this.#adapter = adapter;
    this.#store = store;
    this.#trials = trials;
    this.#log = (line) => log(`fovea: tuning: ${line}`);
    this.#shipped = shipped;
  }

  /** How many variants were timed since the device was made. */
  get measurements(): number {
    return [...this.timings.values()].reduce((sum, times) => sum + Object.keys(times).length, 0);
  }

  /** The launches with their variants chosen, in the same order. Never rejects: what cannot be measured has the default. */
  async choose(launches: readonly L[]): Promise<L[]> {
    // What has no variants need not wait: so is what a trial builds, in the midst of it.
    if (this.#mode === 'measure' && launches.some((launch) => launch.variants !== undefined)) {
      // One at a time: Programs that are built side by side measure nothing twice.
      this.#learning = this.#learning.then(() => this.#learn(launches)).catch((error: Error) => this.#log(`choices are not kept: ${error.message}`));
      await this.#learning;
    }
    return launches.map((launch) => (launch.variants === undefined ? launch : withVariant(launch, this.#known(launch) ?? first(launch))));
  }

  #known(launch: L): VariantOf<L> | undefined {
    const key = tuningKey(launch);
    const name = this.#mode === 'off' ? undefined : this.#shipped[key] ?? this.#kept?.[key];
    // A name that is not there is of another version of the package.
    return variantsOf(launch).find((v) => v.name === name);
  }

  /** Measures what is not known of the launches, as far as the time goes. */
  async #learn(launches: readonly L[]): Promise<void> {
    if (this.#kept === undefined) {
      this.#kept = {};
      this.#kept = await this.#store?.load(this.#adapter) ?? this.#kept;
    }
    const unknown = new Map(launches.filter((l) => l.variants !== undefined && this.#known(l) === undefined).map((l) => [tuningKey(l), l]));
    for (const key of this.#failed) unknown.delete(key);
    if (unknown.size === 0) return;
    const until = performance.now() + 1000 * this.#seconds;
    // All at once, since adapters compile in parallel, and ahead what is needed whatever the time; how that went is asked for when a launch has
    // its turn.
    this.#trials.compile([...unknown.values()].map((launch) => withVariant(launch, first(launch)))).catch(() => undefined);
    const compiled = [...unknown.values()].map((launch) =>
      this.#trials.compile(variantsOf(launch).map((v) => withVariant(launch, v))).then(() => undefined, (error: Error) => ({ error })));
    let done = 0;
    for (const [key, launch] of unknown) {
      const ready = await inTime(compiled[done], until);
      if (ready === 'late') break;
      try {
        if (ready !== undefined) throw ready.error;
        this.#kept[key] = (await this.#fastest(key, launch)).name;
      } catch (error) {
        this.#failed.add(key);
        this.#log(`${kernelOf(launch)} keeps its default (${key}): ${(error as Error).message}`);
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
  async #fastest(key: string, launch: L): Promise<VariantOf<L>> {
    const usual = first(launch);
    const trial = await this.#trials.open(launch);
    try {
      const timed: { variant: VariantOf<L>; ms: number }[] = [];
      for (const variant of variantsOf(launch)) {
        timed.push({ variant, ms: await trial.time(withVariant(launch, variant)) });
      }
      this.timings.set(key, Object.fromEntries(timed.map(({ variant, ms }) => [variant.name, ms])));
      timed.sort((a, b) => a.ms - b.ms);
      let expected: readonly Uint8Array[] | undefined;
      for (const { variant } of timed) {
        if (variant === usual) break;
        expected ??= await trial.bits(withVariant(launch, usual));
        if (equal(await trial.bits(withVariant(launch, variant)), expected)) return variant;
        this.#log(`${kernelOf(launch)}: "${variant.name}" gives other bits than "${usual.name}" here and is not used`);
      }
      return usual;
    } finally {
      trial.dispose();
    }
  }
}

const variantsOf = <L extends Tunable>({ variants }: L): readonly VariantOf<L>[] => variants!;

/** What is taken unless another is known to be faster. */
const first = <L extends Tunable>(launch: L): VariantOf<L> => variantsOf(launch)[0];

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

/** By a plain loop: there are megabytes of them. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const equal = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean => a.every((bytes, i) => sameBytes(bytes, b[i]));
