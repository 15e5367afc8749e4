/**
 * The one-dimensional transforms of minimal filtering F(4, 3) with points 0, 5/8, -5/8, 3/2, -3/2, infinity, on four
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
 * B^T d of 6 vectors, to `to`, `step` bytes apart.
 *
 *     225/256        0  -169/64        0  1  0
 *           0   -45/32     -9/4      5/8  1  0
 *           0    45/32     -9/4     -5/8  1  0
 *           0  -75/128   -25/64      3/2  1  0
 *           0   75/128   -25/64     -3/2  1  0
 *           0  225/256        0  -169/64  0  1
 */
// @ts-ignore: decorator
@inline
export function inputLine(d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, to: usize, step: usize): void {
  v128.store(to, madd(d2, c4(-2.640625), madd(d0, c4(0.87890625), d4)));
  const even0 = madd(d2, c4(-2.25), d4);
  const odd0 = f32x4.mul(madd(d1, c4(-2.25), d3), c4(0.625));
  v128.store(to + step, f32x4.add(even0, odd0));
  v128.store(to + 2 * step, f32x4.sub(even0, odd0));
  const even1 = madd(d2, c4(-0.390625), d4);
  const odd1 = f32x4.mul(madd(d1, c4(-0.390625), d3), c4(1.5));
  v128.store(to + 3 * step, f32x4.add(even1, odd1));
  v128.store(to + 4 * step, f32x4.sub(even1, odd1));
  v128.store(to + 5 * step, madd(d3, c4(-2.640625), madd(d1, c4(0.87890625), d5)));
}

/**
 * G g of 3 vectors, to `to`, `step` bytes apart.
 *
 *        256/225         0        0
 *     -2048/2975  -256/595  -32/119
 *     -2048/2975   256/595  -32/119
 *       128/1071    64/357   32/119
 *       128/1071   -64/357   32/119
 *              0         0        1
 */
// @ts-ignore: decorator
@inline
export function filterLine(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  v128.store(to, f32x4.mul(g0, c4(1.1377778)));
  const even0 = f32x4.mul(madd(g2, c4(0.390625), g0), c4(-0.68840337));
  const odd0 = f32x4.mul(g1, c4(-0.4302521));
  v128.store(to + step, f32x4.add(even0, odd0));
  v128.store(to + 2 * step, f32x4.sub(even0, odd0));
  const even1 = f32x4.mul(madd(g2, c4(2.25), g0), c4(0.11951447));
  const odd1 = f32x4.mul(g1, c4(0.17927171));
  v128.store(to + 3 * step, f32x4.add(even1, odd1));
  v128.store(to + 4 * step, f32x4.sub(even1, odd1));
  v128.store(to + 5 * step, g2);
}

/**
 * A^T m of 6 vectors, to `to`, `step` bytes apart.
 *
 *     1        1         1     1      1  0
 *     0      5/8      -5/8   3/2   -3/2  0
 *     0    25/64     25/64   9/4    9/4  0
 *     0  125/512  -125/512  27/8  -27/8  1
 */
// @ts-ignore: decorator
@inline
export function outputLine(m0: v128, m1: v128, m2: v128, m3: v128, m4: v128, m5: v128, to: usize, step: usize): void {
  const sum0 = f32x4.add(m1, m2);
  const difference0 = f32x4.sub(m1, m2);
  const sum1 = f32x4.add(m3, m4);
  const difference1 = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(m0, sum0), sum1));
  v128.store(to + step, madd(difference1, c4(1.5), f32x4.mul(difference0, c4(0.625))));
  v128.store(to + 2 * step, madd(sum1, c4(2.25), f32x4.mul(sum0, c4(0.390625))));
  v128.store(to + 3 * step, madd(difference1, c4(3.375), madd(difference0, c4(0.244140625), m5)));
}

/**
 * A y of 4 vectors, to `to`, `step` bytes apart.
 *
 *     1     0      0         0
 *     1   5/8  25/64   125/512
 *     1  -5/8  25/64  -125/512
 *     1   3/2    9/4      27/8
 *     1  -3/2    9/4     -27/8
 *     0     0      0         1
 */
// @ts-ignore: decorator
@inline
export function outputAdjointLine(y0: v128, y1: v128, y2: v128, y3: v128, to: usize, step: usize): void {
  v128.store(to, y0);
  const even0 = madd(y2, c4(0.390625), y0);
  const odd0 = f32x4.mul(madd(y3, c4(0.390625), y1), c4(0.625));
  v128.store(to + step, f32x4.add(even0, odd0));
  v128.store(to + 2 * step, f32x4.sub(even0, odd0));
  const even1 = madd(y2, c4(2.25), y0);
  const odd1 = f32x4.mul(madd(y3, c4(2.25), y1), c4(1.5));
  v128.store(to + 3 * step, f32x4.add(even1, odd1));
  v128.store(to + 4 * step, f32x4.sub(even1, odd1));
  v128.store(to + 5 * step, y3);
}

/**
 * G^T m of 6 vectors, to `to`, `step` bytes apart.
 *
 *     256/225  -2048/2975  -2048/2975  128/1071  128/1071  0
 *           0    -256/595     256/595    64/357   -64/357  0
 *           0     -32/119     -32/119    32/119    32/119  1
 */
// @ts-ignore: decorator
@inline
export function filterAdjointLine(m0: v128, m1: v128, m2: v128, m3: v128, m4: v128, m5: v128, to: usize, step: usize): void {
  const sum0 = f32x4.mul(f32x4.add(m1, m2), c4(-0.68840337));
  const difference0 = f32x4.sub(m1, m2);
  const sum1 = f32x4.mul(f32x4.add(m3, m4), c4(0.11951447));
  const difference1 = f32x4.sub(m3, m4);
  v128.store(to, madd(m0, c4(1.1377778), f32x4.add(sum0, sum1)));
  v128.store(to + step, madd(difference1, c4(0.17927171), f32x4.mul(difference0, c4(-0.4302521))));
  v128.store(to + 2 * step, madd(sum1, c4(2.25), madd(sum0, c4(0.390625), m5)));
}
