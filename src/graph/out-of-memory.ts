import type { Device, TensorType } from '../device/types.ts';
import { OutOfMemoryError } from '../errors.ts';
import { arenaOf } from './arena.ts';
import type { Root } from './layout.ts';
import type { Plan } from './plan.ts';
import type { Planned, ProgramMemory } from './planned.ts';

/** Refuses what is known not to fit before anything is allocated, naming the node and the caller's line where one value is too large. */
export function assertFits(planned: Planned, device: Device): void {
  const { plan, memory } = planned;
  const { maxBuffer } = device.memory;
  const root = plan.roots.find((r) => r.bytes > maxBuffer);
  if (root !== undefined) {
    const { who, type } = ownerOf(root, plan);
    const what = type === undefined ? `${root.bytes} bytes of scratch memory` : `a value of shape [${type.shape}], ${root.bytes} bytes,`;
    throw new OutOfMemoryError(`${who}: ${what} is over the ${maxBuffer} that ${device.name} can bind`);
  }
  const allocated = allocatedOf(planned);
  if (!fits([memory], device, allocated)) {
    throw new OutOfMemoryError(`${device.name}: the Program takes ${memory.total} bytes, of which ${allocated} are allocated; `
      + `${roomOf(device)} are free for the rest`);
  }
}

/**
 * Whether Programs find room beside what the device holds, as far as that is known. They share variables and the arena, so the largest
 * counts.
 *
 * @param allocated bytes of their variables that the device holds already
 */
export function fits(programs: readonly ProgramMemory[], device: Device, allocated = 0): boolean {
  if (haveRoom(programs, device, allocated)) return true;
  if (device.lookAtMemory === undefined) return false;
  device.lookAtMemory();
  return haveRoom(programs, device, allocated);
}

function haveRoom(programs: readonly ProgramMemory[], device: Device, allocated: number): boolean {
  if (Math.max(...programs.map((p) => p.largest)) > device.memory.maxBuffer) return false;
  const arena = arenaOf(device);
  const enough = programs.every((p) => p.arena.every((bytes, i) => bytes <= arena.bytesOf(i)));
  return totalOf(programs) - allocated - (enough ? totalOf(programs.map(arenaAlone)) : 0) <= roomOf(device);
}

/** Bytes of the Program's variables that the device holds already. */
export function allocatedOf({ cells }: Planned): number {
  return cells.reduce((sum, cell) => sum + (cell.allocated ? cell.bytes : 0), 0);
}

/** The part of a Program's memory that it shares. */
function arenaAlone({ arena }: ProgramMemory): Pick<ProgramMemory, 'arena' | 'variables' | 'own' | 'staging'> {
  return { arena, variables: 0, own: 0, staging: 0 };
}

/** What Programs take together that run on the same variables. */
export function totalOf(programs: readonly Pick<ProgramMemory, 'arena' | 'variables' | 'own' | 'staging'>[]): number {
  const arena = programs.reduce<number[]>((most, p) =>
    Array.from({ length: Math.max(most.length, p.arena.length) }, (_, i) => Math.max(most[i] ?? 0, p.arena[i] ?? 0)), []);
  return arena.reduce((a, b) => a + b, 0) + Math.max(...programs.map((p) => p.variables))
    + programs.reduce((sum, p) => sum + p.own + p.staging, 0);
}

/** The largest batch below `batch` that `tried` says fits, or 0: what a batch takes grows with it. */
export async function largestBatch(batch: number, tried: (batch: number) => Promise<boolean>): Promise<number> {
  let fitting = 0;
  let refused = batch;
  while (refused - fitting > 1) {
    const middle = Math.floor((fitting + refused) / 2);
    if (await tried(middle)) fitting = middle;
    else refused = middle;
  }
  return fitting;
}

/** Adds to what the device says what the Program takes in all. */
export function explain(error: unknown, memory: ProgramMemory): unknown {
  if (!(error instanceof OutOfMemoryError)) return error;
  return new OutOfMemoryError(`${error.message}; the Program takes ${memory.total} bytes`, { cause: error });
}

/** Part of a memory that is not counted on: small buffers and threads' scratch break it up. */
const broken = 1 / 256;

/**
 * Whether a device's free memory is known before it is asked for. A slab device has one memory, of which it knows what is left; WebGPU
 * tells what can be bound, and nothing of what is free.
 */
export const roomIsKnown = (device: Device): boolean => device.memory.arena === 'slab';

/**
 * What a smaller arena gives back is not counted: the larger one lies in one piece, and rarely where that was. Infinite where it is not
 * known, so that only what cannot be bound is refused beforehand.
 */
function roomOf(device: Device): number {
  if (!roomIsKnown(device)) return Infinity;
  return Math.floor(device.memory.maxBuffer * (1 - broken)) - device.counters.bytesAllocated;
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
