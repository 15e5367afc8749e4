import { GraphError, ShapeError } from '../errors.ts';
import { isLeaf, numberLeaf } from '../graph/leaves.ts';
import type { Node, Value } from '../graph/node.ts';
import { topologicalOrder } from '../graph/node.ts';
import { getOp } from '../graph/op.ts';
import type { DifferentiableOp } from './define-op.ts';
import { withLayer } from './site.ts';
import type { TensorLike } from './tensor.ts';
import { Tensor, apply1 } from './tensor.ts';
import { activeTrace } from './trace.ts';
import { Variable } from './variable.ts';

/**
 * Gradients of a scalar loss, as tensors of the same graph: reverse-mode differentiation (Linnainmaa 1970). The result may be
 * differentiated again where the ops' own gradients have gradients.
 *
 * @param loss a tensor of one element
 * @param params variables, or tensors that the loss was computed from
 * @returns one tensor for each parameter, of its shape; zeros where the loss does not depend on it
 * @throws GraphError when the loss was evaluated before (its history is cut) or an op on the way has no gradient
 */
export function grad(loss: Tensor, params: readonly (Variable | Tensor)[]): Tensor[] {
  if (loss.size !== 1) throw new ShapeError(`grad: the loss has shape [${loss.shape}]; a scalar was expected (take a mean or sum)`);
  const targets = params.map((p) => (p instanceof Variable ? p.gradientTarget() : p.value));
  const order = topologicalOrder([loss.value.node]);
  refuseCuts(order, params);

  // Nodes on a path from a target to the loss.
  const wanted = new Set<Value>(targets);
  const active = new Set<Node>(targets.map((t) => t.node));
  for (const node of order) if (node.inputs.some((v) => wanted.has(v) || active.has(v.node))) active.add(node);
  params.forEach((p, i) => {
    if (p instanceof Variable && !order.includes(targets[i].node)) refuseEarlierVersion(order, p);
  });

  const gradients = new Map<Value, Tensor>();
  const seed = new Tensor(numberLeaf(1).value);
  gradients.set(loss.value, loss.rank === 0 ? seed : seed.reshape(loss.shape));
  for (const node of order.reverse()) {
    if (!active.has(node) || node.inputs.length === 0) continue;
    const grads = node.outputs.map((v) => gradients.get(v));
    if (grads.every((g) => g === undefined)) continue;
    const needs = node.inputs.map((v) => wanted.has(v) || active.has(v.node));
    if (!needs.some(Boolean)) continue;
    const op = node.op as DifferentiableOp;
    if (op.gradient === undefined) {
      throw new GraphError(`grad: op "${op.name}" has no gradient` + (node.site ? ` (called at ${node.site})` : ''));
    }
    const { gradient } = op;
    const flows = withLayer(node.layer, () => gradient({
      attrs: node.attrs, inputs: node.inputs.map((v) => new Tensor(v)), outputs: node.outputs.map((v) => new Tensor(v)), grads, needs,
    }));
    node.inputs.forEach((input, i) => {
      const flow = flows[i];
      if (flow === undefined || !needs[i]) return;
      if (flow.shape.join() !== input.shape.join()) {
        throw new ShapeError(`grad: op "${op.name}" gave input ${i} of shape [${input.shape}] a gradient of shape [${flow.shape}]`);
      }
      const sum = gradients.get(input);
      gradients.set(input, sum ? sum.add(flow) : flow);
    });
  }
  return targets.map((target) => gradients.get(target) ?? apply1(getOp('broadcastTo'), [0], { shape: target.shape }));
}

/** Refuses a loss computed from a version of the parameter that an assignment has replaced: zeros would be silently wrong. */
function refuseEarlierVersion(order: readonly Node[], { name, cell }: Variable): void {
  if (activeTrace() !== undefined) return;
  for (const node of order) {
    if (!isLeaf(node)) continue;
    const { source } = node;
    const earlier = source.kind === 'variable' ? source.cell === cell && node.value !== cell.current
      : source.kind === 'host' && source.version === cell.id;
    if (earlier) {
      throw new GraphError(`grad: the loss was computed from an earlier version of variable "${name}", which was assigned since; `
        + 'take the gradient before assigning');
    }
  }
}

/** Refuses to look behind values that were evaluated, where a parameter stands behind them. */
function refuseCuts(order: readonly Node[], params: readonly TensorLike[]): void {
  const cells = new Set(params.flatMap((p) => (p instanceof Variable ? [p.cell.id] : [])));
  for (const node of order) {
    if (!isLeaf(node) || node.source.kind !== 'host' || node.source.cut === undefined) continue;
    const { label, variables } = node.source.cut;
    if ([...variables].some((id) => cells.has(id))) {
      throw new GraphError(`grad: ${label} was evaluated by data() before, which cut its history; take the gradient first`);
    }
  }
}
