/**
 * Optimizer updates over flat arenas, MXNet 1.9's formulas: with lr and wd of the chunk's segment,
 *
 *   g = clip(rescale factor gradient) + wd weight, factor 1, or given behind the learning rate; 0 updates nothing
 *   SGD:   m' = mu m - lr g,  w' = w + m'
 *   Adam:  m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2,  w' = w - lr_t m' / (sqrt(v') + epsilon)
 *
 * A tile is a chunk: (start, count, segment), rows of a table on the device.
 */
import { addr, float, int } from './lib/simd';

// @ts-ignore: decorator
@inline
function c4(v: f32): v128 {
  return f32x4.splat(v);
}

/**
 * Arguments: 0 weight, 1 gradient, 2 momentum, 3 chunks, 4 multipliers, 5 learning rate, 6 momentum, 7 weight decay, 8 rescale, 9 clip
 * (infinity for none), 10 whether a factor follows the learning rate.
 */
export function sgdUpdate(args: usize, tile: i32, scratch: usize): void {
  const factor: f32 = int(args, 10) ? load<f32>(addr(args, 5), 4) : 1;
  if (factor == 0) return;
  const chunk = addr(args, 3) + (<usize>tile) * 12;
  const start = (<usize>load<i32>(chunk)) << 2;
  const end = start + ((<usize>load<i32>(chunk, 4)) << 2);
  const multipliers = addr(args, 4) + ((<usize>load<i32>(chunk, 8)) << 3);
  const lr = c4(load<f32>(addr(args, 5)) * load<f32>(multipliers)), wd = c4(float(args, 7) * load<f32>(multipliers, 4));
  const mu = c4(float(args, 6)), rescale = c4(float(args, 8) * factor), high = c4(float(args, 9)), low = f32x4.neg(high);
  const w = addr(args, 0), g = addr(args, 1), m = addr(args, 2);
  let i = start;
  for (; i + 16 <= end; i += 16) {
    const weight = v128.load(w + i);
    const clipped = f32x4.max(f32x4.min(f32x4.mul(rescale, v128.load(g + i)), high), low);
    const total = f32x4.add(clipped, f32x4.mul(wd, weight));
    const moment = f32x4.sub(f32x4.mul(mu, v128.load(m + i)), f32x4.mul(lr, total));
    v128.store(m + i, moment);
    v128.store(w + i, f32x4.add(weight, moment));
  }
  for (; i < end; i += 4) {
    const weight = v128.load32_splat(w + i);
    const clipped = f32x4.max(f32x4.min(f32x4.mul(rescale, v128.load32_splat(g + i)), high), low);
    const total = f32x4.add(clipped, f32x4.mul(wd, weight));
    const moment = f32x4.sub(f32x4.mul(mu, v128.load32_splat(m + i)), f32x4.mul(lr, total));
    store<f32>(m + i, f32x4.extract_lane(moment, 0));
    store<f32>(w + i, f32x4.extract_lane(f32x4.add(weight, moment), 0));
  }
}

/**
 * Arguments: 0 weight, 1 gradient, 2 mean, 3 variance, 4 chunks, 5 multipliers, 6 learning rate, 7 step, 8 beta1, 9 1 - beta1, 10 beta2,
 * 11 1 - beta2, 12 epsilon, 13 weight decay, 14 rescale, 15 clip, 16 whether to correct the bias, 17 ln beta1, 18 ln beta2,
 * 19 whether a factor follows the learning rate.
 */
export function adamUpdate(args: usize, tile: i32, scratch: usize): void {
  const factor: f32 = int(args, 19) ? load<f32>(addr(args, 6), 4) : 1;
  if (factor == 0) return;
  const chunk = addr(args, 4) + (<usize>tile) * 12;
  const start = (<usize>load<i32>(chunk)) << 2;
  const end = start + ((<usize>load<i32>(chunk, 4)) << 2);
  const multipliers = addr(args, 5) + ((<usize>load<i32>(chunk, 8)) << 3);
  let rate = <f64>load<f32>(addr(args, 6)) * <f64>load<f32>(multipliers);
  if (int(args, 16)) {
    // in float64: 1 - beta^t loses digits where beta^t is near 1
    const t = <f64>load<i32>(addr(args, 7));
    rate *= sqrt<f64>(-NativeMath.expm1(t * <f64>float(args, 18))) / -NativeMath.expm1(t * <f64>float(args, 17));
  }
  const lr = c4(<f32>rate), wd = c4(float(args, 13) * load<f32>(multipliers, 4));
  const b1 = c4(float(args, 8)), c1 = c4(float(args, 9)), b2 = c4(float(args, 10)), c2 = c4(float(args, 11));
  const epsilon = c4(float(args, 12)), rescale = c4(float(args, 14) * factor), high = c4(float(args, 15)), low = f32x4.neg(high);
  const w = addr(args, 0), gradient = addr(args, 1), m = addr(args, 2), v = addr(args, 3);
  for (let i = start; i < end; i += 16) {
    const whole = i + 16 <= end;
    // what is left over goes one element at a time, through the same expressions
    const stop = whole ? i + 4 : end;
    for (let j = i; j < stop; j += 4) {
      const weight = whole ? v128.load(w + j) : v128.load32_splat(w + j);
      const slope = whole ? v128.load(gradient + j) : v128.load32_splat(gradient + j);
      const clipped = f32x4.max(f32x4.min(f32x4.mul(rescale, slope), high), low);
      const g = f32x4.add(clipped, f32x4.mul(wd, weight));
      const mean = f32x4.add(f32x4.mul(b1, whole ? v128.load(m + j) : v128.load32_splat(m + j)), f32x4.mul(c1, g));
      const old = whole ? v128.load(v + j) : v128.load32_splat(v + j);
      const variance = f32x4.add(f32x4.mul(b2, old), f32x4.mul(c2, f32x4.mul(g, g)));
      const next = f32x4.sub(weight, f32x4.div(f32x4.mul(lr, mean), f32x4.add(f32x4.sqrt(variance), epsilon)));
      if (whole) {
        v128.store(m + j, mean);
        v128.store(v + j, variance);
        v128.store(w + j, next);
      } else {
        store<f32>(m + j, f32x4.extract_lane(mean, 0));
        store<f32>(v + j, f32x4.extract_lane(variance, 0));
        store<f32>(w + j, f32x4.extract_lane(next, 0));
      }
    }
  }
}
