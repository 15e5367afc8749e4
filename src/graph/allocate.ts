import type { Root, Step } from './plan.ts';

const align = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

export interface AllocateOptions {
  /** Roots start at multiples of this many bytes. */
  readonly alignment: number;
  /** A buffer grows no further than this, unless one root alone is larger. */
  readonly maxBuffer: number;
  /** Roots that must lie in different buffers; see `apartOf`. Without it any may share one. */
  readonly apart?: ReadonlyMap<Root, ReadonlySet<Root>>;
}

interface Bank {
  bytes: number;
  /** Sorted by where they lie. */
  readonly roots: Root[];
}

/**
 * Gives each temporary a place in one of as few buffers as will do: the largest first, each where it makes the buffers grow the
 * least, at the lowest offset where it meets nothing alive at the same time ("greedy by size", Pisarchyk and Lee, Efficient Memory
 * Management for Deep Neural Net Inference, 2020). Other orders are tried too, and the one that takes the least is kept.
 *
 * @returns the bytes of each buffer
 */
export function allocate(roots: readonly Root[], options: AllocateOptions): number[] {
  let best: { sizes: number[]; places: { slot: number; byteOffset: number }[] } | undefined;
  const total = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0);
  const bound = livenessBound(roots, options.alignment);
  for (const order of orders) {
    const sizes = place([...roots].sort(order), options);
    if (best === undefined || total(sizes) < total(best.sizes)) {
      best = { sizes, places: roots.map(({ slot, byteOffset }) => ({ slot, byteOffset })) };
    }
    if (total(best.sizes) <= 1.005 * bound) break;
  }
  roots.forEach((root, i) => Object.assign(root, best!.places[i]));
  return best?.sizes ?? [];
}

/** Equal ones come in order of first use, so that the result does not depend on chance. */
const orders: readonly ((a: Root, b: Root) => number)[] = [
  (a, b) => b.bytes - a.bytes || a.first - b.first || a.last - b.last,
  (a, b) => area(b) - area(a) || a.first - b.first,
  (a, b) => length(b) - length(a) || b.bytes - a.bytes || a.first - b.first,
  (a, b) => a.first - b.first || b.bytes - a.bytes,
];

const length = (root: Root): number => root.last - root.first + 1;
const area = (root: Root): number => root.bytes * length(root);

function place(roots: readonly Root[], { alignment, maxBuffer, apart }: AllocateOptions): number[] {
  const banks: Bank[] = [];
  const placed = new Set<Root>();
  for (const root of roots) {
    const bytes = align(root.bytes, alignment);
    const refused = new Set<number>();
    for (const other of apart?.get(root) ?? []) if (placed.has(other)) refused.add(other.slot);
    let chosen = -1;
    let offset = 0;
    let least = Infinity;
    banks.forEach((bank, i) => {
      if (refused.has(i) || least === 0) return;
      const at = lowest(bank.roots, root, bytes, alignment);
      if (at + bytes > Math.max(bank.bytes, maxBuffer)) return;
      const growth = Math.max(0, at + bytes - bank.bytes);
      if (growth < least) [chosen, offset, least] = [i, at, growth];
    });
    if (chosen < 0) [chosen, offset] = [banks.push({ bytes: 0, roots: [] }) - 1, 0];
    const bank = banks[chosen];
    bank.bytes = Math.max(bank.bytes, offset + bytes);
    root.slot = chosen;
    root.byteOffset = offset;
    const after = bank.roots.findIndex((other) => other.byteOffset > offset);
    bank.roots.splice(after < 0 ? bank.roots.length : after, 0, root);
    placed.add(root);
  }
  return banks.map((bank) => bank.bytes);
}

/** The lowest offset at which the root meets nothing that is alive with it. */
function lowest(placed: readonly Root[], root: Root, bytes: number, alignment: number): number {
  let offset = 0;
  for (const other of placed) {
    if (!overlaps(other, root)) continue;
    if (offset + bytes <= other.byteOffset) break;
    offset = Math.max(offset, other.byteOffset + align(other.bytes, alignment));
  }
  return offset;
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
