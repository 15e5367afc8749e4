/** Samples drawn class by class, in proportions that are given. */
import { OptionError } from '../errors.ts';
import type { PhiloxStream } from '../random/philox.ts';

/** How many of the labels are 0, 1, .... */
export function countLabels(labels: Int32Array): number[] {
  const counts: number[] = new Array<number>(labels.reduce((a, b) => Math.max(a, b), 0) + 1).fill(0);
  for (const label of labels) counts[label]++;
  return counts;
}

/**
 * `size` positions with class c in proportion weights[c] * count[c]. The shares are rounded at random so that their
 * expectation is exact, and within a class every sample is taken once before any is taken again.
 */
export function drawByClass(labels: Int32Array, weights: readonly number[], size: number, rng: PhiloxStream): number[] {
  const members: number[][] = weights.map(() => []);
  labels.forEach((label, i) => members[label].push(i));
  const masses = weights.map((weight, label) => weight * members[label].length);
  const total = masses.reduce((a, b) => a + b, 0);
  if (!(total > 0)) throw new OptionError('the sampler weights leave no class with samples');
  // Systematic sampling: one uniform offset rounds all the running sums, so each share is off by less than one.
  const offset = rng.uniform();
  const order: number[] = [];
  let running = 0;
  let before = 0;
  const last = masses.findLastIndex((mass) => mass > 0);
  masses.forEach((mass, label) => {
    running += mass;
    const upTo = label >= last ? size : Math.min(size, Math.floor(running / total * size + offset));
    let missing = upTo - before;
    before = upTo;
    while (missing > 0) {
      const pass = rng.shuffle([...members[label]]).slice(0, missing);
      for (const position of pass) order.push(position);
      missing -= pass.length;
    }
  });
  return rng.shuffle(order);
}
