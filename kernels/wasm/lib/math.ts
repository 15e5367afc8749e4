/**
 * Transcendental functions of four lanes, within a few units in the last place of float32. Polynomials after Cephes (S. Moshier,
 * single precision); argument reduction by Cody and Waite.
 */
import { madd } from './simd';

// @ts-ignore: decorator
@inline
function c4(x: f32): v128 {
  return f32x4.splat(x);
}

/** e^x; 0 below -104, infinity above 88.73. Denormal results are kept: the scale is applied in two halves. */
export function exp4(x: v128): v128 {
  const clamped = f32x4.max(f32x4.min(x, c4(89.0)), c4(-105.0));
  const n = f32x4.nearest(f32x4.mul(clamped, c4(1.44269504088896341)));
  let r = f32x4.sub(clamped, f32x4.mul(n, c4(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, c4(-2.12194440e-4)));
  let p = c4(1.9875691500e-4);
  p = madd(p, r, c4(1.3981999507e-3));
  p = madd(p, r, c4(8.3334519073e-3));
  p = madd(p, r, c4(4.1665795894e-2));
  p = madd(p, r, c4(1.6666665459e-1));
  p = madd(p, r, c4(5.0000001201e-1));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), c4(1));
  const k = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(k, 1);
  const first = i32x4.shl(i32x4.add(half, i32x4.splat(127)), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(k, half), i32x4.splat(127)), 23);
  return f32x4.mul(f32x4.mul(p, first), second);
}

/** Natural logarithm; -infinity at 0, NaN below. */
export function log4(x: v128): v128 {
  const tiny = f32x4.lt(x, c4(1.17549435e-38));
  const scaled = v128.bitselect(f32x4.mul(x, c4(8388608)), x, tiny);
  let e = i32x4.sub(i32x4.shr_u(scaled, 23), i32x4.splat(126));
  e = i32x4.sub(e, v128.and(tiny, i32x4.splat(23)));
  // mantissa in [0.5, 1), then in [sqrt(1/2), sqrt(2))
  let m = v128.or(v128.and(scaled, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(m, c4(0.707106781186547524));
  e = i32x4.add(e, low);
  m = f32x4.sub(f32x4.add(m, v128.and(m, low)), c4(1));
  const z = f32x4.mul(m, m);
  let p = c4(7.0376836292e-2);
  p = madd(p, m, c4(-1.1514610310e-1));
  p = madd(p, m, c4(1.1676998740e-1));
  p = madd(p, m, c4(-1.2420140846e-1));
  p = madd(p, m, c4(1.4249322787e-1));
  p = madd(p, m, c4(-1.6668057665e-1));
  p = madd(p, m, c4(2.0000714765e-1));
  p = madd(p, m, c4(-2.4999993993e-1));
  p = madd(p, m, c4(3.3333331174e-1));
  p = f32x4.mul(f32x4.mul(p, m), z);
  const f = f32x4.convert_i32x4_s(e);
  p = madd(f, c4(-2.12194440e-4), p);
  p = madd(z, c4(-0.5), p);
  let y = f32x4.add(m, p);
  y = madd(f, c4(0.693359375), y);
  y = v128.bitselect(c4(-Infinity), y, f32x4.eq(x, c4(0)));
  y = v128.bitselect(x, y, v128.or(f32x4.eq(x, c4(Infinity)), f32x4.ne(x, x)));
  return v128.bitselect(c4(NaN), y, f32x4.lt(x, c4(0)));
}

/** Hyperbolic tangent: an odd polynomial near zero, else 1 - 2 / (e^2x + 1). */
export function tanh4(x: v128): v128 {
  const a = f32x4.abs(x);
  const z = f32x4.mul(x, x);
  let p = c4(-5.70498872745e-3);
  p = madd(p, z, c4(2.06390887954e-2));
  p = madd(p, z, c4(-5.37397155531e-2));
  p = madd(p, z, c4(1.33314422036e-1));
  p = madd(p, z, c4(-3.33332819422e-1));
  const near = madd(f32x4.mul(p, z), x, x);
  const e = exp4(f32x4.add(a, a));
  let far = f32x4.sub(c4(1), f32x4.div(c4(2), f32x4.add(e, c4(1))));
  far = v128.bitselect(f32x4.neg(far), far, f32x4.lt(x, c4(0)));
  return v128.bitselect(near, far, f32x4.lt(a, c4(0.625)));
}

/** sin(x + quarter * pi / 2), for |x| up to some ten thousand; beyond, float32 arguments mean little. */
function sinQuarter(x: v128, quarter: i32): v128 {
  const n = f32x4.nearest(f32x4.mul(x, c4(0.63661977236758134)));
  // pi / 2 in three parts, the first two short enough that their products with n are exact
  let r = f32x4.sub(x, f32x4.mul(n, c4(1.5703125)));
  r = f32x4.sub(r, f32x4.mul(n, c4(4.837512969970703125e-4)));
  r = f32x4.sub(r, f32x4.mul(n, c4(7.549789948768648e-8)));
  const k = i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(quarter));
  const z = f32x4.mul(r, r);
  let s = c4(-1.9515295891e-4);
  s = madd(s, z, c4(8.3321608736e-3));
  s = madd(s, z, c4(-1.6666654611e-1));
  s = madd(f32x4.mul(s, z), r, r);
  let c = c4(2.443315711809948e-5);
  c = madd(c, z, c4(-1.388731625493765e-3));
  c = madd(c, z, c4(4.166664568298827e-2));
  c = madd(f32x4.mul(c, z), z, madd(z, c4(-0.5), c4(1)));
  const odd = i32x4.eq(v128.and(k, i32x4.splat(1)), i32x4.splat(1));
  const value = v128.bitselect(c, s, odd);
  return v128.xor(value, i32x4.shl(v128.and(k, i32x4.splat(2)), 30));
}

export function sin4(x: v128): v128 {
  return sinQuarter(x, 0);
}

export function cos4(x: v128): v128 {
  return sinQuarter(x, 1);
}

/** x^y, lane by lane: rare, and exact only with more than float32 inside. */
export function pow4(x: v128, y: v128): v128 {
  let r = f32x4.splat(NativeMathf.pow(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
  r = f32x4.replace_lane(r, 1, NativeMathf.pow(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
  r = f32x4.replace_lane(r, 2, NativeMathf.pow(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
  return f32x4.replace_lane(r, 3, NativeMathf.pow(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
}
