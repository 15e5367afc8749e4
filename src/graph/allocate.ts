import type { Root } from './plan.ts';

const align = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

/**
 * Gives each temporary a place in one slab: the largest first, each at the lowest offset where it meets nothing alive at the same
 * time ("greedy by size", Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020).
 *
 * @returns the bytes of the slab
 */
export function allocateSlab(roots: readonly Root[], alignment: number): number {
  const placed: Root[] = [];
  let total = 0;
  for (const root of bySize(roots)) {
    const bytes = align(root.bytes, alignment);
    const neighbours = placed.filter((p) => overlaps(p, root)).sort((a, b) => a.byteOffset - b.byteOffset);
    let offset = 0;
    for (const other of neighbours) {
      if (offset + bytes <= other.byteOffset) break;
      offset = Math.max(offset, other.byteOffset + align(other.bytes, alignment));
    }
    root.byteOffset = offset;
    placed.push(root);
    total = Math.max(total, offset + bytes);
  }
  return total;
}

/**
 * Gives each temporary a buffer that it has to itself while it is alive: the largest first, each into the first buffer that is
 * free. Values read and written by one launch never share a buffer, as WebGPU demands.
 *
 * @returns the bytes of each buffer
 */
export function allocateSlots(roots: readonly Root[], alignment: number): number[] {
  const slots: { bytes: number; roots: Root[] }[] = [];
  for (const root of bySize(roots)) {
    let index = slots.findIndex((s) => s.roots.every((other) => !overlaps(other, root)));
    if (index < 0) index = slots.push({ bytes: align(root.bytes, alignment), roots: [] }) - 1;
    slots[index].roots.push(root);
    root.slot = index;
  }
  return slots.map((s) => s.bytes);
}

/** The most bytes alive at any one step: no allocation can do with less. */
export function livenessBound(roots: readonly Root[], alignment: number): number {
  const change = new Map<number, number>();
  for (const root of roots) {
    const bytes = align(root.bytes, alignment);
    change.set(root.first, (change.get(root.first) ?? 0) + bytes);
    change.set(root.last + 1, (change.get(root.last + 1) ?? 0) - bytes);
  }
  let now = 0;
  let most = 0;
  for (const step of [...change.keys()].sort((a, b) => a - b)) {
    now += change.get(step)!;
    most = Math.max(most, now);
  }
  return most;
}

function overlaps(a: Root, b: Root): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Largest first; equal ones in order of first use, so that the result does not depend on chance. */
function bySize(roots: readonly Root[]): Root[] {
  return [...roots].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
}
