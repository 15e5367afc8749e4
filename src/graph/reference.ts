import { roundToHalf } from '../device/half.ts';
import type { DType } from '../device/types.ts';
import { isHalfType, sizeOf } from '../device/types.ts';
import { GraphError } from '../errors.ts';
import { isLeaf } from './leaves.ts';
import type { Leaf } from './leaves.ts';
import type { Value } from './node.ts';
import { topologicalOrder } from './node.ts';
import type { HostTensor } from './op.ts';

/** Data for leaves that hold none on the host: arguments and variables. */
export type LeafData = (leaf: Leaf) => ArrayLike<number> | undefined;

/** Sees every node's outputs as they are computed. */
export type Observer = (value: Value, data: Float64Array) => void;

/**
 * Computes values of a graph by the ops' float64 references, node by node. It is the oracle of the op suite, the fixtures and
 * `--check`: slow, plain, and free of plans and kernels.
 *
 * @throws GraphError for an op without a reference, or a leaf without data
 */
export function runReference(values: readonly Value[], leafData: LeafData = () => undefined, observe?: Observer): Float64Array[] {
  const known = new Map<Value, Float64Array>();
  const dataOf = (v: Value): Float64Array => known.get(v.node.outputs[v.index])!;
  for (const node of topologicalOrder(values.map((v) => v.node))) {
    if (isLeaf(node)) {
      known.set(node.value, leafValues(node, leafData));
      continue;
    }
    if (node.op.reference === undefined) throw new GraphError(`op "${node.op.name}" has no reference`);
    const inputs: HostTensor[] = node.inputs.map((v) => ({ shape: v.shape, dtype: v.dtype, data: dataOf(v) }));
    const results = node.op.reference(inputs, node.attrs, node.outputs);
    node.outputs.forEach((value, i) => {
      if (results[i].length !== sizeOf(value.shape)) {
        throw new GraphError(`the reference of op "${node.op.name}" gave ${results[i].length} elements for shape [${value.shape}]`);
      }
      known.set(value, results[i]);
      observe?.(value, results[i]);
    });
  }
  return values.map(dataOf);
}

function leafValues(leaf: Leaf, leafData: LeafData): Float64Array {
  const given = leafData(leaf);
  if (given !== undefined) return Float64Array.from(given);
  const { source } = leaf;
  if (source.kind === 'host') return Float64Array.from(source.data, (x) => asStored(x, leaf.value.dtype));
  if (source.kind === 'number') return Float64Array.of(asStored(source.value, leaf.value.dtype));
  throw new GraphError(`${leaf.label} has no data for the reference`);
}

/** A number as a device would hold it: the reference computes in float64 from the same inputs. */
function asStored(x: number, dtype: DType): number {
  return dtype === 'float32' ? Math.fround(x) : isHalfType(dtype) ? roundToHalf(x, dtype) : x;
}
