/**
 * What the machine can do at most, for the roofline of the benchmark: multiply-adds without memory, a chain of dependent additions for
 * the clock, streams over arrays that no cache holds, and the register tile of products without what feeds it. Each tile is the same
 * work on its own part; results are stored so that no compiler leaves them out.
 */
import { MR, NR, RUN_BYTES, rowsTimesPanel } from './lib/gemm';
import { addr, int, madd, zero4 } from './lib/simd';

/**
 * Multiply-adds of vectors in registers alone. Fused: 12 sums of one product, 96 FLOP a round. Apart: the register tile of products,
 * 4 x 2 vectors, 64 FLOP a round; its columns change places every round, or the products would be taken out of the loop.
 *
 * Arguments: 0 rounds, 1 out (16 bytes a tile), 2 four rows' and then two columns' values, a vector each.
 */
export function probeMultiplyAdd(args: usize, tile: i32, scratch: usize): void {
  const from = addr(args, 2);
  const p = v128.load(from), q = v128.load(from, 16), r = v128.load(from, 32), s = v128.load(from, 48);
  let x = v128.load(from, 64), y = v128.load(from, 80);
  let a = zero4(), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
  // @ts-ignore: a constant of the compiler
  if (ASC_FEATURE_RELAXED_SIMD) {
    for (let n = int(args, 0); n > 0; n--) {
      a = madd(p, x, a); b = madd(p, x, b); c = madd(p, x, c); d = madd(p, x, d); e = madd(p, x, e); f = madd(p, x, f);
      g = madd(p, x, g); h = madd(p, x, h); i = madd(p, x, i); j = madd(p, x, j); k = madd(p, x, k); l = madd(p, x, l);
    }
  } else {
    for (let n = int(args, 0); n > 0; n--) {
      a = madd(p, x, a); b = madd(p, y, b); c = madd(q, x, c); d = madd(q, y, d);
      e = madd(r, x, e); f = madd(r, y, f); g = madd(s, x, g); h = madd(s, y, h);
      const z = x;
      x = y;
      y = z;
    }
  }
  a = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  v128.store(addr(args, 1) + ((<usize>tile) << 4), f32x4.add(a, f32x4.add(f32x4.add(i, j), f32x4.add(k, l))));
}

/** 16 integer operations a round, each needing the one before, one a cycle. Arguments: 0 rounds, 1 out (16 bytes a tile), 2 y, 3 z. */
export function probeClock(args: usize, tile: i32, scratch: usize): void {
  const y = int(args, 2), z = int(args, 3);
  let x = tile;
  for (let n = int(args, 0); n > 0; n--) {
    x = (x + y) ^ z; x = (x + y) ^ z; x = (x + y) ^ z; x = (x + y) ^ z;
    x = (x + y) ^ z; x = (x + y) ^ z; x = (x + y) ^ z; x = (x + y) ^ z;
  }
  store<i32>(addr(args, 1) + ((<usize>tile) << 4), x);
}

/** Sums all of a part. Arguments: 0 from, 1 out (16 bytes a tile), 2 bytes a tile, a multiple of 128. */
export function probeRead(args: usize, tile: i32, scratch: usize): void {
  const bytes = addr(args, 2);
  let p = addr(args, 0) + (<usize>tile) * bytes;
  const end = p + bytes;
  let a = f32x4.splat(0), b = a, c = a, d = a;
  for (; p < end; p += 128) {
    a = v128.xor(a, v128.xor(v128.load(p), v128.load(p, 16)));
    b = v128.xor(b, v128.xor(v128.load(p, 32), v128.load(p, 48)));
    c = v128.xor(c, v128.xor(v128.load(p, 64), v128.load(p, 80)));
    d = v128.xor(d, v128.xor(v128.load(p, 96), v128.load(p, 112)));
  }
  v128.store(addr(args, 1) + ((<usize>tile) << 4), v128.xor(v128.xor(a, b), v128.xor(c, d)));
}

/** Fills a part. Arguments: 0 to, 1 value, 2 bytes a tile, a multiple of 64. */
export function probeWrite(args: usize, tile: i32, scratch: usize): void {
  const bytes = addr(args, 2), value = i32x4.splat(int(args, 1));
  let p = addr(args, 0) + (<usize>tile) * bytes;
  const end = p + bytes;
  for (; p < end; p += 64) {
    v128.store(p, value);
    v128.store(p, value, 16);
    v128.store(p, value, 32);
    v128.store(p, value, 48);
  }
}

/** Copies a part. Arguments: 0 from, 1 to, 2 bytes a tile, a multiple of 64. */
export function probeCopy(args: usize, tile: i32, scratch: usize): void {
  const bytes = addr(args, 2), start = (<usize>tile) * bytes;
  const from = addr(args, 0) + start, to = addr(args, 1) + start;
  for (let i: usize = 0; i < bytes; i += 64) {
    v128.store(to + i, v128.load(from + i));
    v128.store(to + i, v128.load(from + i, 16), 16);
    v128.store(to + i, v128.load(from + i, 32), 32);
    v128.store(to + i, v128.load(from + i, 48), 48);
  }
}

/** Terms of the products that `probeProduct` repeats: those of a block in matmul.ts. */
const DEPTH: i32 = 256;

/**
 * The register tile of products (lib/gemm.ts) again and again on operands that stay in the first cache: rows of 1/2, a panel of 1/4, so
 * that every sum is 32. What packing and memory cost a product is what it takes longer than this. Arguments: 0 rounds, 1 out (16 bytes a
 * tile).
 */
export function probeProduct(args: usize, tile: i32, scratch: usize): void {
  const rows = scratch + RUN_BYTES;
  const panel = rows + ((<usize>(MR * DEPTH)) << 2);
  const c = panel + ((<usize>(NR * DEPTH)) << 2);
  for (let p = rows; p < panel; p += 16) v128.store(p, f32x4.splat(0.5));
  for (let p = panel; p < c; p += 16) v128.store(p, f32x4.splat(0.25));
  store<usize>(scratch, 0);
  for (let i = 0; i < MR; i++) store<usize>(scratch + ((<usize>(i + 1)) << 2), rows + ((<usize>(i * DEPTH)) << 2));
  for (let n = int(args, 0); n > 0; n--) rowsTimesPanel(scratch, 1, DEPTH, panel, 0, c, NR << 2, MR, NR, 0);
  v128.store(addr(args, 1) + ((<usize>tile) << 4), v128.load(c));
}
