/**
 * The one-dimensional transforms of minimal filtering F(4, 3) with points 0, +-p, +-q, infinity, p = 5/8, q = 3/2, on four channels at
 * a time; applied to columns and then to rows they give the two-dimensional ones. See winograd.ts.
 */
import { madd } from './simd';

const P: f32 = 0.625;
const Q: f32 = 1.5;
const P2: f32 = 0.390625;
const Q2: f32 = 2.25;
const P3: f32 = 0.244140625;
const Q3: f32 = 3.375;
/** p^2 q^2 and p^2 + q^2. */
const PRODUCT: f32 = 0.87890625;
const SUM: f32 = 2.640625;
/** 1 / M'(a): M'(0) = p^2 q^2, M'(+-p) = 2 p^2 (p^2 - q^2), M'(+-q) = 2 q^2 (q^2 - p^2). */
const N0: f32 = 1.0 / 0.87890625;
const NP: f32 = 1.0 / (2.0 * 0.390625 * (0.390625 - 2.25));
const NQ: f32 = 1.0 / (2.0 * 2.25 * (2.25 - 0.390625));

// @ts-ignore: decorator
@inline
function c4(v: f32): v128 {
  return f32x4.splat(v);
}

/** B^T d of six vectors, to `to`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function inputLine(d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, to: usize, step: usize): void {
  v128.store(to, madd(d2, c4(-SUM), madd(d0, c4(PRODUCT), d4)));
  let even = madd(d2, c4(-Q2), d4);
  let odd = f32x4.mul(madd(d1, c4(-Q2), d3), c4(P));
  v128.store(to + step, f32x4.add(even, odd));
  v128.store(to + 2 * step, f32x4.sub(even, odd));
  even = madd(d2, c4(-P2), d4);
  odd = f32x4.mul(madd(d1, c4(-P2), d3), c4(Q));
  v128.store(to + 3 * step, f32x4.add(even, odd));
  v128.store(to + 4 * step, f32x4.sub(even, odd));
  v128.store(to + 5 * step, madd(d3, c4(-SUM), madd(d1, c4(PRODUCT), d5)));
}

/** G g of three vectors. */
// @ts-ignore: decorator
@inline
export function filterLine(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  v128.store(to, f32x4.mul(g0, c4(N0)));
  let even = f32x4.mul(madd(g2, c4(P2), g0), c4(NP));
  let odd = f32x4.mul(g1, c4(P * NP));
  v128.store(to + step, f32x4.add(even, odd));
  v128.store(to + 2 * step, f32x4.sub(even, odd));
  even = f32x4.mul(madd(g2, c4(Q2), g0), c4(NQ));
  odd = f32x4.mul(g1, c4(Q * NQ));
  v128.store(to + 3 * step, f32x4.add(even, odd));
  v128.store(to + 4 * step, f32x4.sub(even, odd));
  v128.store(to + 5 * step, g2);
}

/** A^T m of six vectors. */
// @ts-ignore: decorator
@inline
export function outputLine(m0: v128, m1: v128, m2: v128, m3: v128, m4: v128, m5: v128, to: usize, step: usize): void {
  const s1 = f32x4.add(m1, m2), d1 = f32x4.sub(m1, m2), s2 = f32x4.add(m3, m4), d2 = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(m0, s1), s2));
  v128.store(to + step, madd(d2, c4(Q), f32x4.mul(d1, c4(P))));
  v128.store(to + 2 * step, madd(s2, c4(Q2), f32x4.mul(s1, c4(P2))));
  v128.store(to + 3 * step, madd(d2, c4(Q3), madd(d1, c4(P3), m5)));
}

/** A y of four vectors: the adjoint of `outputLine`. */
// @ts-ignore: decorator
@inline
export function outputAdjointLine(y0: v128, y1: v128, y2: v128, y3: v128, to: usize, step: usize): void {
  v128.store(to, y0);
  let even = madd(y2, c4(P2), y0);
  let odd = madd(y3, c4(P3), f32x4.mul(y1, c4(P)));
  v128.store(to + step, f32x4.add(even, odd));
  v128.store(to + 2 * step, f32x4.sub(even, odd));
  even = madd(y2, c4(Q2), y0);
  odd = madd(y3, c4(Q3), f32x4.mul(y1, c4(Q)));
  v128.store(to + 3 * step, f32x4.add(even, odd));
  v128.store(to + 4 * step, f32x4.sub(even, odd));
  v128.store(to + 5 * step, y3);
}

/** G^T m of six vectors: the adjoint of `filterLine`. */
// @ts-ignore: decorator
@inline
export function filterAdjointLine(m0: v128, m1: v128, m2: v128, m3: v128, m4: v128, m5: v128, to: usize, step: usize): void {
  const s1 = f32x4.mul(f32x4.add(m1, m2), c4(NP)), d1 = f32x4.mul(f32x4.sub(m1, m2), c4(P * NP));
  const s2 = f32x4.mul(f32x4.add(m3, m4), c4(NQ)), d2 = f32x4.mul(f32x4.sub(m3, m4), c4(Q * NQ));
  v128.store(to, madd(m0, c4(N0), f32x4.add(s1, s2)));
  v128.store(to + step, f32x4.add(d1, d2));
  v128.store(to + 2 * step, madd(s1, c4(P2), madd(s2, c4(Q2), m5)));
}
