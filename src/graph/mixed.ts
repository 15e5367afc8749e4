/**
 * Mixed precision: a graph rewritten so that matrix ops take a half (float16 or bfloat16) and what lies between them is stored in it (Micikevicius et al.,
 * "Mixed precision training", 2018). Kernels add up in float32 either way, so the dtype of a value is a question of where it goes:
 *
 *   matrix     its operands become halves; its result is where something behind it wants it so, else float32 (logits, gradients of
 *              parameters);
 *   normalize  takes either; its result is a half where that is wanted; statistics, scale and shift are float32;
 *   follow     takes either; its result is a half where one operand is and that is wanted;
 *   keep       float32, but where a kernel reads both (sums).
 *
 * "Wanted" is said backwards, by matrix and normalize ops, through ops that follow. So images are prepared in float32, and losses are
 * worked out in it. Leaves and what is asked for keep their dtypes. A value is cast once for all its readers, a variable whole, below
 * the views that take its parts.
 */
import type { HalfType, TensorType } from '../device/types.ts';
import { isHalfType } from '../device/types.ts';
import { givesHalf, isFloat, storedAs, takesHalf } from './half.ts';
import { isLeaf } from './leaves.ts';
import type { Attrs } from './node.ts';
import { Node, topologicalOrder } from './node.ts';
import type { Value } from './node.ts';
import { getOp } from './op.ts';
import { positionOf, setPosition } from './rewrite.ts';

/**
 * @param roots the values asked for and those assigned to variables
 * @param half what values are stored in
 * @returns the same values, of the same dtypes, in the rewritten graph; the one given is left as it is
 */
export function mixed(roots: readonly Value[], half: HalfType): Value[] {
  const order = topologicalOrder(roots.map((v) => v.node));
  const wanted = wantedInHalf(order);
  const casts = new Casts();
  const made = new Map<Node, Node>();
  for (const node of order) {
    made.set(node, isLeaf(node) ? node : convert(node, node.inputs.map((v) => made.get(v.node)!.outputs[v.index]), wanted, half, casts));
  }
  return roots.map((v) => casts.to(v.dtype, made.get(v.node)!.outputs[v.index], v.node));
}

/** Values that a matrix or normalize op reads as operands, at once or through ops that follow. */
function wantedInHalf(order: readonly Node[]): Set<Value> {
  const wanted = new Set<Value>();
  for (const node of [...order].reverse()) {
    const { precision } = node.op;
    const wants = precision === 'matrix' || precision === 'normalize'
      || (precision === 'follow' && node.outputs.some((v) => wanted.has(v)));
    if (!wants) continue;
    node.inputs.forEach((v, i) => {
      if (takesHalf(node.op, i)) wanted.add(v);
    });
  }
  return wanted;
}

/** The node over inputs that were converted before. */
function convert(node: Node, inputs: readonly Value[], wanted: ReadonlySet<Value>, half: HalfType, casts: Casts): Node {
  const { op } = node;
  const halves = inputs.some((v, i) => isHalfType(v.dtype) && takesHalf(op, i));
  const isWanted = node.outputs.some((v) => wanted.has(v));
  const converted = inputs.map((v, i) => {
    if (!isFloat(v.dtype)) return v;
    if (!takesHalf(op, i)) return casts.to('float32', v, node);
    if (op.precision === 'matrix') return casts.to(half, v, node);
    if (op.half!.same && halves) return casts.to(isWanted || inputs.length === 1 ? half : 'float32', v, node);
    return v;
  });
  const attrs = node.attrs.store === undefined ? storing(node, converted, isWanted && (op.precision !== 'follow' || halves) ? half : 'float32') : node.attrs;
  if (attrs === node.attrs && converted.every((v, i) => v === node.inputs[i])) return node;
  const made = new Node(op, attrs, converted, op.infer(converted, attrs), node);
  setPosition(made, positionOf(node));
  return made;
}

/** The attributes of the node, with `store` where its results should be stored otherwise than its inputs say. */
function storing({ op, attrs, outputs }: Node, inputs: readonly TensorType[], store: 'float32' | HalfType): Attrs {
  const gives = outputs.some((v, i) => v.dtype === 'float32' && givesHalf(op, i));
  if (!gives) return attrs;
  return store === storedAs(op, inputs, attrs) ? attrs : { ...attrs, store };
}

/** Casts between the floats, each made once. */
class Casts {
  readonly #made = new Map<Value, Value>();

  /** The value in a float dtype, made where `reader` stands; values that are no floats stay. */
  to(dtype: TensorType['dtype'], value: Value, reader: Node): Value {
    if (value.dtype === dtype || !isFloat(dtype) || !isFloat(value.dtype)) return value;
    const { node } = value;
    // widening loses nothing, so what was widened is there to be had
    if (node.op.name === 'cast' && node.inputs[0].dtype === dtype && isHalfType(dtype)) return node.inputs[0];
    let made = this.#made.get(value);
    if (made === undefined) {
      const source = viewOfVariable(node) ? this.to(dtype, node.inputs[0], reader) : value;
      const view = source !== value;
      const [op, attrs] = view ? [node.op, node.attrs] : [getOp('cast'), { dtype }];
      const cast = new Node(op, attrs, [source], op.infer([source], attrs), node);
      setPosition(cast, positionOf(reader));
      made = cast.outputs[0];
      this.#made.set(value, made);
    }
    return made;
  }
}

/** True for a view, or a view of a view, of a variable as it lies. */
function viewOfVariable(node: Node): boolean {
  if (node.op.view === undefined || !node.op.half?.same || node.inputs.length !== 1) return false;
  const source = node.inputs[0].node;
  return isLeaf(source) ? source.source.kind === 'variable' : viewOfVariable(source);
}
