/**
 * Depthwise convolution of NHWC images with filters [R,S,C], and its gradients. Channels are independent, so all three
 * walk them four at a time and then one by one. Forward and input gradient gather: a tile is a run of output (input)
 * pixels. In the filter gradient a tile is a tap by a run of rows of dy; runs write partial sums, which `sumPartials` adds
 * in order.
 *
 * Arguments: 0 x (or dx), 1 filter (or its gradient, or partial sums), 2 y (or dy), 3 bias or 0, 4 images, 5 H, 6 W, 7 C,
 * 8 P, 9 Q, 10 R, 11 S, 12 stride h, 13 w, 14 top, 15 left, 16 dilation h, 17 w, 18 x's, 19 filter's, 20 y's stride
 * (bytes), 21 pixels a tile or rows a run, 22 bytes of a run's partial sums.
 */
import { addr, int, madd, max32, min32 } from './lib/simd';

// @ts-ignore: decorator
@inline
function at(base: usize, index: i32, stride: usize): usize {
  return base + (<usize>index) * stride;
}

export function depthwise(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 8), q = int(args, 9), r = int(args, 10), s = int(args, 11);
  const dh = int(args, 16), dw = int(args, 17);
  const xStride = addr(args, 18), fStride = addr(args, 19);
  const f = addr(args, 1), bias = addr(args, 3);
  const bytes = addr(args, 7) << 2, wide = bytes & ~15;
  const first = tile * int(args, 21), last = min32(first + int(args, 21), int(args, 4) * p * q);
  for (let m = first; m < last; m++) {
    const line = m / q;
    const image = line / p;
    const h0 = (line - image * p) * int(args, 12) - int(args, 14), w0 = (m - line * q) * int(args, 13) - int(args, 15);
    const x = at(addr(args, 0), image * h * w, xStride);
    const y = at(addr(args, 2), m, addr(args, 20));
    let i: usize = 0;
    for (; i < wide; i += 16) {
      let sum = bias ? v128.load(bias + i) : f32x4.splat(0);
      for (let rr = 0; rr < r; rr++) {
        const ih = h0 + rr * dh;
        if (ih < 0 || ih >= h) continue;
        for (let ss = 0; ss < s; ss++) {
          const iw = w0 + ss * dw;
          if (iw < 0 || iw >= w) continue;
          sum = madd(v128.load(at(x, ih * w + iw, xStride) + i), v128.load(at(f, rr * s + ss, fStride) + i), sum);
        }
      }
      v128.store(y + i, sum);
    }
    for (; i < bytes; i += 4) {
      let sum: f32 = bias ? load<f32>(bias + i) : 0;
      for (let rr = 0; rr < r; rr++) {
        const ih = h0 + rr * dh;
        if (ih < 0 || ih >= h) continue;
        for (let ss = 0; ss < s; ss++) {
          const iw = w0 + ss * dw;
          if (iw < 0 || iw >= w) continue;
          sum += load<f32>(at(x, ih * w + iw, xStride) + i) * load<f32>(at(f, rr * s + ss, fStride) + i);
        }
      }
      store<f32>(y + i, sum);
    }
  }
}

/** Window that sees padded position `i` through a tap at `offset`, or -1. */
// @ts-ignore: decorator
@inline
function windowOf(i: i32, offset: i32, stride: i32, windows: i32): i32 {
  const start = i - offset;
  if (start < 0) return -1;
  const o = start / stride;
  return o * stride == start && o < windows ? o : -1;
}

export function depthwiseInputGrad(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 8), q = int(args, 9), r = int(args, 10), s = int(args, 11);
  const strideH = int(args, 12), strideW = int(args, 13), dh = int(args, 16), dw = int(args, 17);
  const f = addr(args, 1), fStride = addr(args, 19), yStride = addr(args, 20);
  const bytes = addr(args, 7) << 2, wide = bytes & ~15;
  const first = tile * int(args, 21), last = min32(first + int(args, 21), int(args, 4) * h * w);
  for (let m = first; m < last; m++) {
    const line = m / w;
    const image = line / h;
    const ph = line - image * h + int(args, 14), pw = m - line * w + int(args, 15);
    const dy = at(addr(args, 2), image * p * q, yStride);
    const dx = at(addr(args, 0), m, addr(args, 18));
    let i: usize = 0;
    for (; i < wide; i += 16) {
      let sum = f32x4.splat(0);
      for (let rr = 0; rr < r; rr++) {
        const oh = windowOf(ph, rr * dh, strideH, p);
        if (oh < 0) continue;
        for (let ss = 0; ss < s; ss++) {
          const ow = windowOf(pw, ss * dw, strideW, q);
          if (ow < 0) continue;
          sum = madd(v128.load(at(dy, oh * q + ow, yStride) + i), v128.load(at(f, rr * s + ss, fStride) + i), sum);
        }
      }
      v128.store(dx + i, sum);
    }
    for (; i < bytes; i += 4) {
      let sum: f32 = 0;
      for (let rr = 0; rr < r; rr++) {
        const oh = windowOf(ph, rr * dh, strideH, p);
        if (oh < 0) continue;
        for (let ss = 0; ss < s; ss++) {
          const ow = windowOf(pw, ss * dw, strideW, q);
          if (ow < 0) continue;
          sum += load<f32>(at(dy, oh * q + ow, yStride) + i) * load<f32>(at(f, rr * s + ss, fStride) + i);
        }
      }
      store<f32>(dx + i, sum);
    }
  }
}

/** First window whose place `offset` behind its start is at `from` or later. */
// @ts-ignore: decorator
@inline
function windowFrom(from: i32, offset: i32, stride: i32): i32 {
  return from <= offset ? 0 : (from - offset + stride - 1) / stride;
}

export function depthwiseFilterGrad(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 8), q = int(args, 9), s = int(args, 11);
  const strideH = int(args, 12), strideW = int(args, 13), top = int(args, 14), left = int(args, 15);
  const xStride = addr(args, 18), yStride = addr(args, 20);
  const taps = int(args, 10) * s;
  const run = tile / taps;
  const tap = tile - run * taps;
  const rr = tap / s;
  const down = rr * int(args, 16), right = (tap - rr * s) * int(args, 17);
  const first = run * int(args, 21), last = min32(first + int(args, 21), int(args, 4) * p);
  // columns of dy whose pixel of x lies in the image
  const ow0 = windowFrom(left, right, strideW), ow1 = min32(q, windowFrom(w + left, right, strideW));
  const count = max32(ow1 - ow0, 0);
  const xStep = (<usize>strideW) * xStride;
  const out = at(addr(args, 1), tap, addr(args, 19)) + (<usize>run) * addr(args, 22);
  const bytes = addr(args, 7) << 2, wide = bytes & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    let total = f32x4.splat(0);
    for (let m = first; m < last; m++) {
      const image = m / p;
      const ih = (m - image * p) * strideH + down - top;
      if (ih < 0 || ih >= h) continue;
      let x = at(addr(args, 0), (image * h + ih) * w + ow0 * strideW + right - left, xStride) + i;
      let dy = at(addr(args, 2), m * q + ow0, yStride) + i;
      let sum = f32x4.splat(0);
      for (let n = 0; n < count; n++, x += xStep, dy += yStride) sum = madd(v128.load(x), v128.load(dy), sum);
      total = f32x4.add(total, sum);
    }
    v128.store(out + i, total);
  }
  for (; i < bytes; i += 4) {
    let total: f32 = 0;
    for (let m = first; m < last; m++) {
      const image = m / p;
      const ih = (m - image * p) * strideH + down - top;
      if (ih < 0 || ih >= h) continue;
      let x = at(addr(args, 0), (image * h + ih) * w + ow0 * strideW + right - left, xStride) + i;
      let dy = at(addr(args, 2), m * q + ow0, yStride) + i;
      let sum: f32 = 0;
      for (let n = 0; n < count; n++, x += xStep, dy += yStride) sum += load<f32>(x) * load<f32>(dy);
      total += sum;
    }
    store<f32>(out + i, total);
  }
}
