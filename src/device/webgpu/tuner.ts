/**
 * Choosing among a launch's variants by time. Variants give equal bits, so what is chosen changes nothing but speed. Choices are kept
 * by adapter: those of tuning-table.ts come with the package, others are measured when a Program is built and go into a store.
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

/** Time that the variants of one Program may take to measure; what is left then has the default, and its turn with the next Program. */
const BUDGET_MS = 4000;

type Variant = NonNullable<WebgpuLaunch['variants']>[number];

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
  /** Milliseconds that a launch takes, on memory of its own. */
  readonly #time: (launch: WebgpuLaunch) => Promise<number>;
  readonly #shipped: Choices;
  #kept: Choices | undefined;
  /** Launches timed since the device was made. */
  measurements = 0;

  constructor(mode: TuningMode, adapter: string, store: TuningStore | undefined, time: (launch: WebgpuLaunch) => Promise<number>) {
    this.#mode = mode;
    this.#adapter = adapter;
    this.#store = store;
    this.#time = time;
    this.#shipped = tuningTable.find((entry) => entry.adapter.test(adapter))?.choices ?? {};
  }

  /** The launches with their variants chosen, in the same order. */
  async choose(launches: readonly WebgpuLaunch[]): Promise<WebgpuLaunch[]> {
    if (this.#mode === 'measure') this.#kept ??= await this.#store?.load(this.#adapter) ?? {};
    const until = performance.now() + BUDGET_MS;
    let learned = false;
    const chosen: WebgpuLaunch[] = [];
    for (const launch of launches) {
      const { variants } = launch;
      if (variants === undefined) {
        chosen.push(launch);
        continue;
      }
      const key = tuningKey(launch);
      const known = this.#mode === 'off' ? undefined : this.#shipped[key] ?? this.#kept?.[key];
      // A name that is not there is of another version of the package.
      let variant = variants.find((v) => v.name === known);
      if (variant === undefined && this.#mode === 'measure' && performance.now() < until) {
        variant = await this.#fastest(launch);
        this.#kept![key] = variant.name;
        learned = true;
      }
      chosen.push(withVariant(launch, variant ?? variants[0]));
    }
    if (learned) await this.#store?.save(this.#adapter, this.#kept!);
    return chosen;
  }

  async #fastest(launch: WebgpuLaunch): Promise<Variant> {
    let best: Variant | undefined;
    let least = Infinity;
    for (const variant of launch.variants!) {
      const ms = await this.#time(withVariant(launch, variant));
      this.measurements++;
      if (best === undefined || ms < least) [best, least] = [variant, ms];
    }
    return best!;
  }
}
