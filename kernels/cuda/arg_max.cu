// y[o] = index of the first largest x[o, k] over k, int32; 0 where the first is NaN. Kept axes come innermost first, four at most.
// Block 256: LANES threads for each output, 32 where k runs through neighbours in x, else 1, whose neighbours read neighbours. A thread
// looks at every LANES-th k; of equals that lanes have found, the lower index wins, so the order does not matter.
// Grid ceil(outputs LANES / 256).
#include "lib/block.cuh"

struct Axes { i32 keptLength[4], keptStride[4], yStride[4]; };

KERNEL(arg_max, 256)(Span<const float> x, Span<i32> y, i32 outputs, i32 count, i32 stride, Axes axes) {
  const i32 o = rowOf<LANES>(blockIdx.x, threadIdx.x), lane = threadIdx.x % LANES;
  i64 from = 0, to = 0;
  u32 rest = o;
  UNROLL for (i32 axis = 0; axis < 4; axis++) {
    const u32 outer = rest / static_cast<u32>(axes.keptLength[axis]);
    const i32 k = rest - outer * axes.keptLength[axis];
    from += static_cast<i64>(k) * axes.keptStride[axis];
    to += static_cast<i64>(k) * axes.yStride[axis];
    rest = outer;
  }
  float value = -infinity();
  i32 best = count;
  if (o < outputs) {
    for (i32 k = lane; k < count; k += LANES) {
      const float v = x[from + static_cast<i64>(k) * stride];
      if (v > value) {
        value = v;
        best = k;
      }
    }
  }
#if LANES > 1
  UNROLL for (i32 half = LANES / 2; half > 0; half /= 2) {
    const float v = __shfl_xor_sync(0xffffffffu, value, half);
    const i32 k = __shfl_xor_sync(0xffffffffu, best, half);
    if (v > value || (v == value && k < best)) {
      value = v;
      best = k;
    }
  }
#endif
  if (o >= outputs || lane > 0) return;
  const float first = x[from];
  y[to] = best == count || first != first ? 0 : best;
}
