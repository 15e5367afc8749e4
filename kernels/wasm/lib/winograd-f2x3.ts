/**
 * The one-dimensional transforms of minimal filtering F(2, 3) with points 0, 1, -1, infinity, on four
 * channels at a time; applied to columns and then to rows they give the two-dimensional ones. See winograd.ts.
 *
 * Written by tools/winograd.ts: `npx tsx tools/winograd.ts --write`. Not for editing.
 */
import { madd } from './simd';

// @ts-ignore: decorator
@inline
function c4(v: f32): v128 {
  return f32x4.splat(v);
}

/**
 * B^T d of 4 vectors, to `to`, `step` bytes apart.
 *
 *     1   0  -1  0
 *     0   1   1  0
 *     0  -1   1  0
 *     0  -1   0  1
 */
// @ts-ignore: decorator
@inline
export function inputLine(d0: v128, d1: v128, d2: v128, d3: v128, to: usize, step: usize): void {
  v128.store(to, f32x4.sub(d0, d2));
  v128.store(to + step, f32x4.add(d2, d1));
  v128.store(to + 2 * step, f32x4.sub(d2, d1));
  v128.store(to + 3 * step, f32x4.sub(d3, d1));
}

/**
 * G g of 3 vectors, to `to`, `step` bytes apart.
 *
 *       1     0    0
 *     1/2   1/2  1/2
 *     1/2  -1/2  1/2
 *       0     0    1
 */
// @ts-ignore: decorator
@inline
export function filterLine(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  v128.store(to, g0);
  const even0 = f32x4.mul(f32x4.add(g0, g2), c4(0.5));
  const odd0 = f32x4.mul(g1, c4(0.5));
  v128.store(to + step, f32x4.add(even0, odd0));
  v128.store(to + 2 * step, f32x4.sub(even0, odd0));
  v128.store(to + 3 * step, g2);
}

/**
 * A^T m of 4 vectors, to `to`, `step` bytes apart.
 *
 *     1  1   1  0
 *     0  1  -1  1
 */
// @ts-ignore: decorator
@inline
export function outputLine(m0: v128, m1: v128, m2: v128, m3: v128, to: usize, step: usize): void {
  const sum0 = f32x4.add(m1, m2);
  const difference0 = f32x4.sub(m1, m2);
  v128.store(to, f32x4.add(m0, sum0));
  v128.store(to + step, f32x4.add(difference0, m3));
}

/**
 * A y of 2 vectors, to `to`, `step` bytes apart.
 *
 *     1   0
 *     1   1
 *     1  -1
 *     0   1
 */
// @ts-ignore: decorator
@inline
export function outputAdjointLine(y0: v128, y1: v128, to: usize, step: usize): void {
  v128.store(to, y0);
  v128.store(to + step, f32x4.add(y0, y1));
  v128.store(to + 2 * step, f32x4.sub(y0, y1));
  v128.store(to + 3 * step, y1);
}

/**
 * G^T m of 4 vectors, to `to`, `step` bytes apart.
 *
 *     1  1/2   1/2  0
 *     0  1/2  -1/2  0
 *     0  1/2   1/2  1
 */
// @ts-ignore: decorator
@inline
export function filterAdjointLine(m0: v128, m1: v128, m2: v128, m3: v128, to: usize, step: usize): void {
  const sum0 = f32x4.add(m1, m2);
  const difference0 = f32x4.sub(m1, m2);
  v128.store(to, madd(sum0, c4(0.5), m0));
  v128.store(to + step, f32x4.mul(difference0, c4(0.5)));
  v128.store(to + 2 * step, madd(sum0, c4(0.5), m3));
}
