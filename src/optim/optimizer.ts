/** What the optimizers share: parameters packed in one arena, the table of segments, state that can be saved. */
import type { Device } from '../device/types.ts';
import { DTypeError, OptionError, ShapeError } from '../errors.ts';
import type { HostArray } from '../nn/host-array.ts';
import { getOp } from '../graph/op.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { apply1 } from '../tensor/tensor.ts';
import type { LossScale, StepGuard } from './loss-scale.ts';
import { Variable, packVariables, variable } from '../tensor/variable.ts';
import type { PackedVariables } from '../tensor/variable.ts';

/** Factors of one parameter on the learning rate and the weight decay. */
export interface Multipliers {
  /** Default 1. */
  readonly lrMult?: number;
  /** Default: 1 for names that end in _weight or _gamma, else 0, as MXNet's Module has it. */
  readonly wdMult?: number;
}

export interface OptimizerOptions {
  /** Used where `update` is given none. */
  readonly learningRate?: number;
  /** Added to the gradient as weightDecay * wdMult * weight, after clipping. Default 0. */
  readonly weightDecay?: number;
  /** Gradients are multiplied by it before all else: 1 / batch for losses that are sums. Default 1. */
  readonly rescale?: number;
  /** Rescaled gradients are clipped to [-clipGradient, clipGradient]; default not. */
  readonly clipGradient?: number | null;
  /** Sums the gradients over the ranks of the group that the step is compiled with, as they lie in one vector. Default false. */
  readonly allReduce?: boolean;
  /** By parameter name. */
  readonly multipliers?: (name: string) => Multipliers | undefined;
  readonly device?: Device;
}

/** Elements that one workgroup or tile updates. */
const CHUNK = 4096;

/**
 * Parameters with the state that their updates need. The parameters become parts of one flat variable and stay usable as
 * before; `update` is called inside the step, once, with their gradients.
 */
export abstract class Optimizer {
  abstract readonly kind: 'sgd' | 'adam';
  readonly parameters: readonly Variable[];
  /** Used where `update` is given no learning rate. */
  readonly learningRate: number;
  protected readonly weights: Variable<'float32'>;
  protected readonly chunks: Variable<'int32'>;
  protected readonly multipliers: Variable<'float32'>;
  readonly #packed: PackedVariables;
  readonly #options: OptimizerOptions;

  constructor(parameters: readonly Variable[], options: OptimizerOptions) {
    if (parameters.length === 0) throw new OptionError('an optimizer needs at least one parameter');
    const names = new Set<string>();
    for (const { name, dtype } of parameters) {
      if (dtype !== 'float32') throw new DTypeError(`parameter "${name}" is ${dtype}; optimizers update float32`);
      if (names.has(name)) throw new OptionError(`two parameters are named "${name}"`);
      names.add(name);
    }
    checkRange('learningRate', options.learningRate, 0);
    checkRange('weightDecay', options.weightDecay, 0);
    checkRange('rescale', options.rescale, 0);
    checkRange('clipGradient', options.clipGradient ?? undefined, 0);
    this.parameters = parameters;
    this.learningRate = options.learningRate ?? 0.01;
    this.#options = options;
    this.#packed = packVariables(parameters, { name: 'parameters', device: options.device });
    this.weights = this.#packed.flat;
    const rows = this.#packed.parts.flatMap(({ start, size }, segment) =>
      Array.from({ length: Math.ceil(size / CHUNK) }, (_, i) => {
        const from = i * CHUNK;
        return [start + from, Math.min(CHUNK, size - from), segment];
      }));
    this.chunks = variable(rows.flat(), [rows.length, 3], { name: 'optimizer/chunks', dtype: 'int32', trainable: false });
    const factors = parameters.flatMap(({ name }) => factorsOf(name, options.multipliers?.(name)));
    this.multipliers = variable(factors, [parameters.length, 2], { name: 'optimizer/multipliers', trainable: false });
  }

  /**
   * Records the update of all parameters. Inside a compiled step, give the learning rate as an argument of the step: then a
   * schedule recompiles nothing.
   *
   * @param gradients one for each parameter, in order
   * @param learningRate a number, or a scalar tensor
   * @param lossScale of which the gradients are; it is taken out of them, and where they overflowed nothing that the step assigned
   *   by now, nor the update itself, takes place: what else is state is to be assigned before
   * @returns with a loss scale, whether the step counts
   * @throws ShapeError where a gradient has not its parameter's shape; GraphError for a loss scale outside of a compiled function
   */
  update(gradients: readonly Tensor[], learningRate: TensorLike = this.learningRate, lossScale?: LossScale): StepGuard | undefined {
    if (gradients.length !== this.parameters.length) {
      throw new ShapeError(`update: ${gradients.length} gradients for ${this.parameters.length} parameters`);
    }
    gradients.forEach((g, i) => {
      const { name, shape } = this.parameters[i];
      if (g.shape.join() !== shape.join()) {
        throw new ShapeError(`update: the gradient of "${name}" has shape [${g.shape.join(', ')}], ` +
          `the parameter [${shape.join(', ')}]`);
      }
    });
    const starts = this.#packed.parts.map((p) => p.start);
    const own = apply1(getOp('concatFlat'), gradients, { starts, total: this.weights.size });
    const flat = this.#options.allReduce ? apply1(getOp('allReduce'), [own]) : own;
    if (lossScale === undefined) {
      this.apply(flat, learningRate);
      return undefined;
    }
    const guard = lossScale.guard(flat);
    const rate = apply1(getOp('reshape'), [learningRate], { shape: [1] });
    this.apply(flat, apply1(getOp('concat'), [rate, guard.factor.reshape([1])], { axis: 0 }), guard);
    return guard;
  }

  /**
   * The rule itself, over the arena.
   *
   * @param rates the learning rate; with a guard, [2]: the rate and the guard's factor, as update ops take it
   */
  protected abstract apply(gradient: Tensor, rates: TensorLike, guard?: StepGuard): void;

  /** Arenas of the rule's state, by name, parallel to the parameters'. */
  protected abstract readonly arenas: Readonly<Record<string, Variable<'float32'>>>;

  /** Counts and the like that the rule keeps, scalars. */
  protected readonly counters: Readonly<Record<string, Variable<'int32'>>> = {};

  protected get rule(): { weightDecay: number; rescale: number; clip: number | null } {
    const { weightDecay = 0, rescale = 1, clipGradient = null } = this.#options;
    return { weightDecay, rescale, clip: clipGradient };
  }

  /** An arena of zeros beside the parameters'. */
  protected arena(name: string): Variable<'float32'> {
    return variable(0, [this.weights.size], { name: `optimizer/${name}`, trainable: false, device: this.#options.device });
  }

  /** Sets factors anew, between steps; nothing is compiled again. */
  async setMultipliers(multipliers: (name: string) => Multipliers | undefined): Promise<void> {
    await this.multipliers.set(Float32Array.from(this.parameters.flatMap(({ name }) => factorsOf(name, multipliers(name)))));
  }

  /** All state for an exact resume, by `STATE/PARAMETER`. */
  async saveState(): Promise<Map<string, HostArray>> {
    const out = new Map<string, HostArray>();
    for (const [state, arena] of Object.entries(this.arenas)) {
      const values = await arena.data();
      for (const { variable: parameter, start, size } of this.#packed.parts) {
        const data = values.slice(start, start + size) as Float32Array<ArrayBuffer>;
        out.set(`${state}/${parameter.name}`, { shape: [...parameter.shape], dtype: 'float32', data });
      }
    }
    for (const [name, counter] of Object.entries(this.counters)) {
      out.set(name, { shape: [], dtype: 'int32', data: (await counter.data()) as Int32Array<ArrayBuffer> });
    }
    return out;
  }

  /**
   * Takes back what `saveState` gave.
   *
   * @throws OptionError where something is missing, ShapeError where a shape differs
   */
  async loadState(saved: ReadonlyMap<string, HostArray>): Promise<void> {
    const take = (name: string, shape: readonly number[], dtype: string): HostArray => {
      const found = saved.get(name);
      if (found === undefined) throw new OptionError(`optimizer state: "${name}" is missing`);
      if (found.dtype !== dtype || found.shape.join() !== shape.join()) {
        throw new ShapeError(`optimizer state: "${name}" is ${found.dtype} [${found.shape.join(', ')}], ` +
          `expected ${dtype} [${shape.join(', ')}]`);
      }
      return found;
    };
    for (const [state, arena] of Object.entries(this.arenas)) {
      const values = new Float32Array(arena.size);
      for (const { variable: parameter, start } of this.#packed.parts) {
        values.set(take(`${state}/${parameter.name}`, parameter.shape, 'float32').data as Float32Array, start);
      }
      await arena.set(values);
    }
    for (const [name, counter] of Object.entries(this.counters)) {
      await counter.set(take(name, [], 'int32').data as Int32Array);
    }
  }

  /** Frees the state and the parameters' arena. */
  dispose(): void {
    const state = [...Object.values(this.arenas), ...Object.values(this.counters)];
    for (const one of [this.weights, this.chunks, this.multipliers, ...state]) one.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** MXNet decays weights and gammas alone, unless a variable says otherwise. */
function factorsOf(name: string, given: Multipliers | undefined): [number, number] {
  const wd = given?.wdMult ?? (name.endsWith('_weight') || name.endsWith('_gamma') ? 1 : 0);
  return [given?.lrMult ?? 1, wd];
}

export function checkRange(name: string, value: number | undefined, low: number, high = Infinity): void {
  if (value === undefined || (value >= low && value <= high && Number.isFinite(value))) return;
  throw new OptionError(`${name}: expected a number ${high === Infinity ? `of ${low} or more` : `from ${low} to ${high}`}, got ${value}`);
}
