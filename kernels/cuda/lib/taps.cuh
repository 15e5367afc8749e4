// The pixels along an axis that a place between pixels is told from, and their weights: `interpolations` of src/ops/warp-affine.ts by number.
#pragma once
#include "lib/fovea.cuh"

enum Interpolation : i32 { NEAREST, BILINEAR, CUBIC, AREA, LANCZOS4 };

/** A map's interpolation: areas are those of images that shrink along their axes; what is no number of one counts as bilinear. */
DEVICE i32 interpolationOf(const Span<const float> &m, i64 at) {
  const float asked = m[at + 6];
  if (!(asked >= 0.0f && asked <= 4.0f)) return BILINEAR;
  const i32 kind = static_cast<i32>(asked);
  const bool shrinks = m[at + 1] == 0.0f && m[at + 3] == 0.0f && fabsf(m[at]) >= 1.0f && fabsf(m[at + 4]) >= 1.0f;
  return kind == AREA && !shrinks ? BILINEAR : kind;
}

/** The taps of one axis, by another interpolation than the bilinear. `span`: pixels from one place to the next, of which areas are averaged. */
struct Taps1d {
  i32 kind;
  float place, span;

  DEVICE float first() const {
    switch (kind) {
      case NEAREST: return floorf(place + 0.5f);
      case CUBIC: return floorf(place) - 1.0f;
      case AREA: return floorf(place - span * 0.5f + 0.5f);
      default: return floorf(place) - 3.0f;
    }
  }
  /** The one after the last. */
  DEVICE float end() const {
    switch (kind) {
      case NEAREST: return floorf(place + 0.5f) + 1.0f;
      case CUBIC: return floorf(place) + 3.0f;
      case AREA: return floorf(place + span * 0.5f + 0.5f) + 1.0f;
      default: return floorf(place) + 5.0f;
    }
  }
  /** A tap's weight before it is divided by the sum of all. */
  DEVICE float weight(i32 tap) const {
    const float d = static_cast<float>(tap) - place, far = fabsf(d), half = span * 0.5f;
    switch (kind) {
      case NEAREST: return 1.0f;
      case CUBIC: return far <= 1.0f ? (1.25f * far - 2.25f) * far * far + 1.0f : ((-0.75f * far + 3.75f) * far - 6.0f) * far + 3.0f;
      case AREA: return fmaxf(0.0f, fminf(half, d + 0.5f) - fmaxf(-half, d - 0.5f));
      default: return lanczos(tap, d);
    }
  }
  /** The sum of the weights of all taps. */
  DEVICE float sum() const {
    if (kind != LANCZOS4) return kind == AREA ? span : 1.0f;
    float total = 0.0f;
    const i32 from = static_cast<i32>(first());
    for (i32 k = 0; k < 8; k++) total += weight(from + k);
    return total;
  }

private:
  /** sinc(d) sinc(d / 4) without the sine of pi d, which but for its sign is that of all taps. At a pixel itself this one outweighs the others. */
  static DEVICE float lanczos(i32 tap, float d) {
    const float z = d * d * 0.61685027506808491f;
    float s = 2.8114572543455206e-15f;
    s = s * z - 7.6471637318198164e-13f;
    s = s * z + 1.6059043836821613e-10f;
    s = s * z - 2.505210838544172e-8f;
    s = s * z + 2.7557319223985893e-6f;
    s = s * z - 0.00019841269841269841f;
    s = s * z + 0.0083333333333333332f;
    s = s * z - 0.16666666666666666f;
    s = s * z + 1.0f;
    return (tap % 2 != 0 ? -s : s) / (fabsf(d) < 1e-9f ? 1e-9f : d);
  }
};
