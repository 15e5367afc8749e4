/**
 * Merging convolutions 1x1 that read one image, as the branches of an Inception block do: one product with the filters below each other
 * does the work of several, reads the image once and has wider tiles. The parts of its result are channel slices, which cost nothing.
 *
 *   forward           y_i = x w_i                 ->  [y_1 ... y_n] = x [w_1; ...; w_n]
 *   image gradient    dx = sum over i of dy_i w_i^T  ->  dx = [dy_1 ... dy_n] [w_1; ...; w_n]^T
 *   filter gradients  dw_i = x^T dy_i             ->  [dw_1; ...; dw_n] = x^T [dy_1 ... dy_n]
 */
import type { Node, Value } from '../../graph/node.ts';
import type { Replacement, Rewrite, RewriteGraph } from '../../graph/op.ts';
import type { ConvAttrs } from './conv.ts';

/** A convolution of single pixels, whose filter has the shape given. */
function isPointwise({ attrs }: Node, [, r, s]: readonly number[]): boolean {
  const { stride, padding } = attrs as unknown as ConvAttrs;
  return r === 1 && s === 1 && stride.every((d) => d === 1) && padding.every((p) => p === 0);
}

const sameAttrs = (a: Node, b: Node, except = ''): boolean =>
  JSON.stringify({ ...a.attrs, [except]: 0 }) === JSON.stringify({ ...b.attrs, [except]: 0 });

/** The node and those like it that read the same image, itself first; undefined where it is not the first, or none is like it. */
function siblings(node: Node, graph: RewriteGraph, isLike: (other: Node) => boolean): Node[] | undefined {
  const [image] = node.inputs;
  const alike = graph.users(image.node, image.index)
    .filter((n) => n.op === node.op && n.inputs[0] === image && n.inputs.length === node.inputs.length && isLike(n) && !graph.isRequested(n));
  if (alike[0] !== node || alike.length === 1) return undefined;
  // No member may need what another gives; the first cannot, since users come in the order of the graph.
  const independent = alike.filter((n, i) => i === 0 || !graph.dependsOn(n, alike.filter((_, j) => j !== i)));
  return independent.length > 1 ? independent : undefined;
}

/** Values side by side along their last axis, or below each other along their first; those that are such already are taken apart. */
function join(graph: RewriteGraph, values: readonly Value[], axis: number): Value {
  const flat = values.flatMap(({ node }, i) =>
    (node.op.name === 'concat' && node.attrs.axis === axis && graph.users(node).length === 1 ? node.inputs : [values[i]]));
  return graph.make('concat', { axis }, flat)[0];
}

/** `length` of the axis from `start` on. */
function part(graph: RewriteGraph, value: Value, axis: number, start: number, length: number): Value {
  const begin = value.shape.map((_, i) => (i === axis ? start : 0));
  const size = value.shape.map((d, i) => (i === axis ? length : d));
  return graph.make('slice', { begin, size }, [value])[0];
}

/** Convolutions of `op`: whatever they read but the image has the filters along its first axis, all outputs along their last. */
export function mergedForward(op: string): Rewrite {
  return {
    name: `${op} of one image`,
    anchor: op,
    stage: 'merge',
    match(node, graph) {
      if (!isPointwise(node, node.inputs[1].shape)) return undefined;
      const nodes = siblings(node, graph, (n) => isPointwise(n, n.inputs[1].shape) && sameAttrs(n, node));
      if (nodes === undefined) return undefined;
      const factors = node.inputs.slice(1).map((_, i) => join(graph, nodes.map((n) => n.inputs[i + 1]), 0));
      const outputs = graph.make(op, node.attrs, [node.inputs[0], ...factors]);
      return slices(graph, nodes, outputs, (n) => n.inputs[1].shape[0], (v) => v.shape.length - 1);
    },
  };
}

/** Filter gradients of one image. */
export const mergedFilterGrads: Rewrite = {
  name: 'conv2dFilterGrad of one image',
  anchor: 'conv2dFilterGrad',
  stage: 'merge',
  match(node, graph) {
    const shapeOf = (n: Node): readonly number[] => n.outputs[0].shape;
    if (!isPointwise(node, shapeOf(node))) return undefined;
    const nodes = siblings(node, graph, (n) => isPointwise(n, shapeOf(n)) && sameAttrs(n, node, 'filterShape'));
    if (nodes === undefined) return undefined;
    const dy = join(graph, nodes.map((n) => n.inputs[1]), 3);
    const filterShape = [dy.shape[3], ...shapeOf(node).slice(1)];
    const outputs = graph.make(node.op.name, { ...node.attrs, filterShape }, [node.inputs[0], dy]);
    return slices(graph, nodes, outputs, (n) => shapeOf(n)[0], () => 0);
  },
};

/** The nodes' outputs as consecutive parts of the merged ones, along the axis where their filters are counted. */
function slices(
  graph: RewriteGraph, nodes: readonly Node[], outputs: readonly Value[], filters: (n: Node) => number, axis: (v: Value) => number,
): Replacement[] {
  let start = 0;
  return nodes.flatMap((node) => {
    const from = start;
    start += filters(node);
    return outputs.map((v, output) => ({ node, output, by: part(graph, v, axis(v), from, start - from) }));
  });
}

/** The terms of a sum of more than two, as far as nobody else reads the partial sums. */
function terms(sum: Node, graph: RewriteGraph): Value[] {
  return sum.inputs.flatMap((v) => (isPartial(v, sum, graph) ? terms(v.node, graph) : [v]));
}

function isPartial({ node, shape }: Value, sum: Node, graph: RewriteGraph): boolean {
  return node.op.name === 'add' && shape.join() === sum.outputs[0].shape.join() && graph.users(node).length === 1 && !graph.isRequested(node);
}

/** Image gradients that are added to each other, as those of one image are. */
export const mergedInputGrads: Rewrite = {
  name: 'sum of conv2dInputGrad',
  anchor: 'add',
  stage: 'merge',
  match(sum, graph) {
    const [whole] = sum.outputs;
    const users = graph.users(sum);
    if (users.length === 1 && users[0].op.name === 'add' && isPartial(whole, users[0], graph)) return undefined;
    const all = terms(sum, graph);
    const grads = all.filter(({ node, shape }) => node.op.name === 'conv2dInputGrad' && isPointwise(node, node.inputs[1].shape)
      && shape.join() === whole.shape.join() && graph.users(node).length === 1 && !graph.isRequested(node));
    const nodes = grads.map((v) => v.node).filter((n) => sameAttrs(n, grads[0].node));
    if (nodes.length < 2) return undefined;
    const [merged] = graph.make('conv2dInputGrad', nodes[0].attrs, [
      join(graph, nodes.map((n) => n.inputs[0]), 3), join(graph, nodes.map((n) => n.inputs[1]), 0),
    ]);
    const others = all.filter((v) => !nodes.includes(v.node));
    const by = others.reduce((total, v) => graph.make('add', {}, [total, v])[0], merged);
    return [{ node: sum, output: 0, by }];
  },
};
