/**
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011): element e of sample id is lane e & 3 of the block with
 * counter (e >> 2, id, step, 0) and key (seed, key). uniform = (word >>> 8) / 2^24; normal by Box and Muller from lanes (0, 1) and
 * (2, 3); bernoulli = uniform < probability. Dropout keeps x where uniform >= rate, scaled. A tile is a run of rows.
 */
import { cos4, log4, sin4 } from './lib/math';
import { addr, float, int, min32 } from './lib/simd';

const UNIFORM: i32 = 0;
const NORMAL: i32 = 1;
const BERNOULLI: i32 = 2;

// @ts-ignore: decorator
@inline
function high(a: u32, b: u32): u32 {
  return <u32>((<u64>a * <u64>b) >> 32);
}

/** Four lanes of uniform numbers on [0, 1). */
function uniform4(block: u32, id: u32, step: u32, seed: u32, key: u32): v128 {
  let c0 = block, c1 = id, c2 = step, c3: u32 = 0, k0 = seed, k1 = key;
  for (let round = 0; round < 10; round++) {
    const h0 = high(0xd2511f53, c0), l0 = 0xd2511f53 * c0;
    const h1 = high(0xcd9e8d57, c2), l1 = 0xcd9e8d57 * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  let v = i32x4.splat(c0);
  v = i32x4.replace_lane(v, 1, c1);
  v = i32x4.replace_lane(v, 2, c2);
  v = i32x4.replace_lane(v, 3, c3);
  return f32x4.mul(f32x4.convert_i32x4_u(i32x4.shr_u(v, 8)), f32x4.splat(<f32>(1.0 / 16777216)));
}

/** Lanes (0, 1) and (2, 3) as radius and angle, to (cos, sin) pairs. */
function normal4(u: v128): v128 {
  const first = i8x16.shuffle(u, u, 0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11);
  const second = i8x16.shuffle(u, u, 4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15);
  const radius = f32x4.sqrt(f32x4.mul(f32x4.splat(-2), log4(f32x4.add(first, f32x4.splat(<f32>(1.0 / 16777216))))));
  const angle = f32x4.mul(f32x4.splat(6.283185307179586), second);
  const c = cos4(angle), s = sin4(angle);
  return f32x4.mul(radius, i8x16.shuffle(c, s, 0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 28, 29, 30, 31));
}

/**
 * Arguments: 0 seed, 1 step, 2 ids, 3 x (dropout; 0 for none), 4 out, 5 rows, 6 channels, 7 rows a sample, 8 x stride, 9 out stride
 * (bytes), 10 rows a tile, 11 distribution, 12 probability (or rate), 13 key, 14 scale of what dropout keeps.
 */
export function random(args: usize, tile: i32, scratch: usize): void {
  const seed = load<u32>(addr(args, 0)), step = load<u32>(addr(args, 1)), key = <u32>int(args, 13);
  const channels = int(args, 6), rowsPerSample = int(args, 7), kind = int(args, 11);
  const first = tile * int(args, 10), last = min32(first + int(args, 10), int(args, 5));
  const probability = f32x4.splat(float(args, 12)), scale = f32x4.splat(float(args, 14));
  const source = addr(args, 3);
  for (let row = first; row < last; row++) {
    const sample = row / rowsPerSample;
    const id = load<u32>(addr(args, 2) + ((<usize>sample) << 2));
    let e = (row - sample * rowsPerSample) * channels;
    const out = addr(args, 4) + (<usize>row) * addr(args, 9);
    const x = source + (<usize>row) * addr(args, 8);
    let c = 0;
    while (c < channels) {
      const lane = e & 3;
      const count = min32(4 - lane, channels - c);
      let v = uniform4(<u32>(e >> 2), id, step, seed, key);
      if (source != 0) v = v128.and(scale, f32x4.ge(v, probability));
      else if (kind == NORMAL) v = normal4(v);
      else if (kind == BERNOULLI) v = v128.and(f32x4.splat(1), f32x4.lt(v, probability));
      const at = (<usize>c) << 2;
      if (count == 4) {
        if (source != 0) v = f32x4.mul(v128.load(x + at), v);
        v128.store(out + at, v);
      } else {
        v128.store(scratch, v);
        for (let i = 0; i < count; i++) {
          let element = load<f32>(scratch + ((<usize>(lane + i)) << 2));
          if (source != 0) element *= load<f32>(x + at + ((<usize>i) << 2));
          store<f32>(out + at + ((<usize>i) << 2), element);
        }
      }
      c += count;
      e += count;
    }
  }
}
