/**
 * Pooling of NHWC images. The forward kernels take runs of output pixels, four channels at a time. The gradient of max pooling takes
 * an image by a block of channels, so that one tile owns every element it adds to: for each window in turn, dy goes to the first
 * element, in row-major order, that equals the maximum. The other gradients gather: each input pixel sums what its windows give, of
 * average pooling a part each, of max pooling with indices all or nothing.
 *
 * Arguments: 0 x, 1 y, 2 (max gradient: dy), 3 (gradients: dx), 4 images, 5 H, 6 W, 7 P, 8 Q, 9 C, 10 size h, 11 w, 12 stride h, 13 w,
 * 14 top, 15 bottom, 16 left, 17 right, 18 x's, 19 y's, 20 dy's, 21 dx's stride (bytes), 22 pixels (or channels) a tile, 23 tiles of
 * channels, 24 whether padding counts, 25 index (a byte an output: the place of the first maximum in its window, row-major and with
 * the padding; 255 where that is NaN), 26 its stride (bytes).
 */
import { addr, int, max32, min32, select4 } from './lib/simd';

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

/** 16 masks of four bytes as 16 of one. */
// @ts-ignore: decorator
@inline
function narrow(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** maxPool with indices. 16 channels at a time; the last 16 overlap those before them. */
export function maxPoolIndices(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const xStride = addr(args, 18), yStride = addr(args, 19), sizeW = int(args, 11);
  const first = tile * int(args, 22), last = min32(first + int(args, 22), int(args, 4) * p * q);
  for (let m = first; m < last; m++) {
    const image = m / (p * q);
    const pixel = m - image * (p * q);
    const oh = pixel / q, ow = pixel - oh * q;
    const h0 = oh * int(args, 12) - int(args, 14), w0 = ow * int(args, 13) - int(args, 16);
    const h1 = min32(h0 + int(args, 10), h), w1 = min32(w0 + sizeW, w);
    const hs = max32(h0, 0), ws = max32(w0, 0);
    const y = at(addr(args, 1), m, yStride), index = at(addr(args, 25), m, addr(args, 26));
    const corner = at(addr(args, 0), (image * h + hs) * w + ws, xStride);
    const line = (<usize>w) * xStride;
    const corner0 = (hs - h0) * sizeW + ws - w0;
    if (c < 16) {
      for (let k = 0; k < c; k++) {
        let row = at(corner, k, 4), best = load<f32>(row), found = corner0;
        for (let ih = hs, left = corner0; ih < h1; ih++, row += line, left += sizeW) {
          let from = row, place = left;
          for (let iw = ws; iw < w1; iw++, from += xStride, place++) {
            const v = load<f32>(from);
            if (v > best) found = place;
            best = max<f32>(best, v);
          }
        }
        store<f32>(at(y, k, 4), best);
        store<u8>(at(index, k, 1), best == best ? found : 255);
      }
      continue;
    }
    for (let k = 0; k < c; k += 16) {
      const from16 = min32(k, c - 16);
      let row = at(corner, from16, 4), found = i8x16.splat(<i8>corner0);
      let b0 = v128.load(row), b1 = v128.load(row, 16), b2 = v128.load(row, 32), b3 = v128.load(row, 48);
      for (let ih = hs, left = corner0; ih < h1; ih++, row += line, left += sizeW) {
        let from = row, place = left;
        for (let iw = ws; iw < w1; iw++, from += xStride, place++) {
          const v0 = v128.load(from), v1 = v128.load(from, 16), v2 = v128.load(from, 32), v3 = v128.load(from, 48);
          const larger = narrow(f32x4.gt(v0, b0), f32x4.gt(v1, b1), f32x4.gt(v2, b2), f32x4.gt(v3, b3));
          found = select4(i8x16.splat(<i8>place), found, larger);
          b0 = f32x4.max(b0, v0);
          b1 = f32x4.max(b1, v1);
          b2 = f32x4.max(b2, v2);
          b3 = f32x4.max(b3, v3);
        }
      }
      const to = at(y, from16, 4);
      v128.store(to, b0);
      v128.store(to, b1, 16);
      v128.store(to, b2, 32);
      v128.store(to, b3, 48);
      const none = narrow(f32x4.ne(b0, b0), f32x4.ne(b1, b1), f32x4.ne(b2, b2), f32x4.ne(b3, b3));
      v128.store(at(index, from16, 1), v128.or(found, none));
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

/** x and y are not read. 16 channels at a time; the last 16 overlap those before them. */
export function maxPoolIndexGrad(args: usize, tile: i32, scratch: usize): void {
  const h = int(args, 5), w = int(args, 6), p = int(args, 7), q = int(args, 8), c = int(args, 9);
  const dyStride = addr(args, 20), indexStride = addr(args, 26), sizeW = int(args, 11);
  const first = tile * int(args, 22), last = min32(first + int(args, 22), int(args, 4) * h * w);
  for (let m = first; m < last; m++) {
    const image = m / (h * w);
    const pixel = m - image * (h * w);
    const ih = pixel / w + int(args, 14), iw = pixel % w + int(args, 16);
    const oh0 = firstWindow(ih, int(args, 10), int(args, 12)), oh1 = min32(ih / int(args, 12) + 1, p);
    const ow0 = firstWindow(iw, sizeW, int(args, 13)), ow1 = min32(iw / int(args, 13) + 1, q);
    const dx = at(addr(args, 3), m, addr(args, 21));
    for (let k = 0; k < c; k += c < 16 ? 1 : 16) {
      const k0 = c < 16 ? k : min32(k, c - 16), to = at(dx, k0, 4);
      let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, single: f32 = 0;
      for (let oh = oh0; oh < oh1; oh++) {
        const row = (ih - oh * int(args, 12)) * sizeW + iw;
        for (let ow = ow0; ow < ow1; ow++) {
          const o = (image * p + oh) * q + ow, place = row - ow * int(args, 13);
          const dy = at(addr(args, 2), o, dyStride) + (<usize>k0 << 2), index = at(addr(args, 25), o, indexStride) + k0;
          if (c < 16) {
            if (load<u8>(index) == place) single += load<f32>(dy);
            continue;
          }
          const chosen = i8x16.eq(v128.load(index), i8x16.splat(<i8>place));
          const low = i16x8.extend_low_i8x16_s(chosen), high = i16x8.extend_high_i8x16_s(chosen);
          s0 = f32x4.add(s0, v128.and(v128.load(dy), i32x4.extend_low_i16x8_s(low)));
          s1 = f32x4.add(s1, v128.and(v128.load(dy, 16), i32x4.extend_high_i16x8_s(low)));
          s2 = f32x4.add(s2, v128.and(v128.load(dy, 32), i32x4.extend_low_i16x8_s(high)));
          s3 = f32x4.add(s3, v128.and(v128.load(dy, 48), i32x4.extend_high_i16x8_s(high)));
        }
      }
      if (c < 16) {
        store<f32>(to, single);
        continue;
      }
      v128.store(to, s0);
      v128.store(to, s1, 16);
      v128.store(to, s2, 32);
      v128.store(to, s3, 48);
    }
  }
}
