/** What tests compute a graph on: the float64 reference, and each device present. */
import { device, setDefaultDevice } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { FoveaError } from '../../src/errors.ts';
import { runReference } from '../../src/graph/reference.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { data } from '../../src/tensor/tensor.ts';
import type { Variable } from '../../src/tensor/variable.ts';

export interface Runner {
  readonly name: string;
  /** Undefined for the reference. */
  readonly device: Device | undefined;
  /** Values of tensors; `start` has the values of the variables that they read. */
  evaluate(tensors: readonly Tensor[], start: ReadonlyMap<Variable, ArrayLike<number>>): Promise<ArrayLike<number>[]>;
}

const reference: Runner = {
  name: 'reference',
  device: undefined,
  evaluate: (tensors, start) => {
    const cells = new Map([...start].map(([variable, values]) => [variable.cell, values]));
    const values = tensors.map((t) => t.value);
    return Promise.resolve(runReference(values, ({ source }) => (source.kind === 'variable' ? cells.get(source.cell) : undefined)));
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

/**
 * The runners of this machine and, by name, why the others are absent. The environment variable FOVEA_RUNNERS chooses among
 * `reference`, `cpu` and `webgpu`.
 */
export async function runners(): Promise<{ present: Runner[]; absent: Map<string, string> }> {
  const wanted = (process.env.FOVEA_RUNNERS ?? 'reference,cpu,webgpu').split(',');
  const present: Runner[] = wanted.includes('reference') ? [reference] : [];
  const absent = new Map<string, string>();
  for (const name of ['cpu', 'webgpu'].filter((n) => wanted.includes(n))) {
    try {
      present.push(onDevice(name, await device(name)));
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      absent.set(name, error.message);
    }
  }
  return { present, absent };
}
