/** The pixels along an axis that a place between pixels is told from, and their weights: `interpolations` of src/ops/warp-affine.ts by number. */

export const BILINEAR: i32 = 1;
const NEAREST: i32 = 0, CUBIC: i32 = 2, AREA: i32 = 3;

/** A map's interpolation: areas are those of images that shrink along their axes; what is no number of one counts as bilinear. */
export function interpolationOf(m: usize): i32 {
  const asked = load<f32>(m, 24);
  if (!(asked >= 0 && asked <= 4)) return BILINEAR;
  const kind = <i32>asked;
  if (kind != AREA) return kind;
  const shrinks = load<f32>(m, 4) == 0 && load<f32>(m, 12) == 0 && abs(load<f32>(m)) >= 1 && abs(load<f32>(m, 16)) >= 1;
  return shrinks ? AREA : BILINEAR;
}

/** Of the place's taps, the first; here and below by another interpolation than the bilinear. `span`: pixels from one place to the next. */
export function firstTap(kind: i32, place: f32, span: f32): f32 {
  if (kind == NEAREST) return floor<f32>(place + 0.5);
  if (kind == CUBIC) return floor<f32>(place) - 1;
  if (kind == AREA) return floor<f32>(place - span * 0.5 + 0.5);
  return floor<f32>(place) - 3;
}

/** The one after the last. */
export function endOfTaps(kind: i32, place: f32, span: f32): f32 {
  if (kind == NEAREST) return floor<f32>(place + 0.5) + 1;
  if (kind == CUBIC) return floor<f32>(place) + 3;
  if (kind == AREA) return floor<f32>(place + span * 0.5 + 0.5) + 1;
  return floor<f32>(place) + 5;
}

/** A tap's weight before it is divided by the sum of all. */
export function tapWeight(kind: i32, tap: i32, place: f32, span: f32): f32 {
  let d = <f32>tap - place;
  if (kind == NEAREST) return 1;
  if (kind == AREA) {
    const half = span * 0.5;
    return max<f32>(0, min<f32>(half, d + 0.5) - max<f32>(-half, d - 0.5));
  }
  if (kind == CUBIC) {
    d = abs<f32>(d);
    return d <= 1 ? (1.25 * d - 2.25) * d * d + 1 : ((-0.75 * d + 3.75) * d - 6) * d + 3;
  }
  // sinc(d) sinc(d / 4) without the sine of pi d, which but for its sign is that of all taps. At a pixel itself this one outweighs the others.
  if (abs<f32>(d) < 1e-9) d = 1e-9;
  const z = d * d * 0.61685027506808491;
  let s: f32 = 2.8114572543455206e-15;
  s = s * z - 7.6471637318198164e-13;
  s = s * z + 1.6059043836821613e-10;
  s = s * z - 2.505210838544172e-8;
  s = s * z + 2.7557319223985893e-6;
  s = s * z - 0.00019841269841269841;
  s = s * z + 0.0083333333333333332;
  s = s * z - 0.16666666666666666;
  s = s * z + 1;
  return (tap & 1 ? -s : s) / d;
}

/** The sum of the weights of all taps. */
export function sumOfWeights(kind: i32, place: f32, span: f32): f32 {
  if (kind == AREA) return span;
  if (kind <= CUBIC) return 1;
  const first = <i32>firstTap(kind, place, span);
  let sum: f32 = 0;
  for (let k = 0; k < 8; k++) sum += tapWeight(kind, first + k, place, span);
  return sum;
}
