/** Kernels on images: resampling under an affine map, and a move in hue, lightness and saturation. A tile is a run of lines or pixels. */
import { addr, float, int, min32 } from './lib/simd';
import { BILINEAR, endOfTaps, firstTap, interpolationOf, sumOfWeights, tapWeight } from './lib/taps';

// @ts-ignore: decorator
@inline
function clamp(v: f32, high: f32): f32 {
  return min<f32>(max<f32>(v, 0), high);
}

/** The element at (row, column) of an image, or `fill` outside of it. */
// @ts-ignore: decorator
@inline
function corner(image: usize, row: i32, column: i32, height: i32, width: i32, stride: usize, at: usize, fill: f32): f32 {
  if (<u32>row >= <u32>height || <u32>column >= <u32>width) return fill;
  return load<f32>(image + (<usize>(row * width + column)) * stride + at);
}

/** What is told of a pixel: `fill`, plus by how much the taps within the image differ from it. `weights`: room for one a column. */
function interpolate(args: usize, kind: i32, image: usize, u: f32, uSpan: f32, v: f32, vSpan: f32, y: usize, weights: usize): void {
  const width = int(args, 5), channels = int(args, 6), stride = addr(args, 7), fill = float(args, 10);
  for (let c = 0; c < channels; c++) store<f32>(y + ((<usize>c) << 2), fill);
  const left = max<f32>(0, firstTap(kind, u, uSpan)), right = min<f32>(<f32>width, endOfTaps(kind, u, uSpan));
  const top = max<f32>(0, firstTap(kind, v, vSpan)), bottom = min<f32>(<f32>int(args, 4), endOfTaps(kind, v, vSpan));
  // also false for what is no number
  if (!(left < right && top < bottom)) return;
  const across = sumOfWeights(kind, u, uSpan), down = sumOfWeights(kind, v, vSpan);
  for (let column = <i32>left; column < <i32>right; column++) store<f32>(weights + ((<usize>column) << 2), tapWeight(kind, column, u, uSpan) / across);
  for (let row = <i32>top; row < <i32>bottom; row++) {
    const ofRow = tapWeight(kind, row, v, vSpan) / down;
    for (let column = <i32>left; column < <i32>right; column++) {
      const weight = ofRow * load<f32>(weights + ((<usize>column) << 2));
      const x = image + (<usize>(row * width + column)) * stride;
      for (let c = 0; c < channels; c++) {
        const at = (<usize>c) << 2;
        store<f32>(y + at, load<f32>(y + at) + weight * (load<f32>(x + at) - fill));
      }
    }
  }
}

/**
 * y[i][j] = x at column u = m0 j + m1 i + m2 and row v = m3 j + m4 i + m5, of four pixels by bilinear weights, or as m6 says, where there
 * is one; `fill` outside.
 * Arguments: 0 x, 1 matrix, 2 y, 3 lines, 4 height, 5 width, 6 channels, 7 x's, 8 matrix', 9 y's stride (bytes), 10 fill, 11 lines a tile,
 * 12 numbers of a map.
 */
export function warpAffine(args: usize, tile: i32, scratch: usize): void {
  const height = int(args, 4), width = int(args, 5), channels = int(args, 6);
  const xStride = addr(args, 7), yStride = addr(args, 9), fill = float(args, 10);
  const first = tile * int(args, 11), last = min32(first + int(args, 11), int(args, 3));
  for (let line = first; line < last; line++) {
    const n = line / height;
    const i = <f32>(line - n * height);
    const m = addr(args, 1) + (<usize>n) * addr(args, 8);
    const image = addr(args, 0) + (<usize>(n * height * width)) * xStride;
    const uLine = load<f32>(m, 4) * i + load<f32>(m, 8), vLine = load<f32>(m, 16) * i + load<f32>(m, 20);
    let y = addr(args, 2) + (<usize>(line * width)) * yStride;
    const kind = int(args, 12) > 6 ? interpolationOf(m) : BILINEAR;
    for (let j = 0; j < width; j++, y += yStride) {
      const u = load<f32>(m) * <f32>j + uLine, v = load<f32>(m, 12) * <f32>j + vLine;
      if (kind != BILINEAR) {
        interpolate(args, kind, image, u, abs(load<f32>(m)), v, abs(load<f32>(m, 16)), y, scratch);
        continue;
      }
      const left = floor(u), top = floor(v);
      // also false for what is no number
      const near = left >= -1 && left < <f32>width && top >= -1 && top < <f32>height;
      if (!near) {
        for (let c = 0; c < channels; c++) store<f32>(y + ((<usize>c) << 2), fill);
        continue;
      }
      const a = u - left, b = v - top, one: f32 = 1;
      const row = <i32>top, column = <i32>left;
      for (let c = 0; c < channels; c++) {
        const at = (<usize>c) << 2;
        const upper = (one - a) * corner(image, row, column, height, width, xStride, at, fill)
          + a * corner(image, row, column + 1, height, width, xStride, at, fill);
        const lower = (one - a) * corner(image, row + 1, column, height, width, xStride, at, fill)
          + a * corner(image, row + 1, column + 1, height, width, xStride, at, fill);
        store<f32>(y + at, (one - b) * upper + b * lower);
      }
    }
  }
}

/** 255 (l - a max(-1, min(k - 3, 9 - k, 1))), k = n + h / 30 modulo 12: a channel of a colour given by hue (CSS Color 4, 7.1). */
// @ts-ignore: decorator
@inline
function channelOf(n: f32, h: f32, l: f32, a: f32): f32 {
  let k = n + h / 30;
  if (k >= 12) k -= 12;
  return 255 * (l - a * max<f32>(-1, min<f32>(min<f32>(k - 3, 9 - k), 1)));
}

/**
 * Red, green, blue of 0 to 255, moved in hue (degrees), lightness and saturation (255ths), each cut to its range.
 * Arguments: 0 x, 1 shift, 2 y, 3 pixels, 4 pixels an image, 5 x's, 6 shift's, 7 y's stride (bytes), 8 pixels a tile.
 */
export function shiftHls(args: usize, tile: i32, scratch: usize): void {
  const first = tile * int(args, 8), last = min32(first + int(args, 8), int(args, 3));
  for (let pixel = first; pixel < last; pixel++) {
    const x = addr(args, 0) + (<usize>pixel) * addr(args, 5);
    const y = addr(args, 2) + (<usize>pixel) * addr(args, 7);
    const shift = addr(args, 1) + (<usize>(pixel / int(args, 4))) * addr(args, 6);
    const r = clamp(load<f32>(x), 255), g = clamp(load<f32>(x, 4), 255), b = clamp(load<f32>(x, 8), 255);
    const most = max<f32>(r, max<f32>(g, b)), least = min<f32>(r, min<f32>(g, b));
    const span = most - least, sum = most + least;
    let h: f32 = 0, s: f32 = 0;
    if (span > 0) {
      h = most == r ? 60 * (g - b) / span : most == g ? 120 + 60 * (b - r) / span : 240 + 60 * (r - g) / span;
      if (h < 0) h += 360;
      s = span / (sum < 255 ? sum : 510 - sum);
    }
    h = clamp(h + load<f32>(shift), 360);
    const l = clamp(sum / 510 + load<f32>(shift, 4) / 255, 1);
    const a = clamp(s + load<f32>(shift, 8) / 255, 1) * min<f32>(l, 1 - l);
    store<f32>(y, channelOf(0, h, l, a));
    store<f32>(y, channelOf(8, h, l, a), 4);
    store<f32>(y, channelOf(4, h, l, a), 8);
  }
}
