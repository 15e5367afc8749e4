import { getOp } from '../graph/op.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { apply } from '../tensor/tensor.ts';
import type { Variable } from '../tensor/variable.ts';
import type { OptimizerOptions } from './optimizer.ts';
import { Optimizer, checkRange } from './optimizer.ts';

export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number;
}

/** Stochastic gradient descent with momentum, as MXNet 1.9's `sgd_mom_update`. */
export class Sgd extends Optimizer {
  readonly kind = 'sgd';
  protected readonly arenas: { readonly momentum: Variable<'float32'> };
  readonly #momentum: number;

  constructor(parameters: readonly Variable[], options: SgdOptions) {
    checkRange('momentum', options.momentum, 0, 1);
    super(parameters, options);
    this.#momentum = options.momentum ?? 0;
    this.arenas = { momentum: this.arena('momentum') };
  }

  protected apply(gradient: Tensor, rates: TensorLike): void {
    const { momentum } = this.arenas;
    const inputs = [this.weights, gradient, momentum, this.chunks, this.multipliers, rates];
    const [weight, next] = apply(getOp('sgdUpdate'), inputs, { ...this.rule, momentum: this.#momentum });
    this.weights.assign(weight);
    momentum.assign(next);
  }
}

/**
 * SGD over the parameters given: g = clip(rescale * gradient) + wd * weight; m' = momentum * m - lr * g; weight' = weight + m'.
 * The parameters are packed in one arena.
 *
 * @throws OptionError for an option out of range, GraphError for a parameter that is packed already
 */
export function sgd(parameters: readonly Variable[], options: SgdOptions = {}): Sgd {
  return new Sgd(parameters, options);
}
