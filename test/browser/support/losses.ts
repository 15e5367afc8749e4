/** How far two runs' losses are apart, as DESIGN's rule for whole networks measures it. */
import * as assert from 'uvu/assert';

const norm = (x: readonly number[]): number => Math.hypot(...x);

/** Of two lists of losses, as vectors: how their norms differ, their cosine, and the norm of the difference, all relative. */
export function distance(got: readonly number[], want: readonly number[]): { norms: number; cosine: number; relative: number } {
  const product = got.reduce((sum, x, i) => sum + x * want[i], 0);
  return {
    norms: Math.abs(norm(got) / norm(want) - 1),
    cosine: product / (norm(got) * norm(want)),
    relative: norm(got.map((x, i) => x - want[i])) / norm(want),
  };
}

/** The rule for networks with ReLU: a rounding flips one at zero, and what follows is another trajectory. */
export function assertNear(got: readonly number[], want: readonly number[]): void {
  assert.is(got.length, want.length);
  const { norms, cosine } = distance(got, want);
  assert.ok(norms <= 0.01 && cosine >= 0.9999, `norms differ by ${norms}, cosine ${cosine}: ${got.join(' ')}`);
}

/** For the same network with softplus, where nothing flips: the norm of the difference over the norm. */
export const SOFTPLUS_RULE = 1e-4;

export function assertSame(got: readonly number[], want: readonly number[]): void {
  assert.is(got.length, want.length);
  const { relative } = distance(got, want);
  assert.ok(relative <= SOFTPLUS_RULE, `differ by ${relative} of their norm: ${got.join(' ')}`);
}
