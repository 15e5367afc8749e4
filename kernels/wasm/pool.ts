/**
 * Pooling of NHWC images. The forward kernels take runs of output pixels, four channels at a time. The gradient of max pooling takes
 * an image by a block of channels, so that one tile owns every element it adds to: for each window in turn, dy goes to the first
 * element, in row-major order, that equals the maximum. That of average pooling gathers: each input pixel sums what its windows give.
 *
 * Arguments: 0 x, 1 y, 2 (max gradient: dy), 3 (gradients: dx), 4 images, 5 H, 6 W, 7 P, 8 Q, 9 C, 10 size h, 11 w, 12 stride h, 13 w,
 * 14 top, 15 bottom, 16 left, 17 right, 18 x's, 19 y's, 20 dy's, 21 dx's stride (bytes), 22 pixels (or channels) a tile, 23 tiles of
 * channels, 24 whether padding counts.
 */
import { addr, int, max32, min32 } from './lib/simd';

// @ts-ignore: decorator
@inline
function at(base: usize, index: i32, stride: usize): usize {
  return base + (<usize>index) * stride;
}

export function maxPool(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const xStride = addr(args, 18), yStride = addr(args, 19);
  const first = tile * int(args, 22), last = min32(first + int(args, 22), int(args, 4) * p * q);
  const bytes = (<usize>c) << 2, wide = bytes & ~15;
  for (let m = first; m < last; m++) {
    const image = m / (p * q);
    const pixel = m - image * (p * q);
    const oh = pixel / q, ow = pixel - oh * q;
    const h0 = oh * int(args, 12) - int(args, 14), w0 = ow * int(args, 13) - int(args, 16);
    const h1 = min32(h0 + int(args, 10), h), w1 = min32(w0 + int(args, 11), w);
    const hs = max32(h0, 0), ws = max32(w0, 0);
    const y = at(addr(args, 1), m, yStride);
    const corner = at(addr(args, 0), (image * h + hs) * w + ws, xStride);
    const line = (<usize>w) * xStride;
    let i: usize = 0;
    for (; i < wide; i += 16) {
      let best = f32x4.splat(-Infinity), row = corner + i;
      for (let ih = hs; ih < h1; ih++, row += line) {
        let from = row;
        for (let iw = ws; iw < w1; iw++, from += xStride) best = f32x4.max(best, v128.load(from));
      }
      v128.store(y + i, best);
    }
    for (; i < bytes; i += 4) {
      let best: f32 = -Infinity, row = corner + i;
      for (let ih = hs; ih < h1; ih++, row += line) {
        let from = row;
        for (let iw = ws; iw < w1; iw++, from += xStride) best = max<f32>(best, load<f32>(from));
      }
      store<f32>(y + i, best);
    }
  }
}

export function maxPoolGrad(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const xStride = addr(args, 18), yStride = addr(args, 19), dyStride = addr(args, 20), dxStride = addr(args, 21);
  const blocks = int(args, 23);
  const image = tile / blocks;
  const c0 = (tile - image * blocks) * int(args, 22);
  const start = (<usize>c0) << 2, end = (<usize>min32(c0 + int(args, 22), c)) << 2;
  const x = at(addr(args, 0), image * h * w, xStride), dx = at(addr(args, 3), image * h * w, dxStride);
  const y = at(addr(args, 1), image * p * q, yStride), dy = at(addr(args, 2), image * p * q, dyStride);
  const strideH = int(args, 12), strideW = int(args, 13), sizeH = int(args, 10), sizeW = int(args, 11);
  const line = (<usize>w) * xStride, dxLine = (<usize>w) * dxStride;
  let zeroed = 0;
  // one more row of windows than there are, for the rows of x below the last
  for (let oh = 0; oh <= p; oh++) {
    const h0 = oh * strideH - int(args, 14);
    const hs = max32(h0, 0), h1 = oh == p ? h : min32(h0 + sizeH, h);
    // rows are zeroed just before the first window that reaches them, and stay near
    for (let i = zeroed * w; i < h1 * w; i++) {
      let to = at(dx, i, dxStride) + start;
      const stop = at(dx, i, dxStride) + end;
      for (; to + 16 <= stop; to += 16) v128.store(to, f32x4.splat(0));
      for (; to < stop; to += 4) store<f32>(to, 0);
    }
    zeroed = max32(zeroed, h1);
    if (oh == p) break;
    for (let ow = 0; ow < q; ow++) {
      const w0 = ow * strideW - int(args, 16);
      const ws = max32(w0, 0), w1 = min32(w0 + sizeW, w);
      const o = oh * q + ow;
      const yAt = at(y, o, yStride), dyAt = at(dy, o, dyStride);
      const corner = at(x, hs * w + ws, xStride), dxCorner = at(dx, hs * w + ws, dxStride);
      let i = start;
      for (; i + 16 <= end; i += 16) {
        const best = v128.load(yAt + i), g = v128.load(dyAt + i);
        let open = i32x4.splat(-1);
        let row = corner + i, dxRow = dxCorner + i;
        for (let ih = hs; ih < h1; ih++, row += line, dxRow += dxLine) {
          let from = row, to = dxRow;
          for (let iw = ws; iw < w1; iw++, from += xStride, to += dxStride) {
            const here = v128.and(open, f32x4.eq(v128.load(from), best));
            v128.store(to, f32x4.add(v128.load(to), v128.and(here, g)));
            open = v128.andnot(open, here);
          }
        }
      }
      for (; i < end; i += 4) {
        const best = load<f32>(at(y, o, yStride) + i);
        let open = true;
        for (let ih = hs; ih < h1 && open; ih++) {
          for (let iw = ws; iw < w1; iw++) {
            if (load<f32>(at(x, ih * w + iw, xStride) + i) != best) continue;
            const to = at(dx, ih * w + iw, dxStride) + i;
            store<f32>(to, load<f32>(to) + load<f32>(at(dy, o, dyStride) + i));
            open = false;
            break;
          }
        }
      }
    }
  }
}

/** One over the places, or the elements, of a window. */
function inverseCount(args: usize, oh: i32, ow: i32): f32 {
  const h0 = oh * int(args, 12) - int(args, 14), w0 = ow * int(args, 13) - int(args, 16);
  if (int(args, 24)) {
    const h1 = min32(h0 + int(args, 10), int(args, 5) + int(args, 15)), w1 = min32(w0 + int(args, 11), int(args, 6) + int(args, 17));
    return <f32>1 / <f32>((h1 - h0) * (w1 - w0));
  }
  const h1 = min32(h0 + int(args, 10), int(args, 5)), w1 = min32(w0 + int(args, 11), int(args, 6));
  return <f32>1 / <f32>((h1 - max32(h0, 0)) * (w1 - max32(w0, 0)));
}

export function avgPool(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const xStride = addr(args, 18), yStride = addr(args, 19);
  const first = tile * int(args, 22), last = min32(first + int(args, 22), int(args, 4) * p * q);
  const bytes = (<usize>c) << 2, wide = bytes & ~15;
  for (let m = first; m < last; m++) {
    const image = m / (p * q);
    const pixel = m - image * (p * q);
    const oh = pixel / q, ow = pixel - oh * q;
    const h0 = oh * int(args, 12) - int(args, 14), w0 = ow * int(args, 13) - int(args, 16);
    const h1 = min32(h0 + int(args, 10), h), w1 = min32(w0 + int(args, 11), w);
    const hs = max32(h0, 0), ws = max32(w0, 0);
    const y = at(addr(args, 1), m, yStride);
    const corner = at(addr(args, 0), (image * h + hs) * w + ws, xStride);
    const line = (<usize>w) * xStride;
    const factor = inverseCount(args, oh, ow);
    let i: usize = 0;
    for (; i < wide; i += 16) {
      let total = f32x4.splat(0), row = corner + i;
      for (let ih = hs; ih < h1; ih++, row += line) {
        let from = row;
        for (let iw = ws; iw < w1; iw++, from += xStride) total = f32x4.add(total, v128.load(from));
      }
      v128.store(y + i, f32x4.mul(total, f32x4.splat(factor)));
    }
    for (; i < bytes; i += 4) {
      let total: f32 = 0, row = corner + i;
      for (let ih = hs; ih < h1; ih++, row += line) {
        let from = row;
        for (let iw = ws; iw < w1; iw++, from += xStride) total += load<f32>(from);
      }
      store<f32>(y + i, total * factor);
    }
  }
}

/** First window that reaches position `i` (padding included). */
// @ts-ignore: decorator
@inline
function firstWindow(i: i32, size: i32, stride: i32): i32 {
  return i < size ? 0 : (i - size) / stride + 1;
}

/** x and y are not read; dy and dx are words 2 and 3. */
export function avgPoolGrad(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const dyStride = addr(args, 20), dxStride = addr(args, 21);
  const first = tile * int(args, 22), last = min32(first + int(args, 22), int(args, 4) * h * w);
  const bytes = (<usize>c) << 2, wide = bytes & ~15;
  for (let m = first; m < last; m++) {
    const image = m / (h * w);
    const pixel = m - image * (h * w);
    const ih = pixel / w + int(args, 14), iw = pixel % w + int(args, 16);
    const oh0 = firstWindow(ih, int(args, 10), int(args, 12)), oh1 = min32(ih / int(args, 12) + 1, p);
    const ow0 = firstWindow(iw, int(args, 11), int(args, 13)), ow1 = min32(iw / int(args, 13) + 1, q);
    const dx = at(addr(args, 3), m, dxStride);
    let i: usize = 0;
    for (; i < wide; i += 16) v128.store(dx + i, f32x4.splat(0));
    for (; i < bytes; i += 4) store<f32>(dx + i, 0);
    for (let oh = oh0; oh < oh1; oh++) {
      for (let ow = ow0; ow < ow1; ow++) {
        const factor = inverseCount(args, oh, ow);
        const dy = at(addr(args, 2), (image * p + oh) * q + ow, dyStride);
        const f = f32x4.splat(factor);
        for (i = 0; i < wide; i += 16) v128.store(dx + i, f32x4.add(v128.load(dx + i), f32x4.mul(v128.load(dy + i), f)));
        for (; i < bytes; i += 4) store<f32>(dx + i, load<f32>(dx + i) + load<f32>(dy + i) * factor);
      }
    }
  }
}
