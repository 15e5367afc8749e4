// y[n,i,j] = x[n] at column u = m0 j + m1 i + m2 and row v = m3 j + m4 i + m5, of four pixels by bilinear weights, or as m6 says, where there is
// one (src/ops/warp-affine.ts); `fill` outside.
// Workgroup 64, one pixel a thread; grid ceil(pixels / 64) folded into x and y.

struct Uniforms {
  pixels: u32, height: u32, width: u32, channels: u32, xOffset: u32, xStride: u32, mOffset: u32, mStride: u32, mLength: u32, yOffset: u32,
  yStride: u32, fill: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const NEAREST = 0;
const BILINEAR = 1;
const CUBIC = 2;
const AREA = 3;

/** Areas are those of images that shrink along their axes; what is no number of an interpolation counts as bilinear. */
fn interpolationOf(at: u32) -> i32 {
  if (u.mLength < 7u) { return BILINEAR; }
  let asked = m[at + 6u];
  if (!(asked >= 0.0 && asked <= 4.0)) { return BILINEAR; }
  let kind = i32(asked);
  let shrinks = m[at + 1u] == 0.0 && m[at + 3u] == 0.0 && abs(m[at]) >= 1.0 && abs(m[at + 4u]) >= 1.0;
  return select(kind, BILINEAR, kind == AREA && !shrinks);
}

/** Of the taps along an axis the first, and the one after the last. `span`: pixels from one place to the next. */
fn tapsOf(kind: i32, place: f32, span: f32) -> vec2f {
  switch kind {
    case NEAREST: { return floor(place + 0.5) + vec2f(0.0, 1.0); }
    case CUBIC: { return floor(place) + vec2f(-1.0, 3.0); }
    case AREA: { return vec2f(floor(place - span * 0.5 + 0.5), floor(place + span * 0.5 + 0.5) + 1.0); }
    default: { return floor(place) + vec2f(-3.0, 5.0); }
  }
}

/** A tap's weight before it is divided by the sum of all. */
fn tapWeight(kind: i32, tap: i32, place: f32, span: f32) -> f32 {
  let d = f32(tap) - place;
  let far = abs(d);
  switch kind {
    case NEAREST: { return 1.0; }
    case CUBIC: {
      return select(((-0.75 * far + 3.75) * far - 6.0) * far + 3.0, (1.25 * far - 2.25) * far * far + 1.0, far <= 1.0);
    }
    case AREA: { return max(0.0, min(span * 0.5, d + 0.5) - max(-span * 0.5, d - 0.5)); }
    default: {
      // sinc(d) sinc(d / 4) without the sine of pi d, which but for its sign is that of all taps. At a pixel itself this one outweighs the others.
      // A polynomial: the language's own sine may be off by 2^-11.
      let z = d * d * 0.61685027506808491;
      var s = 2.8114572543455206e-15 * z - 7.6471637318198164e-13;
      s = s * z + 1.6059043836821613e-10;
      s = s * z - 2.505210838544172e-8;
      s = s * z + 2.7557319223985893e-6;
      s = s * z - 0.00019841269841269841;
      s = s * z + 0.0083333333333333332;
      s = s * z - 0.16666666666666666;
      s = s * z + 1.0;
      return select(s, -s, (tap & 1) == 1) / select(d, 1e-9, far < 1e-9);
    }
  }
}

/** The sum of the weights of all taps. */
fn sumOfWeights(kind: i32, place: f32, span: f32) -> f32 {
  if (kind == AREA) { return span; }
  if (kind <= CUBIC) { return 1.0; }
  var sum = 0.0;
  let first = i32(floor(place)) - 3;
  for (var k = 0; k < 8; k++) { sum += tapWeight(kind, first + k, place, span); }
  return sum;
}

fn corner(image: u32, row: i32, column: i32, c: u32) -> f32 {
  if (row < 0 || column < 0 || row >= i32(u.height) || column >= i32(u.width)) { return u.fill; }
  return x[u.xOffset + ((image * u.height + u32(row)) * u.width + u32(column)) * u.xStride + c];
}

fn bilinear(image: u32, place: vec2f, to: u32) {
  let corners = floor(place);
  let near = corners.x >= -1.0 && corners.x < f32(u.width) && corners.y >= -1.0 && corners.y < f32(u.height);
  let part = place - corners;
  for (var c = 0u; c < u.channels; c++) {
    var value = u.fill;
    if (near) {
      let r = i32(corners.y);
      let l = i32(corners.x);
      let upper = (1.0 - part.x) * corner(image, r, l, c) + part.x * corner(image, r, l + 1, c);
      let lower = (1.0 - part.x) * corner(image, r + 1, l, c) + part.x * corner(image, r + 1, l + 1, c);
      value = (1.0 - part.y) * upper + part.y * lower;
    }
    y[to + c] = value;
  }
}

/** Told as `fill`, plus by how much the taps within the image differ from it. */
fn interpolate(kind: i32, image: u32, place: vec2f, span: vec2f, to: u32) {
  for (var c = 0u; c < u.channels; c++) { y[to + c] = u.fill; }
  // Also false for what is no number, and for places that are beyond integers.
  if (!(abs(place.x) < 1e9 && abs(place.y) < 1e9)) { return; }
  let across = clamp(tapsOf(kind, place.x, span.x), vec2f(0.0), vec2f(f32(u.width)));
  let down = clamp(tapsOf(kind, place.y, span.y), vec2f(0.0), vec2f(f32(u.height)));
  let whole = vec2f(sumOfWeights(kind, place.x, span.x), sumOfWeights(kind, place.y, span.y));
  for (var row = i32(down.x); row < i32(down.y); row++) {
    let ofRow = tapWeight(kind, row, place.y, span.y) / whole.y;
    for (var column = i32(across.x); column < i32(across.y); column++) {
      let weight = ofRow * (tapWeight(kind, column, place.x, span.x) / whole.x);
      let source = u.xOffset + ((image * u.height + u32(row)) * u.width + u32(column)) * u.xStride;
      for (var c = 0u; c < u.channels; c++) { y[to + c] += weight * (x[source + c] - u.fill); }
    }
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pixel = (group.y * groups.x + group.x) * 64u + lane;
  if (pixel >= u.pixels) { return; }
  let line = pixel / u.width;
  let image = line / u.height;
  let i = f32(line - image * u.height);
  let j = f32(pixel - line * u.width);
  let at = u.mOffset + image * u.mStride;
  let place = vec2f(m[at] * j + (m[at + 1u] * i + m[at + 2u]), m[at + 3u] * j + (m[at + 4u] * i + m[at + 5u]));
  let to = u.yOffset + pixel * u.yStride;
  let kind = interpolationOf(at);
  if (kind == BILINEAR) {
    bilinear(image, place, to);
  } else {
    interpolate(kind, image, place, vec2f(abs(m[at]), abs(m[at + 4u])), to);
  }
}
