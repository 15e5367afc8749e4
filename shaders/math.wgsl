// exp, log, pow, tanh, sin and cos for T = f32 or vec4f, accurate to some 2 units in the last place where the built-in functions of
// WGSL promise less (3 + 2 |x| units for exp, an absolute 2^-21 for log near 1, 2^-11 for sin); they take the names of those.
// Polynomials and range reductions: Cephes, S. L. Moshier (expf.c, logf.c, tanhf.c, sinf.c), netlib.org/cephes.

// Constants that an exact shader compiler may not fold away.
fn infinity() -> f32 { return bitcast<f32>(u.infinity); }

// e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2; 2^n in two factors, so that results near the ends of the range are exact.
fn exp(v: T) -> T {
  let x = clamp(v, T(-104.0), T(89.0));
  let n = floor(x * T(1.44269504) + T(0.5));
  let r = (x - n * T(0.693359375)) - n * T(-2.12194440e-4);
  var p = T(1.9875691500e-4);
  p = p * r + T(1.3981999507e-3);
  p = p * r + T(8.3334519073e-3);
  p = p * r + T(4.1665795894e-2);
  p = p * r + T(1.6666665459e-1);
  p = p * r + T(5.0000001201e-1);
  p = p * r * r + r + T(1.0);
  let i = I(n);
  let half = i >> B(1u);
  return p * bitcast<T>((half + I(127)) << B(23u)) * bitcast<T>((i - half + I(127)) << B(23u));
}

// x = 2^e m, sqrt(1/2) <= m < sqrt(2): log x = e ln 2 + log m, the small part of ln 2 added first.
fn log(x: T) -> T {
  let bits = bitcast<I>(x);
  var e = T((bits >> B(23u)) & I(255)) - T(126.0);
  var m = bitcast<T>((bits & I(0x007fffff)) | I(0x3f000000));
  let low = m < T(0.70710678);
  e = select(e, e - T(1.0), low);
  m = select(m, m + m, low) - T(1.0);
  let z = m * m;
  var p = T(7.0376836292e-2);
  p = p * m + T(-1.1514610310e-1);
  p = p * m + T(1.1676998740e-1);
  p = p * m + T(-1.2420140846e-1);
  p = p * m + T(1.4249322787e-1);
  p = p * m + T(-1.6668057665e-1);
  p = p * m + T(2.0000714765e-1);
  p = p * m + T(-2.4999993993e-1);
  p = p * m + T(3.3333331174e-1);
  let y = (p * m * z + e * T(-2.12194440e-4)) - T(0.5) * z;
  let finite = m + y + e * T(0.693359375);
  let inf = T(infinity());
  // log of 0 is -infinity, of a negative number no number.
  return select(select(select(finite, inf - inf, x < T(0.0)), -inf, x == T(0.0)), inf, x == inf);
}

// x^y for x >= 0: with x = 2^e m it is 2^n e^r, n = round(y log2 x), r = (y e - n) ln 2 + y log m. Upper halves are multiplied
// apart, their products being exact, so that the error does not grow with |y log x|.
fn pow(x: T, y: T) -> T {
  let bits = bitcast<I>(x);
  var e = T((bits >> B(23u)) & I(255)) - T(126.0);
  var m = bitcast<T>((bits & I(0x007fffff)) | I(0x3f000000));
  let low = m < T(0.70710678);
  e = select(e, e - T(1.0), low);
  m = select(m, m + m, low);
  let f = log(m);
  let yh = bitcast<T>(bitcast<I>(y) & I(-4096));
  let yl = y - yh;
  let fh = bitcast<T>(bitcast<I>(f) & I(-4096));
  let fl = f - fh;
  let n = floor(y * (e + f * T(1.44269504)) + T(0.5));
  let high = ((yh * e - n) * T(0.693359375) + yh * fh);
  let rest = yl * (e * T(0.693359375)) + (yl * f + yh * fl) + (y * e - n) * T(-2.12194440e-4);
  let p = exp(clamp(high + rest, T(-100.0), T(88.0)));
  let i = clamp(I(n), I(-250), I(250));
  let half = i >> B(1u);
  let r = p * bitcast<T>((half + I(127)) << B(23u)) * bitcast<T>((i - half + I(127)) << B(23u));
  let inf = T(infinity());
  let atZero = select(select(T(0.0), T(1.0), y == T(0.0)), inf, y < T(0.0));
  return select(r, atZero, x == T(0.0));
}

fn tanh(x: T) -> T {
  let z = x * x;
  var p = T(-5.70498872745e-3);
  p = p * z + T(2.06390887954e-2);
  p = p * z + T(-5.37397155531e-2);
  p = p * z + T(1.33314422036e-1);
  p = p * z + T(-3.33332819422e-1);
  let small = p * z * x + x;
  let a = abs(x);
  let large = T(1.0) - T(2.0) / (exp(a + a) + T(1.0));
  return select(select(large, -large, x < T(0.0)), small, a < T(0.625));
}

// Both on [-pi/4, pi/4] after subtraction of multiples of pi/2 in three parts; good for |x| < 8192.
fn sine(x: T, quarter: T) -> T {
  let j = floor(x * T(0.63661977236) + T(0.5));
  let r = ((x - j * T(1.5703125)) - j * T(4.837512969970703125e-4)) - j * T(7.54978995489188216e-8);
  let z = r * r;
  let s = ((T(-1.9515295891e-4) * z + T(8.3321608736e-3)) * z + T(-1.6666654611e-1)) * z * r + r;
  let c = ((T(2.443315711809948e-5) * z + T(-1.388731625493765e-3)) * z + T(4.166664568298827e-2)) * z * z - T(0.5) * z + T(1.0);
  let q = I(j + quarter) & I(3);
  let odd = (q & I(1)) == I(1);
  let v = select(s, c, odd);
  return select(v, -v, q >= I(2));
}
fn sin(x: T) -> T { return sine(x, T(0.0)); }
fn cos(x: T) -> T { return sine(x, T(1.0)); }
