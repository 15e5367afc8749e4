// y[o,k,i] = x[o, indices[k], i], indices clipped to the axis.
// GRADIENT: y[o,a,i] = sum over k with indices[k] = a of x[o,k,i], in the order of k, so that no element has two writers; x float.
// TYPE is float, or i32 for elements of that size that are moved alone. WIDTH 4: vectors, where the inner axes hold whole rows of both.
// Lengths and strides are in elements.
// Block 256, one element or vector of y a thread; grid ceil(total / 256).
#include "lib/lanes.cuh"

struct Rows { i32 channels, stride; };

DEVICE i64 placeOf(i32 element, const Rows &rows) {
  const i32 row = element / rows.channels;
  return static_cast<i64>(row) * rows.stride + (element - row * rows.channels);
}

KERNEL(gather, 256)(Span<const TYPE> x, Span<const i32> indices, Span<TYPE> y, i32 total, i32 inner, i32 axis, i32 count,
                    Rows indexRows, Rows xRows, Rows yRows) {
  const i32 thread = blockIdx.x * 256 + threadIdx.x;
  if (thread >= total) return;
  const i32 e = thread * WIDTH, outer = e / inner, i = e - outer * inner;
#if GRADIENT
  const i32 o = outer / axis, a = outer - o * axis;
  Lanes<float, WIDTH> sum = spread<WIDTH>(0.0f);
  for (i32 k = 0; k < count; k++) {
    const i32 index = indices[placeOf(k, indexRows)];
    if ((index < 0 ? 0 : index >= axis ? axis - 1 : index) != a) continue;
    const Lanes<float, WIDTH> term = loadLanes<WIDTH, true>(x, placeOf((o * count + k) * inner + i, xRows));
    UNROLL for (i32 lane = 0; lane < WIDTH; lane++) sum[lane] += term[lane];
  }
  storeLanes<WIDTH, true>(y, placeOf(e, yRows), sum);
#else
  const i32 o = outer / count, k = outer - o * count;
  const i32 index = indices[placeOf(k, indexRows)];
  const i32 a = index < 0 ? 0 : index >= axis ? axis - 1 : index;
  storeLanes<WIDTH, true>(y, placeOf(e, yRows), loadLanes<WIDTH, true>(x, placeOf((o * axis + a) * inner + i, xRows)));
#endif
}
