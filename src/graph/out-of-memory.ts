import type { Device, TensorType } from '../device/types.ts';
import { OutOfMemoryError } from '../errors.ts';
import type { Leaf } from './leaves.ts';
import type { Plan, Root } from './plan.ts';

/** Refuses a plan with a value that the device cannot bind, naming the node, the caller's line and the largest batch that fits. */
export function assertBindable(plan: Plan, inputs: readonly Leaf[], device: Device): void {
  const { maxBuffer } = device.memory;
  const root = plan.roots.find((r) => r.bytes > maxBuffer);
  if (root === undefined) return;
  const { who, type } = ownerOf(root, plan);
  const what = type === undefined ? `${root.bytes} bytes of scratch memory` : `a value of shape [${type.shape}], ${root.bytes} bytes,`;
  throw new OutOfMemoryError(`${who}: ${what} is over the ${maxBuffer} that ${device.name} can bind`
    + fitting(inputs, maxBuffer / root.bytes));
}

/**
 * Adds to what the device says: what the Program takes in all, and the largest batch that fits where that is known.
 *
 * @param wanted bytes of the Program beside its variables
 * @param held bytes of these that it has already
 */
export function explain(error: unknown, wanted: number, held: number, inputs: readonly Leaf[], device: Device): unknown {
  if (!(error instanceof OutOfMemoryError)) return error;
  // A slab device has one memory, so what is left of it is known; of others nobody tells.
  const free = device.memory.maxBuffer - device.counters.bytesAllocated + held;
  const batch = device.memory.arena === 'slab' ? fitting(inputs, Math.max(0, free) / wanted) : '';
  return new OutOfMemoryError(`${error.message}; the Program takes ${wanted} bytes beside its variables${batch}`, { cause: error });
}

function ownerOf(root: Root, plan: Plan): { who: string; type?: TensorType } {
  for (const step of plan.steps) {
    if (step.kind === 'copy') {
      if (step.to.root === root) return { who: step.label, type: step.to };
      continue;
    }
    const { node } = step;
    const who = node.label + (node.site === undefined ? '' : ` (called at ${node.site})`);
    const own = [...step.outputs, ...step.inputs].filter((l) => l.root === root);
    if (own.length > 0) return { who, type: own[0] };
    if (step.scratch.includes(root)) return { who };
  }
  return { who: root.pinned?.kind ?? 'a value' };
}

/** The first axis of the largest input is the batch, and temporaries grow with it. */
function fitting(inputs: readonly Leaf[], share: number): string {
  const largest = inputs.reduce<Leaf | undefined>((a, b) => (a !== undefined && a.value.size >= b.value.size ? a : b), undefined);
  const batch = largest?.value.shape[0] ?? 1;
  if (batch <= 1) return '';
  const fits = Math.min(batch - 1, Math.floor(batch * share));
  return `; of the input [${largest!.value.shape}] some ${fits} of ${batch} along the first axis fit`;
}
