/** Names for what every kernel does: argument words, multiply-add, short copies. */

/** Argument word `i` as an integer, an address or a float. */
// @ts-ignore: decorator
@inline
export function int(args: usize, i: i32): i32 {
  return load<i32>(args + ((<usize>i) << 2));
}

// @ts-ignore: decorator
@inline
export function addr(args: usize, i: i32): usize {
  return load<usize>(args + ((<usize>i) << 2));
}

// @ts-ignore: decorator
@inline
export function float(args: usize, i: i32): f32 {
  return load<f32>(args + ((<usize>i) << 2));
}

/** a * b + c: one rounding in the relaxed build where the machine has it, two in the plain one. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  // @ts-ignore: a constant of the compiler
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

/** max(v, 0), NaN kept: one instruction, where f32x4.max takes eight for the sake of NaN and -0. */
// @ts-ignore: decorator
@inline
export function relu4(v: v128): v128 {
  return f32x4.pmax(v, f32x4.splat(0));
}

/** Lane-wise `mask ? a : b` for masks of all ones or all zeros. */
// @ts-ignore: decorator
@inline
export function select4(a: v128, b: v128, mask: v128): v128 {
  return v128.bitselect(a, b, mask);
}

// @ts-ignore: decorator
@inline
export function min32(a: i32, b: i32): i32 {
  return a < b ? a : b;
}

// @ts-ignore: decorator
@inline
export function max32(a: i32, b: i32): i32 {
  return a > b ? a : b;
}

// @ts-ignore: decorator
@inline
export function zero4(): v128 {
  return f32x4.splat(0);
}

/** Sum of the four lanes, in the order (0 + 1) + (2 + 3). */
// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Copies `bytes` bytes; memory.copy costs a call out of the module, so short runs are copied here. */
export function copyRun(to: usize, from: usize, bytes: usize): void {
  if (bytes > 1024) {
    memory.copy(to, from, bytes);
    return;
  }
  const end = to + bytes;
  while (to + 16 <= end) {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  }
  while (to + 4 <= end) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
  while (to < end) {
    store<u8>(to, load<u8>(from));
    to += 1;
    from += 1;
  }
}

export function zeroRun(to: usize, bytes: usize): void {
  const end = to + bytes;
  while (to + 16 <= end) {
    v128.store(to, f32x4.splat(0));
    to += 16;
  }
  while (to < end) {
    store<u32>(to, 0);
    to += 4;
  }
}
