// y[i] = x[i - before] where that lies within x, else `value`; with `edge` the nearest element of x.
// Axes come innermost first, RANK of them. XT is float or Half. WIDTH 4, where the innermost axis has no border: four of its elements
// in one access; lengths and strides are in elements all the same.
// Block 256, one element or vector of y a thread; grid ceil(total / 256).
#include "lib/lanes.cuh"

struct Axes {
  i32 length[RANK], extent[RANK], before[RANK], xStride[RANK], yStride[RANK];
};

KERNEL(pad, 256)(Span<const XT> x, Span<XT> y, i32 total, i32 edge, float value, Axes axes) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= total) return;
  u32 rest = i;
  i64 from = 0, to = 0;
  bool inside = true;
  UNROLL for (i32 axis = 0; axis < RANK; axis++) {
    const i32 unit = axis == 0 ? WIDTH : 1;
    const u32 length = static_cast<u32>(axes.length[axis] / unit), outer = rest / length;
    const i32 k = (rest - outer * length) * unit;
    rest = outer;
    to += static_cast<i64>(k) * axes.yStride[axis];
    const i32 at = k - axes.before[axis], last = axes.extent[axis] - 1;
    const i32 clipped = at < 0 ? 0 : at > last ? last : at;
    inside = inside && last >= 0 && (edge != 0 || at == clipped);
    from += static_cast<i64>(clipped) * axes.xStride[axis];
  }
  Lanes<float, WIDTH> lanes = spread<WIDTH>(value);
  if (inside) lanes = loadLanes<WIDTH, true>(x, from);
  storeLanes<WIDTH, true>(y, to, lanes);
}
