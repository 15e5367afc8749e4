/**
 * Batch normalization. With r = (variance + epsilon)^(-1/2), h = (x - mean) r, over n rows:
 *
 *   y = gamma h + beta;   dbeta = sum dy, dgamma = sum dy h, dx = gamma r (dy - dbeta / n - h dgamma / n)
 *
 * Statistics: two passes over each tile of rows give its mean and sum of squared deviations; tiles are joined in order by the
 * formula of Chan, Golub and LeVeque (1979), which loses nothing where the mean is far from zero. Sums of gradients: by tile, then in
 * order. A tile of these kernels is a run of rows, or of channels where tiles are joined. Vectors [C] are contiguous.
 */
import { tileMoments } from './lib/moments';
import { addr, float, int, min32 } from './lib/simd';

/** Flags. */
const RELU: i32 = 1;
const FIX_GAMMA: i32 = 2;
/** Statistics are constants: dx = gamma r dy. */
const FROZEN: i32 = 4;

/** Arguments: x, stats, rows, channels, x stride (bytes), rows a tile. */
export function moments(args: usize, tile: i32, scratch: usize): void {
  const channels = int(args, 3), perTile = int(args, 5);
  const first = tile * perTile;
  const rows = min32(perTile, int(args, 2) - first);
  const stride = addr(args, 4);
  tileMoments(addr(args, 0) + (<usize>first) * stride, stride, rows, 0, channels,
    addr(args, 1) + ((<usize>(tile * channels)) << 3), channels);
}

/** Joins tiles' moments. Arguments: stats, mean, variance, rows, rows a tile, channels, channels a tile of this launch. */
export function batchMoments(args: usize, tile: i32, scratch: usize): void {
  const stats = addr(args, 0), channels = int(args, 5);
  const rows = int(args, 3), perTile = int(args, 4);
  const parts = (rows + perTile - 1) / perTile;
  const first = tile * int(args, 6), last = min32(first + int(args, 6), channels);
  const partBytes = (<usize>channels) << 3, half = (<usize>channels) << 2;
  for (let c = first; c < last; c++) {
    let p = stats + ((<usize>c) << 2);
    let mean = load<f32>(p), m2 = load<f32>(p + half);
    let n = <f32>min32(perTile, rows);
    for (let t = 1; t < parts; t++) {
      p += partBytes;
      const count = <f32>min32(perTile, rows - t * perTile);
      const total = n + count;
      const delta = load<f32>(p) - mean;
      mean += delta * (count / total);
      m2 += load<f32>(p + half) + delta * delta * (n * (count / total));
      n = total;
    }
    store<f32>(addr(args, 1) + ((<usize>c) << 2), mean);
    store<f32>(addr(args, 2) + ((<usize>c) << 2), m2 / <f32>rows);
  }
}

/** gamma r for every channel, into `to`; r alone where gamma is fixed. */
function scales(variance: usize, gamma: usize, epsilon: f32, channels: i32, to: usize): void {
  for (let c = 0; c < channels; c++) {
    const at = (<usize>c) << 2;
    const r: f32 = <f32>1 / sqrt<f32>(load<f32>(variance + at) + epsilon);
    store<f32>(to + at, gamma == 0 ? r : r * load<f32>(gamma + at));
  }
}

/** Arguments: x, mean, variance, gamma, beta, y, rows, channels, x stride, y stride (bytes), rows a tile, epsilon, flags. */
export function normalize(args: usize, tile: i32, scratch: usize): void {
  const channels = int(args, 7), perTile = int(args, 10), flags = int(args, 12);
  const first = tile * perTile, last = min32(first + perTile, int(args, 6));
  const xStride = addr(args, 8), yStride = addr(args, 9);
  const means = addr(args, 1), betas = addr(args, 4);
  scales(addr(args, 2), flags & FIX_GAMMA ? 0 : addr(args, 3), float(args, 11), channels, scratch);
  const bytes = (<usize>channels) << 2;
  const floor = f32x4.splat(flags & RELU ? 0 : -Infinity);
  const wide = bytes & ~15;
  for (let row = first; row < last; row++) {
    const x = addr(args, 0) + (<usize>row) * xStride, y = addr(args, 5) + (<usize>row) * yStride;
    let i: usize = 0;
    for (; i < wide; i += 16) {
      const d = f32x4.sub(v128.load(x + i), v128.load(means + i));
      const v = f32x4.add(f32x4.mul(d, v128.load(scratch + i)), v128.load(betas + i));
      v128.store(y + i, f32x4.pmax(v, floor));
    }
    for (; i < bytes; i += 4) {
      const v = (load<f32>(x + i) - load<f32>(means + i)) * load<f32>(scratch + i) + load<f32>(betas + i);
      store<f32>(y + i, max<f32>(v, f32x4.extract_lane(floor, 0)));
    }
  }
}

/**
 * Sums over a tile's rows of dy and of dy (x - mean); dy is dz where gamma h + beta > 0 with RELU.
 * Arguments: dy, x, mean, variance, gamma, beta, partials, rows, channels, dy stride, x stride, rows a tile, epsilon, flags.
 */
export function normGradSums(args: usize, tile: i32, scratch: usize): void {
  const channels = int(args, 8), perTile = int(args, 11), flags = int(args, 13);
  const first = tile * perTile, last = min32(first + perTile, int(args, 7));
  const dyStride = addr(args, 9), xStride = addr(args, 10);
  const means = addr(args, 2), betas = addr(args, 5);
  const masked = (flags & RELU) != 0;
  if (masked) scales(addr(args, 3), flags & FIX_GAMMA ? 0 : addr(args, 4), float(args, 12), channels, scratch);
  const bytes = (<usize>channels) << 2;
  const sums = addr(args, 6) + (<usize>tile) * bytes * 2, products = sums + bytes;
  const dy = addr(args, 0) + (<usize>first) * dyStride, x = addr(args, 1) + (<usize>first) * xStride;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const mean = v128.load(means + i);
    const scale = masked ? v128.load(scratch + i) : mean;
    const beta = masked ? v128.load(betas + i) : mean;
    let sum = f32x4.splat(0), product = f32x4.splat(0);
    let p = dy + i, q = x + i;
    for (let row = first; row < last; row++) {
      let g = v128.load(p);
      const d = f32x4.sub(v128.load(q), mean);
      if (masked) g = v128.and(g, f32x4.gt(f32x4.add(f32x4.mul(d, scale), beta), f32x4.splat(0)));
      sum = f32x4.add(sum, g);
      product = f32x4.add(product, f32x4.mul(g, d));
      p += dyStride;
      q += xStride;
    }
    v128.store(sums + i, sum);
    v128.store(products + i, product);
  }
  for (; i < bytes; i += 4) {
    const mean = load<f32>(means + i);
    let sum: f32 = 0, product: f32 = 0;
    let p = dy + i, q = x + i;
    for (let row = first; row < last; row++) {
      let g = load<f32>(p);
      const d = load<f32>(q) - mean;
      if (masked && !(d * load<f32>(scratch + i) + load<f32>(betas + i) > 0)) g = 0;
      sum += g;
      product += g * d;
      p += dyStride;
      q += xStride;
    }
    store<f32>(sums + i, sum);
    store<f32>(products + i, product);
  }
}

/**
 * Adds tiles' sums in order: dbeta, dgamma (0 where fixed), and for `normGradApply` the vectors a = gamma r, b = dbeta / n and
 * c = r^2 sum dy (x - mean) / n. Arguments: partials, variance, gamma, dgamma, dbeta, coefficients, parts, rows, channels, channels
 * a tile, epsilon, flags.
 */
export function normGradCombine(args: usize, tile: i32, scratch: usize): void {
  const channels = int(args, 8), parts = int(args, 6), flags = int(args, 11);
  const first = tile * int(args, 9), last = min32(first + int(args, 9), channels);
  const bytes = (<usize>channels) << 2;
  const inverse: f32 = flags & FROZEN ? 0 : <f32>1 / <f32>int(args, 7);
  for (let c = first; c < last; c++) {
    const at = (<usize>c) << 2;
    let p = addr(args, 0) + at;
    let sum: f32 = 0, product: f32 = 0;
    for (let t = 0; t < parts; t++) {
      sum += load<f32>(p);
      product += load<f32>(p + bytes);
      p += bytes * 2;
    }
    const r: f32 = <f32>1 / sqrt<f32>(load<f32>(addr(args, 1) + at) + float(args, 10));
    const fixed = (flags & FIX_GAMMA) != 0;
    store<f32>(addr(args, 3) + at, fixed ? 0 : product * r);
    store<f32>(addr(args, 4) + at, sum);
    const to = addr(args, 5) + at;
    store<f32>(to, fixed ? r : r * load<f32>(addr(args, 2) + at));
    store<f32>(to + bytes, sum * inverse);
    store<f32>(to + 2 * bytes, product * r * r * inverse);
  }
}

/**
 * dx = a (dy - b - c (x - mean)). Arguments: dy, x, mean, coefficients, beta, dx, rows, channels, dy stride, x stride, dx stride, rows a
 * tile, flags.
 */
export function normGradApply(args: usize, tile: i32, scratch: usize): void {
  const channels = int(args, 7), perTile = int(args, 11), flags = int(args, 12);
  const first = tile * perTile, last = min32(first + perTile, int(args, 6));
  const dyStride = addr(args, 8), xStride = addr(args, 9), dxStride = addr(args, 10);
  const means = addr(args, 2), betas = addr(args, 4);
  const masked = (flags & RELU) != 0;
  const bytes = (<usize>channels) << 2;
  const a = addr(args, 3), b = a + bytes, c = b + bytes;
  const wide = bytes & ~15;
  for (let row = first; row < last; row++) {
    const dy = addr(args, 0) + (<usize>row) * dyStride, x = addr(args, 1) + (<usize>row) * xStride;
    const dx = addr(args, 5) + (<usize>row) * dxStride;
    let i: usize = 0;
    for (; i < wide; i += 16) {
      let g = v128.load(dy + i);
      const d = f32x4.sub(v128.load(x + i), v128.load(means + i));
      const scale = v128.load(a + i);
      if (masked) g = v128.and(g, f32x4.gt(f32x4.add(f32x4.mul(d, scale), v128.load(betas + i)), f32x4.splat(0)));
      const centred = f32x4.sub(f32x4.sub(g, v128.load(b + i)), f32x4.mul(v128.load(c + i), d));
      v128.store(dx + i, f32x4.mul(scale, centred));
    }
    for (; i < bytes; i += 4) {
      let g = load<f32>(dy + i);
      const d = load<f32>(x + i) - load<f32>(means + i);
      const scale = load<f32>(a + i);
      if (masked && !(d * scale + load<f32>(betas + i) > 0)) g = 0;
      store<f32>(dx + i, scale * (g - load<f32>(b + i) - load<f32>(c + i) * d));
    }
  }
}
