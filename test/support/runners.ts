/** What tests compute a graph on: the float64 reference, and each device present. */
import { cuda } from '../../src/device/cuda/index.ts';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { FoveaError } from '../../src/errors.ts';
import { hostArray, isLeaf } from '../../src/graph/leaves.ts';
import { topologicalOrder } from '../../src/graph/node.ts';
import { runReference } from '../../src/graph/reference.ts';
import type { VariableCell } from '../../src/graph/variable-cell.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { data } from '../../src/tensor/tensor.ts';
import { openCudaHost } from './cuda-host.ts';

export interface Runner {
  readonly name: string;
  /** Undefined for the reference. */
  readonly device: Device | undefined;
  /** Values of tensors, and what is assigned to the variables they touch takes place. */
  evaluate(tensors: readonly Tensor[]): Promise<ArrayLike<number>[]>;
}

/** Ops in float64, node by node. */
export const reference: Runner = {
  name: 'reference',
  device: undefined,
  async evaluate(tensors) {
    const requested = tensors.map((t) => t.value);
    const cells = new Map<VariableCell, ArrayLike<number>>();
    const values = [...requested];
    for (let grown = true; grown;) {
      grown = false;
      for (const node of topologicalOrder(values.map((v) => v.node))) {
        if (!isLeaf(node) || node.source.kind !== 'variable' || cells.has(node.source.cell)) continue;
        const { cell } = node.source;
        cells.set(cell, await cell.read());
        if (cell.pending === undefined) continue;
        values.push(cell.pending);
        grown = true;
      }
    }
    const assigned = [...cells.keys()].flatMap((cell) => (cell.pending === undefined ? [] : [{ cell, value: cell.pending }]));
    const all = [...requested, ...assigned.map((a) => a.value)];
    const results = runReference(all, ({ source }) => (source.kind === 'variable' ? cells.get(source.cell) : undefined));
    assigned.forEach(({ cell }, i) => {
      const data = hostArray(cell.dtype, results[requested.length + i].length);
      data.set(results[requested.length + i]);
      cell.write(data);
    });
    return results.slice(0, requested.length);
  },
};

function onDevice(name: string, made: Device): Runner {
  return {
    name,
    device: made,
    evaluate: (tensors) => {
      setDefaultDevice(made);
      return data(...tensors);
    },
  };
}

/** On CUDA untuned, as kernels are by default: hundreds of shapes that are run once would each be measured. */
const open = async (name: string): Promise<Device> => (name === 'cuda-host' ? openCudaHost()
  : /^cuda(:\d+)?$/.test(name) ? cuda({ index: Number(name.slice('cuda:'.length)), tuning: 'off' }) : device(name));

/**
 * The runners of this machine and, by name, why the others are absent. The environment variable FOVEA_RUNNERS chooses: `reference`,
 * and devices as `device()` takes them (`cpu`, `webgpu`, `webgpu:lavapipe`, `cuda`), or
 * `cuda-host`: CUDA's kernels and driver layer without a GPU.
 */
export async function runners(
  names = process.env.FOVEA_RUNNERS ?? 'reference,cpu,webgpu,cuda',
): Promise<{ present: Runner[]; absent: Map<string, string> }> {
  const wanted = names.split(',');
  const present: Runner[] = wanted.includes('reference') ? [reference] : [];
  const absent = new Map<string, string>();
  for (const name of wanted.filter((n) => n !== 'reference')) {
    try {
      present.push(onDevice(name, await open(name)));
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      absent.set(name, error.message);
    }
  }
  return { present, absent };
}
