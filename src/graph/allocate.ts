import { PhiloxStream } from '../random/philox.ts';
import type { Root } from './layout.ts';
import type { Step } from './plan.ts';

const align = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

export interface AllocateOptions {
  /** Roots start at multiples of this many bytes. */
  readonly alignment: number;
  /** A buffer grows no further than this, unless one root alone is larger. */
  readonly maxBuffer: number;
  /** Roots that must lie in different buffers; see `apartOf`. Without it any may share one. */
  readonly apart?: ReadonlyMap<Root, ReadonlySet<Root>>;
}

/** A packing within this factor of the bound is not improved on, nor is one of few bytes. */
const goodEnough = 1.02;
const fewBytes = 1 << 20;
/** Packings that are tried at most. */
const attempts = 400;
/** Roots smaller than this part of the bound fill gaps; their order does not matter. */
const smallest = 1 / 500;

/**
 * Gives each temporary a place in one of as few buffers as will do: the largest first, each where it makes the buffers grow the
 * least, at the lowest offset where it meets nothing alive at the same time ("greedy by size", Pisarchyk and Lee, Efficient Memory
 * Management for Deep Neural Net Inference, 2020). Where that is not good enough, other orders are tried, a few places moved at a
 * time, from random numbers that are the same every time; what is no worse is gone on from.
 *
 * @returns the bytes of each buffer, the largest first
 */
export function allocate(roots: readonly Root[], options: AllocateOptions): number[] {
  const bound = livenessBound(roots, options.alignment);
  const stream = new PhiloxStream(0, 'allocate');
  let order = bySize(roots);
  let best = place(order, options);
  const movable = order.filter((r) => r.bytes > smallest * bound).length;
  for (let i = 1; i < attempts && movable > 1 && best.bytes > Math.max(goodEnough * bound, fewBytes); i++) {
    const other = [...order];
    for (let moves = 1 + stream.int(4); moves > 0; moves--) {
      const [root] = other.splice(stream.int(movable), 1);
      other.splice(stream.int(movable), 0, root);
    }
    const packing = place(other, options);
    if (packing.bytes <= best.bytes) [best, order] = [packing, other];
  }
  // The largest first, so that Programs that share the buffers agree on which is large.
  const ranked = best.sizes.map((_, slot) => slot).sort((a, b) => best.sizes[b] - best.sizes[a]);
  for (const [root, { slot, byteOffset }] of best.places) Object.assign(root, { slot: ranked.indexOf(slot), byteOffset });
  return ranked.map((slot) => best.sizes[slot]);
}

interface Packing {
  readonly bytes: number;
  readonly sizes: number[];
  readonly places: ReadonlyMap<Root, Place>;
}

interface Place {
  readonly slot: number;
  readonly byteOffset: number;
}

interface Bank {
  bytes: number;
  /** Sorted by where they lie. */
  readonly roots: Root[];
}

function place(order: readonly Root[], { alignment, maxBuffer, apart }: AllocateOptions): Packing {
  const banks: Bank[] = [];
  const places = new Map<Root, Place>();
  for (const root of order) {
    const bytes = align(root.bytes, alignment);
    const refused = new Set<number>();
    for (const other of apart?.get(root) ?? []) {
      const there = places.get(other);
      if (there) refused.add(there.slot);
    }
    let chosen = { slot: banks.length, byteOffset: 0 };
    let least = Infinity;
    let tightest = Infinity;
    banks.forEach((bank, slot) => {
      if (refused.has(slot)) return;
      const { byteOffset, end } = lowest(bank, root, bytes, places, alignment);
      if (byteOffset + bytes > Math.max(bank.bytes, maxBuffer)) return;
      const growth = Math.max(0, byteOffset + bytes - bank.bytes);
      const left = Math.max(0, end - byteOffset - bytes);
      if (growth > least || (growth === least && left >= tightest)) return;
      chosen = { slot, byteOffset };
      least = growth;
      tightest = left;
    });
    const bank = (banks[chosen.slot] ??= { bytes: 0, roots: [] });
    bank.bytes = Math.max(bank.bytes, chosen.byteOffset + bytes);
    places.set(root, chosen);
    const after = bank.roots.findIndex((other) => places.get(other)!.byteOffset > chosen.byteOffset);
    bank.roots.splice(after < 0 ? bank.roots.length : after, 0, root);
  }
  const sizes = banks.map((bank) => bank.bytes);
  return { bytes: sizes.reduce((a, b) => a + b, 0), sizes, places };
}

/** The lowest offset at which the root meets nothing that is alive with it, and where the gap ends. */
function lowest(bank: Bank, root: Root, bytes: number, places: ReadonlyMap<Root, Place>, alignment: number): { byteOffset: number; end: number } {
  let byteOffset = 0;
  for (const other of bank.roots) {
    if (!overlaps(other, root)) continue;
    const start = places.get(other)!.byteOffset;
    if (byteOffset + bytes <= start) return { byteOffset, end: start };
    byteOffset = Math.max(byteOffset, start + align(other.bytes, alignment));
  }
  return { byteOffset, end: bank.bytes };
}

/** Temporaries that some step writes, each with the others of that step: WebGPU refuses to read and write one buffer in a launch. */
export function apartOf(steps: readonly Step[]): Map<Root, Set<Root>> {
  const apart = new Map<Root, Set<Root>>();
  const add = (a: Root, b: Root): void => {
    const set = apart.get(a);
    if (set) set.add(b);
    else apart.set(a, new Set([b]));
  };
  for (const step of steps) {
    const written = step.kind === 'copy' ? [step.to.root] : [...step.outputs.map((l) => l.root), ...step.scratch];
    const read = step.kind === 'copy' ? [step.from.root] : step.inputs.map((l) => l.root);
    for (const a of written) {
      for (const b of [...written, ...read]) {
        if (a === b || a.pinned || b.pinned) continue;
        add(a, b);
        add(b, a);
      }
    }
  }
  return apart;
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
