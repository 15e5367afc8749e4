/** Dynamic loss scale: keeps the gradients of a mixed step within float16, and undoes a step in which they were not. */
import { OptionError, ShapeError } from '../errors.ts';
import { getOp } from '../graph/op.ts';
import type { HostArray } from '../nn/host-array.ts';
import type { Device } from '../device/types.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { apply1, tensor } from '../tensor/tensor.ts';
import type { Variable } from '../tensor/variable.ts';
import { undoUnless, variable } from '../tensor/variable.ts';

export interface LossScaleOptions {
  /** At the start; default 2^16. Powers of two alone lose no digits. */
  readonly initial?: number;
  /** What the scale is multiplied by after `interval` steps without overflow, and divided by after one with; default 2. */
  readonly factor?: number;
  /** Default 2000. */
  readonly interval?: number;
  /** The scale stays within these; default 1 and 2^24. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly device?: Device;
}

/** What an optimizer does with gradients of a scaled loss. */
export interface StepGuard {
  /** bool scalar: the gradients are numbers, and the step counts. */
  readonly finite: Tensor;
  /** float32 scalar: 1 / scale, by which gradients are multiplied; 0 where the step does not count. */
  readonly factor: Tensor;
}

/**
 * The scale and the count of good steps are variables, so that a step decides on the device whether it counts: `optimizer.update`
 * with a loss scale looks whether the gradients are finite, takes the scale out of them, ahead of clipping and decay, and leaves all
 * state of the step as it was where they are not. Initial value, factor and interval as in PyTorch's GradScaler, after Micikevicius et
 * al., "Mixed precision training", 2018, section 3.2.
 *
 *     const loss = ...;
 *     optimizer.update(grad(lossScale.scaled(loss), parameters), rate, lossScale);
 */
export class LossScale {
  readonly scale: Variable<'float32'>;
  /** Steps without overflow since the scale changed. */
  readonly goodSteps: Variable<'int32'>;
  readonly minimum: number;
  readonly #factor: number;
  readonly #interval: number;
  readonly #maximum: number;

  /** @throws OptionError for an option out of range */
  constructor({ initial = 2 ** 16, factor = 2, interval = 2000, minimum = 1, maximum = 2 ** 24, device }: LossScaleOptions = {}) {
    const positive = { initial, minimum, maximum };
    for (const [name, value] of Object.entries(positive)) {
      if (!(value > 0 && Number.isFinite(value))) throw new OptionError(`loss scale, ${name}: expected a number above 0, got ${value}`);
    }
    if (!(factor > 1 && Number.isFinite(factor))) throw new OptionError(`loss scale, factor: expected a number above 1, got ${factor}`);
    if (!Number.isInteger(interval) || interval < 1) {
      throw new OptionError(`loss scale, interval: expected an integer of 1 or more, got ${interval}`);
    }
    if (minimum > initial || initial > maximum) {
      throw new OptionError(`loss scale, initial: expected a number from ${minimum} to ${maximum}, got ${initial}`);
    }
    this.minimum = minimum;
    this.#factor = factor;
    this.#interval = interval;
    this.#maximum = maximum;
    this.scale = variable(initial, [], { name: 'loss-scale/scale', trainable: false, device });
    this.goodSteps = variable(0, [], { name: 'loss-scale/good-steps', dtype: 'int32', trainable: false, device });
  }

  /** The loss times the scale: what gradients are taken of. */
  scaled(loss: Tensor): Tensor {
    return loss.mul(this.scale);
  }

  /**
   * Called by `Optimizer.update`, once a step, inside a compiled function: looks at the gradients, records the next scale, and undoes,
   * where they are not finite, what was assigned to variables in this step before.
   *
   * @throws GraphError outside of a compiled function
   */
  guard(gradient: Tensor): StepGuard {
    const finite = apply1(getOp('allFinite'), [gradient]);
    undoUnless(finite);
    const scale = this.scale.read();
    const good = this.goodSteps.read().add(1);
    const grows = good.greaterEqual(tensor(this.#interval, [], 'int32'));
    const grown = choose(grows, scale.mul(this.#factor).minimum(this.#maximum), scale);
    this.scale.assign(choose(finite, grown, scale.div(this.#factor).maximum(this.minimum)));
    const zero = tensor(0, [], 'int32');
    this.goodSteps.assign(choose(finite, choose(grows, zero, good), zero));
    return { finite, factor: choose(finite, tensor(1).div(scale), tensor(0)) };
  }

  /** All state for an exact resume. */
  async saveState(): Promise<Map<string, HostArray>> {
    return new Map<string, HostArray>([
      ['scale', { shape: [], dtype: 'float32', data: (await this.scale.data()) as Float32Array<ArrayBuffer> }],
      ['good-steps', { shape: [], dtype: 'int32', data: (await this.goodSteps.data()) as Int32Array<ArrayBuffer> }],
    ]);
  }

  /**
   * Takes back what `saveState` gave.
   *
   * @throws OptionError where something is missing, ShapeError where a shape or dtype differs
   */
  async loadState(saved: ReadonlyMap<string, HostArray>): Promise<void> {
    const take = (name: string, dtype: 'float32' | 'int32'): HostArray => {
      const found = saved.get(name);
      if (found === undefined) throw new OptionError(`loss scale's state: "${name}" is missing`);
      if (found.dtype !== dtype || found.shape.length > 0) {
        throw new ShapeError(`loss scale's state: "${name}" is ${found.dtype} [${found.shape.join(', ')}], expected ${dtype} []`);
      }
      return found;
    };
    await this.scale.set(take('scale', 'float32').data as Float32Array);
    await this.goodSteps.set(take('good-steps', 'int32').data as Int32Array);
  }

  dispose(): void {
    this.scale.dispose();
    this.goodSteps.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const choose = (condition: Tensor, a: Tensor, b: Tensor): Tensor => apply1(getOp('where'), [condition, a, b]);
