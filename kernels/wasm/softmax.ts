/**
 * Softmax over rows, p_i = e^(x_i - max) / sum_j e^(x_j - max), its logarithm, and weighted cross-entropy:
 * loss = -s sum_c w_c t_c log p_c, with its gradient dx_j = dloss s (p_j sum_c w_c t_c - w_j t_j). Three passes over a row; a tile
 * is a run of rows. Vectors are contiguous, [N] labels are one after another.
 */
import { exp4, log4 } from './lib/math';
import { addr, int, min32, sum4 } from './lib/simd';

/** Largest element of a row. */
function rowMax(x: usize, n: i32): f32 {
  let i = 0, m: f32 = -Infinity;
  if (n >= 4) {
    let v = v128.load(x);
    for (i = 4; i + 4 <= n; i += 4) v = f32x4.max(v, v128.load(x + ((<usize>i) << 2)));
    m = max<f32>(
      max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max<f32>(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
  }
  for (; i < n; i++) m = max<f32>(m, load<f32>(x + ((<usize>i) << 2)));
  return m;
}

/** Sum of e^(x - m), written to `to` element by element where it is given. */
function rowExp(x: usize, n: i32, m: f32, to: usize): f32 {
  const shift = f32x4.splat(m);
  let i = 0, total: f32 = 0;
  let sum = f32x4.splat(0);
  for (; i + 4 <= n; i += 4) {
    const at = (<usize>i) << 2;
    const e = exp4(f32x4.sub(v128.load(x + at), shift));
    if (to != 0) v128.store(to + at, e);
    sum = f32x4.add(sum, e);
  }
  total = sum4(sum);
  for (; i < n; i++) {
    const at = (<usize>i) << 2;
    const e = f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(x + at), shift)), 0);
    if (to != 0) store<f32>(to + at, e);
    total += e;
  }
  return total;
}

function rowScale(to: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(to + ((<usize>i) << 2), f32x4.mul(v128.load(to + ((<usize>i) << 2)), f));
  for (; i < n; i++) store<f32>(to + ((<usize>i) << 2), load<f32>(to + ((<usize>i) << 2)) * factor);
}

function logarithm(x: f32): f32 {
  return f32x4.extract_lane(log4(f32x4.splat(x)), 0);
}

/** Arguments: x, y, rows, channels, x stride, y stride (bytes), rows a tile. */
export function softmax(args: usize, tile: i32, scratch: usize): void {
  const n = int(args, 3), first = tile * int(args, 6), last = min32(first + int(args, 6), int(args, 2));
  for (let row = first; row < last; row++) {
    const x = addr(args, 0) + (<usize>row) * addr(args, 4), y = addr(args, 1) + (<usize>row) * addr(args, 5);
    const total = rowExp(x, n, rowMax(x, n), y);
    rowScale(y, n, <f32>1 / total);
  }
}

export function logSoftmax(args: usize, tile: i32, scratch: usize): void {
  const n = int(args, 3), first = tile * int(args, 6), last = min32(first + int(args, 6), int(args, 2));
  for (let row = first; row < last; row++) {
    const x = addr(args, 0) + (<usize>row) * addr(args, 4), y = addr(args, 1) + (<usize>row) * addr(args, 5);
    const m = rowMax(x, n);
    const log = logarithm(rowExp(x, n, m, 0));
    for (let i = 0; i < n; i++) store<f32>(y + ((<usize>i) << 2), (load<f32>(x + ((<usize>i) << 2)) - m) - log);
  }
}

/**
 * Arguments: 0 logits, 1 labels, 2 class weights, 3 sample weights, 4 losses, 5 p, 6 rows, 7 channels, 8 logits', 9 labels' (soft),
 * 10 p's stride (bytes), 11 soft labels, 12 whether a label is ignored, 13 which, 14 rows a tile.
 */
export function crossEntropy(args: usize, tile: i32, scratch: usize): void {
  const n = int(args, 7), first = tile * int(args, 14), last = min32(first + int(args, 14), int(args, 6));
  const labels = addr(args, 1), weights = addr(args, 2);
  for (let row = first; row < last; row++) {
    const x = addr(args, 0) + (<usize>row) * addr(args, 8), p = addr(args, 5) + (<usize>row) * addr(args, 10);
    const m = rowMax(x, n);
    const total = rowExp(x, n, m, p);
    const log = logarithm(total);
    rowScale(p, n, <f32>1 / total);
    let loss: f32 = 0;
    if (int(args, 11)) {
      const t = labels + (<usize>row) * addr(args, 9);
      for (let c = 0; c < n; c++) {
        const at = (<usize>c) << 2;
        const target = load<f32>(t + at);
        if (target != 0) loss -= load<f32>(weights + at) * target * ((load<f32>(x + at) - m) - log);
      }
    } else {
      const label = load<i32>(labels + ((<usize>row) << 2));
      if (<u32>label < <u32>n && !(int(args, 12) && label == int(args, 13))) {
        const at = (<usize>label) << 2;
        loss = -load<f32>(weights + at) * ((load<f32>(x + at) - m) - log);
      }
    }
    store<f32>(addr(args, 4) + ((<usize>row) << 2), loss * load<f32>(addr(args, 3) + ((<usize>row) << 2)));
  }
}

/** Arguments as above, with 0 dlosses, 4 dlogits (stride 8) and 5 p. */
export function crossEntropyGrad(args: usize, tile: i32, scratch: usize): void {
  const n = int(args, 7), first = tile * int(args, 14), last = min32(first + int(args, 14), int(args, 6));
  const labels = addr(args, 1), weights = addr(args, 2);
  for (let row = first; row < last; row++) {
    const dx = addr(args, 4) + (<usize>row) * addr(args, 8), p = addr(args, 5) + (<usize>row) * addr(args, 10);
    const g = load<f32>(addr(args, 0) + ((<usize>row) << 2)) * load<f32>(addr(args, 3) + ((<usize>row) << 2));
    if (int(args, 11)) {
      const t = labels + (<usize>row) * addr(args, 9);
      let total: f32 = 0;
      for (let c = 0; c < n; c++) total += load<f32>(weights + ((<usize>c) << 2)) * load<f32>(t + ((<usize>c) << 2));
      for (let c = 0; c < n; c++) {
        const at = (<usize>c) << 2;
        store<f32>(dx + at, g * (load<f32>(p + at) * total - load<f32>(weights + at) * load<f32>(t + at)));
      }
      continue;
    }
    const label = load<i32>(labels + ((<usize>row) << 2));
    const counted = <u32>label < <u32>n && !(int(args, 12) && label == int(args, 13));
    const w: f32 = counted ? load<f32>(weights + ((<usize>label) << 2)) : 0;
    for (let c = 0; c < n; c++) {
      const at = (<usize>c) << 2;
      store<f32>(dx + at, counted ? g * (load<f32>(p + at) * w - (c == label ? w : 0)) : 0);
    }
  }
}
