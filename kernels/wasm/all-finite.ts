/**
 * Whether all elements are finite: a float32 is where its magnitude's bits are below 0x7f800000. Each tile writes the largest bits it
 * meets; maxima of integers do not depend on their order.
 */
import { addr, int, min32 } from './lib/simd';

/** Arguments: 0 x, 1 partial results (i32 a tile), 2 elements, 3 elements a tile. */
export function allFinite(args: usize, tile: i32, scratch: usize): void {
  const first = tile * int(args, 3), last = min32(first + int(args, 3), int(args, 2));
  const x = addr(args, 0);
  const mask = i32x4.splat(0x7fffffff);
  let largest = i32x4.splat(0);
  let i = first;
  for (; i + 4 <= last; i += 4) largest = i32x4.max_u(largest, v128.and(v128.load(x + ((<usize>i) << 2)), mask));
  for (; i < last; i++) largest = i32x4.max_u(largest, v128.and(v128.load32_zero(x + ((<usize>i) << 2)), mask));
  const a = max<i32>(i32x4.extract_lane(largest, 0), i32x4.extract_lane(largest, 1));
  const b = max<i32>(i32x4.extract_lane(largest, 2), i32x4.extract_lane(largest, 3));
  store<i32>(addr(args, 1) + ((<usize>tile) << 2), max<i32>(a, b));
}

/** Arguments: 0 partial results, 1 out, 2 how many. */
export function allFiniteJoin(args: usize, tile: i32, scratch: usize): void {
  let largest: i32 = 0;
  for (let i = 0; i < int(args, 2); i++) largest = max<i32>(largest, load<i32>(addr(args, 0) + ((<usize>i) << 2)));
  store<f32>(addr(args, 1), largest < 0x7f800000 ? 1 : 0);
}
