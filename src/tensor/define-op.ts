import { withHalf } from '../graph/half.ts';
import type { Attrs } from '../graph/node.ts';
import type { Op } from '../graph/op.ts';
import type { Tensor } from './tensor.ts';

export { apply, apply1, toTensor, type TensorLike } from './tensor.ts';

/** What a gradient rule sees. */
export interface GradientContext<A> {
  readonly attrs: A;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of the loss for each output; undefined where none flows. */
  readonly grads: readonly (Tensor | undefined)[];
  /** For which inputs a gradient is wanted; rules may leave out the others. */
  readonly needs: readonly boolean[];
}

/** An op with its gradient: one tensor for each input, undefined where none flows. */
export interface DifferentiableOp<A extends Attrs = any> extends Op<A> {
  gradient?(context: GradientContext<A>): readonly (Tensor | undefined)[];
}

/**
 * Declares an op. It takes part in graphs once it is registered (`registerOps`); Fovea's own are registered on import. With a
 * reference alone it runs on the cpu device, with a warning, and other devices refuse it by name.
 */
export function defineOp<A extends Attrs>(op: DifferentiableOp<A>): DifferentiableOp<A> {
  return withHalf(op);
}
