/** Kernels that move or convert elements: casts, raveled copies, edges repeated, gathers, one-hot rows. A tile is a run of outputs. */
import { addr, copyRun, int, max32, min32 } from './lib/simd';

/** Dtypes as src/ops/cpu/movement.ts numbers them; bool is float32. */
const FLOAT32: i32 = 0;
const INT32: i32 = 1;
const UINT8: i32 = 2;
const BOOL: i32 = 3;

/**
 * to[r][c] = from[r][c] in another dtype; to integers, rounded toward zero. Arguments: from, to, rows, channels, from stride, to
 * stride (bytes), from dtype, to dtype, rows a tile.
 */
export function cast(args: usize, tile: i32, scratch: usize): void {
  const perTile = int(args, 8), source = int(args, 6), target = int(args, 7), channels = int(args, 3);
  const first = tile * perTile, last = min32(first + perTile, int(args, 2));
  for (let row = first; row < last; row++) {
    let p = addr(args, 0) + (<usize>row) * addr(args, 4), q = addr(args, 1) + (<usize>row) * addr(args, 5);
    let c = 0;
    if (source == UINT8 && target == FLOAT32) {
      for (; c + 8 <= channels; c += 8, p += 8, q += 32) {
        const wide = v128.load8x8_u(p);
        v128.store(q, f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(wide)));
        v128.store(q, f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(wide)), 16);
      }
    }
    const size: usize = source == UINT8 ? 1 : 4;
    for (; c < channels; c++, p += size, q += 4) {
      if (source == INT32 || source == UINT8) {
        const v = source == UINT8 ? <i32>load<u8>(p) : load<i32>(p);
        if (target == INT32) store<i32>(q, v);
        else store<f32>(q, target == BOOL ? (v != 0 ? 1 : 0) : <f32>v);
      } else {
        const v = load<f32>(p);
        if (target == INT32) store<i32>(q, <i32>v);
        else store<f32>(q, target == BOOL ? (v != 0 ? 1 : 0) : v);
      }
    }
  }
}

/** Where element `i` of a raveled value lies: rows of `channels`, `stride` bytes apart, 4 bytes each. */
// @ts-ignore: decorator
@inline
function place(base: usize, channels: i32, stride: usize, i: i32): usize {
  const row = i / channels;
  return base + (<usize>row) * stride + ((<usize>(i - row * channels)) << 2);
}

/** Copies `count` elements in raveled order from element `i` of one value to element `j` of another. */
function copyRaveled(
  from: usize, fromChannels: i32, fromStride: usize, i: i32, to: usize, toChannels: i32, toStride: usize, j: i32, count: i32,
): void {
  while (count > 0) {
    const run = min32(count, min32(fromChannels - i % fromChannels, toChannels - j % toChannels));
    copyRun(place(to, toChannels, toStride, j), place(from, fromChannels, fromStride, i), (<usize>run) << 2);
    i += run;
    j += run;
    count -= run;
  }
}

/** Arguments: from, to, elements, from channels, from stride, to channels, to stride (bytes), elements a tile. */
export function ravel(args: usize, tile: i32, scratch: usize): void {
  const first = tile * int(args, 7), count = min32(int(args, 7), int(args, 2) - first);
  copyRaveled(addr(args, 0), int(args, 3), addr(args, 4), first, addr(args, 1), int(args, 5), addr(args, 6), first, count);
}

/**
 * out[o, k, i] = x[o, clip(indices[k]), i], all raveled. Arguments: 0 x, 1 indices, 2 out, 3 outer, 4 axis length, 5 count of indices,
 * 6 inner, 7 x channels, 8 x stride, 9 indices channels, 10 indices stride, 11 out channels, 12 out stride, 13 (o, k) pairs a tile.
 */
export function gather(args: usize, tile: i32, scratch: usize): void {
  const count = int(args, 5), inner = int(args, 6), length = int(args, 4);
  const first = tile * int(args, 13), last = min32(first + int(args, 13), int(args, 3) * count);
  for (let pair = first; pair < last; pair++) {
    const o = pair / count;
    const index = load<i32>(place(addr(args, 1), int(args, 9), addr(args, 10), pair - o * count));
    const clipped = min32(max32(index, 0), length - 1);
    copyRaveled(addr(args, 0), int(args, 7), addr(args, 8), (o * length + clipped) * inner, addr(args, 2), int(args, 11),
      addr(args, 12), pair * inner, inner);
  }
}

/** The adjoint: dx[o, a, i] = sum over k with clip(indices[k]) = a of dy[o, k, i]. x is dy, out is dx; (o, a) pairs a tile. */
export function gatherGrad(args: usize, tile: i32, scratch: usize): void {
  const count = int(args, 5), inner = int(args, 6), length = int(args, 4);
  const first = tile * int(args, 13), last = min32(first + int(args, 13), int(args, 3) * length);
  for (let pair = first; pair < last; pair++) {
    const o = pair / length;
    const a = pair - o * length;
    for (let i = 0; i < inner; i++) store<f32>(place(addr(args, 2), int(args, 11), addr(args, 12), pair * inner + i), 0);
    for (let k = 0; k < count; k++) {
      const index = load<i32>(place(addr(args, 1), int(args, 9), addr(args, 10), k));
      if (min32(max32(index, 0), length - 1) != a) continue;
      for (let i = 0; i < inner; i++) {
        const to = place(addr(args, 2), int(args, 11), addr(args, 12), pair * inner + i);
        const from = place(addr(args, 0), int(args, 7), addr(args, 8), (o * count + k) * inner + i);
        store<f32>(to, load<f32>(to) + load<f32>(from));
      }
    }
  }
}

/** Arguments: indices, out, rows, depth, indices channels, indices stride, out stride (bytes), rows a tile. */
export function oneHot(args: usize, tile: i32, scratch: usize): void {
  const first = tile * int(args, 7), last = min32(first + int(args, 7), int(args, 2));
  for (let row = first; row < last; row++) {
    const index = load<i32>(place(addr(args, 0), int(args, 4), addr(args, 5), row));
    const out = addr(args, 1) + (<usize>row) * addr(args, 6);
    for (let d = 0; d < int(args, 3); d++) store<f32>(out + ((<usize>d) << 2), d == index ? 1 : 0);
  }
}

/**
 * Repeats the edge of x around it. Arguments: x, out, rows of out, axes but the last, channels of x, left width, channels of out, x
 * stride, out stride (bytes), rows a tile; 16.. for each of those axes, innermost first: length of out, before, length of x.
 */
export function padEdge(args: usize, tile: i32, scratch: usize): void {
  const first = tile * int(args, 9), last = min32(first + int(args, 9), int(args, 2));
  const channels = int(args, 4), left = int(args, 5), width = int(args, 6);
  for (let row = first; row < last; row++) {
    let rest = row, from = 0, step = 1;
    for (let d = 0; d < int(args, 3); d++) {
      const axis = args + ((<usize>(16 + 3 * d)) << 2);
      const length = load<i32>(axis);
      const index = rest % length;
      rest /= length;
      from += min32(max32(index - load<i32>(axis, 4), 0), load<i32>(axis, 8) - 1) * step;
      step *= load<i32>(axis, 8);
    }
    const x = addr(args, 0) + (<usize>from) * addr(args, 7);
    const out = addr(args, 1) + (<usize>row) * addr(args, 8);
    for (let c = 0; c < width; c++) {
      store<i32>(out + ((<usize>c) << 2), load<i32>(x + ((<usize>min32(max32(c - left, 0), channels - 1)) << 2)));
    }
  }
}
