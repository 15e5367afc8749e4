/**
 * out[o] = f over r of x[o, r], f a sum, maximum or minimum, over any axes of a strided value.
 *
 * Two forms. Columns: the innermost axis is kept and lies contiguously, four outputs at a time. Rows: the innermost axis is reduced,
 * four running results that are joined at the end. Axes are given as (length, stride) pairs; long reductions are cut into parts,
 * whose results `reduceParts` joins in order. The number of parts follows from shapes.
 *
 * Arguments: 0 x, 1 out, 2 kind, 3 scale of sums, 4 inner length, 5 kept axes, 6 kept count, 7 reduced axes, 8 reduced count, 9 parts,
 * 10 reduced indices a part, 11 outputs (or kept indices) a tile, 12 tiles of outputs, 13 part stride of out (bytes), 14 inner
 * stride of x (bytes; 4 for columns), 15 inner elements a part (rows); 16.. kept axes (length, x stride, out stride), 28.. reduced
 * axes (length, x stride); at most four of each, outermost first.
 */
import { addr, float, int, max32, min32 } from './lib/simd';

const SUM: i32 = 0;
const MAX: i32 = 1;

// @ts-ignore: decorator
@inline
function join4(kind: i32, a: v128, b: v128): v128 {
  return kind == SUM ? f32x4.add(a, b) : kind == MAX ? f32x4.max(a, b) : f32x4.min(a, b);
}

// @ts-ignore: decorator
@inline
function join(kind: i32, a: f32, b: f32): f32 {
  return kind == SUM ? a + b : kind == MAX ? max<f32>(a, b) : min<f32>(a, b);
}

// @ts-ignore: decorator
@inline
function neutral(kind: i32): f32 {
  return kind == SUM ? 0 : kind == MAX ? -Infinity : Infinity;
}

/** Bytes from the start that index `i` of axes at `first` (of `words` words each) has, by the stride at word `which`. */
function offsetOf(args: usize, first: i32, axes: i32, words: i32, which: i32, i: i32): usize {
  let offset: i32 = 0;
  for (let d = axes - 1; d >= 0; d--) {
    const axis = args + ((<usize>(first + d * words)) << 2);
    const length = load<i32>(axis);
    const rest = i / length;
    offset += (i - rest * length) * load<i32>(axis + ((<usize>which) << 2));
    i = rest;
  }
  return <usize>offset;
}

export function reduceColumns(args: usize, tile: i32, scratch: usize): void {
  const kind = int(args, 2), scale = float(args, 3), inner = int(args, 4);
  const tiles = int(args, 12), kept = int(args, 6);
  const part = tile / (tiles * kept);
  const rest = tile - part * tiles * kept;
  const o = rest / tiles;
  const c0 = (rest - o * tiles) * int(args, 11), c1 = min32(c0 + int(args, 11), inner);
  const first = part * int(args, 10), last = min32(first + int(args, 10), int(args, 8));
  const axes = int(args, 7);
  const x = addr(args, 0) + offsetOf(args, 16, int(args, 5), 3, 1, o);
  const out = addr(args, 1) + offsetOf(args, 16, int(args, 5), 3, 2, o) + (<usize>part) * addr(args, 13);
  // the innermost reduced axis is walked by its stride, the others by offset
  const innermost = args + ((<usize>(28 + 2 * max32(axes - 1, 0))) << 2);
  const length = axes > 0 ? load<i32>(innermost) : 1;
  const step: usize = axes > 0 ? load<usize>(innermost, 4) : 0;
  let c = c0;
  for (; c + 4 <= c1; c += 4) {
    let a = f32x4.splat(neutral(kind));
    for (let r = first; r < last;) {
      const row = r / length;
      const to = min32(last, (row + 1) * length);
      let p = x + offsetOf(args, 28, axes - 1, 2, 1, row) + (<usize>(r - row * length)) * step + ((<usize>c) << 2);
      let block = f32x4.splat(neutral(kind));
      if (kind == SUM) {
        for (; r < to; r++, p += step) block = f32x4.add(block, v128.load(p));
      } else {
        for (; r < to; r++, p += step) block = join4(kind, block, v128.load(p));
      }
      a = join4(kind, a, block);
    }
    v128.store(out + ((<usize>c) << 2), kind == SUM ? f32x4.mul(a, f32x4.splat(scale)) : a);
  }
  for (; c < c1; c++) {
    let a = neutral(kind);
    for (let r = first; r < last;) {
      const row = r / length;
      const to = min32(last, (row + 1) * length);
      let p = x + offsetOf(args, 28, axes - 1, 2, 1, row) + (<usize>(r - row * length)) * step + ((<usize>c) << 2);
      let block = neutral(kind);
      for (; r < to; r++, p += step) block = join(kind, block, load<f32>(p));
      a = join(kind, a, block);
    }
    store<f32>(out + ((<usize>c) << 2), kind == SUM ? a * scale : a);
  }
}

/** One contiguous or strided run. */
function reduceRun(kind: i32, p: usize, step: usize, count: i32): f32 {
  let a = neutral(kind);
  let i = 0;
  if (step == 4 && count >= 8) {
    let v = f32x4.splat(neutral(kind));
    for (; i + 4 <= count; i += 4, p += 16) v = join4(kind, v, v128.load(p));
    a = join(kind,
      join(kind, f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), join(kind, f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
  }
  for (; i < count; i++, p += step) a = join(kind, a, load<f32>(p));
  return a;
}

/** Inner runs longer than this are summed piece by piece, which keeps rounding small. */
const PIECE: i32 = 1024;

export function reduceRows(args: usize, tile: i32, scratch: usize): void {
  const kind = int(args, 2), scale = float(args, 3), inner = int(args, 4);
  const tiles = int(args, 12);
  const part = tile / tiles;
  const o0 = (tile - part * tiles) * int(args, 11), o1 = min32(o0 + int(args, 11), int(args, 6));
  const reduced = int(args, 8);
  // parts cut the outer reduced axes where there are any, else the inner run
  const first = reduced > 1 ? part * int(args, 10) : 0;
  const last = reduced > 1 ? min32(first + int(args, 10), reduced) : 1;
  const from = reduced > 1 ? 0 : part * int(args, 15);
  const to = reduced > 1 ? inner : min32(from + int(args, 15), inner);
  const step = addr(args, 14);
  const axes = int(args, 7);
  for (let o = o0; o < o1; o++) {
    const x = addr(args, 0) + offsetOf(args, 16, int(args, 5), 3, 1, o);
    let a = neutral(kind);
    for (let r = first; r < last; r++) {
      const row = x + offsetOf(args, 28, axes, 2, 1, r);
      for (let i = from; i < to; i += PIECE) {
        a = join(kind, a, reduceRun(kind, row + (<usize>i) * step, step, min32(PIECE, to - i)));
      }
    }
    const out = addr(args, 1) + offsetOf(args, 16, int(args, 5), 3, 2, o) + (<usize>part) * addr(args, 13);
    store<f32>(out, kind == SUM ? a * scale : a);
  }
}

/**
 * out[row][i] = f over parts of parts[part][row][i]. Arguments: parts, out, kind, scale, count of parts, part stride (bytes), rows,
 * width, out's row stride (bytes), elements a tile.
 */
export function reduceParts(args: usize, tile: i32, scratch: usize): void {
  const kind = int(args, 2), count = int(args, 4), width = int(args, 7);
  const stride = addr(args, 5);
  const first = tile * int(args, 9), last = min32(first + int(args, 9), int(args, 6) * width);
  for (let e = first; e < last; e++) {
    let p = addr(args, 0) + ((<usize>e) << 2);
    let a = neutral(kind);
    for (let n = 0; n < count; n++, p += stride) a = join(kind, a, load<f32>(p));
    const row = e / width;
    store<f32>(addr(args, 1) + (<usize>row) * addr(args, 8) + ((<usize>(e - row * width)) << 2), kind == SUM ? a * float(args, 3) : a);
  }
}

/**
 * First index of the largest element along an axis. Arguments: x, out, outputs, length, axis stride of x, kept axes, outputs a tile;
 * 16.. kept axes as above.
 */
export function argMax(args: usize, tile: i32, scratch: usize): void {
  const length = int(args, 3), step = addr(args, 4), axes = int(args, 5);
  const first = tile * int(args, 6), last = min32(first + int(args, 6), int(args, 2));
  for (let o = first; o < last; o++) {
    let p = addr(args, 0) + offsetOf(args, 16, axes, 3, 1, o);
    let best = load<f32>(p), index = 0;
    for (let i = 1; i < length; i++) {
      p += step;
      const v = load<f32>(p);
      if (v > best) {
        best = v;
        index = i;
      }
    }
    store<i32>(addr(args, 1) + offsetOf(args, 16, axes, 3, 2, o), index);
  }
}
