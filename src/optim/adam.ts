import { getOp } from '../graph/op.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { apply, apply1 } from '../tensor/tensor.ts';
import type { Variable } from '../tensor/variable.ts';
import { variable } from '../tensor/variable.ts';
import type { StepGuard } from './loss-scale.ts';
import type { OptimizerOptions } from './optimizer.ts';
import { Optimizer, checkRange } from './optimizer.ts';

export interface AdamOptions extends OptimizerOptions {
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default true. */
  readonly correctBias?: boolean;
}

/** Adam (Kingma and Ba 2014), as MXNet 1.9 has it: the correction of the bias goes into the learning rate. */
export class Adam extends Optimizer {
  readonly kind = 'adam';
  protected readonly arenas: { readonly mean: Variable<'float32'>; readonly variance: Variable<'float32'> };
  protected override readonly counters: { readonly step: Variable<'int32'> };
  readonly #attrs: { beta1: number; beta2: number; epsilon: number; correctBias: boolean };

  constructor(parameters: readonly Variable[], options: AdamOptions) {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, correctBias = true } = options;
    checkRange('beta1', beta1, 0, 1);
    checkRange('beta2', beta2, 0, 1);
    checkRange('epsilon', epsilon, 0);
    super(parameters, { learningRate: 0.001, ...options });
    this.#attrs = { beta1, beta2, epsilon, correctBias };
    this.arenas = { mean: this.arena('mean'), variance: this.arena('variance') };
    const { device } = options;
    this.counters = { step: variable(0, [], { name: 'optimizer/step', dtype: 'int32', trainable: false, device }) };
  }

  protected apply(gradient: Tensor, rates: TensorLike, guard?: StepGuard): void {
    const { mean, variance } = this.arenas;
    const { step } = this.counters;
    const count = step.read().add(1);
    const inputs = [this.weights, gradient, mean, variance, this.chunks, this.multipliers, rates, count];
    const [weight, nextMean, nextVariance] = apply(getOp('adamUpdate'), inputs, { ...this.rule, ...this.#attrs });
    this.weights.assign(weight);
    mean.assign(nextMean);
    variance.assign(nextVariance);
    step.assign(guard ? apply1(getOp('where'), [guard.finite, count, step]) : count);
  }
}

/**
 * Adam over the parameters given; see `adamUpdate` for the formula. The parameters are packed in one arena.
 *
 * @throws OptionError for an option out of range, GraphError for a parameter that is packed already
 */
export function adam(parameters: readonly Variable[], options: AdamOptions = {}): Adam {
  return new Adam(parameters, options);
}
