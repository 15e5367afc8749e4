// y[o] = scale * reduction over k of x[o, k], where neighbours in k are neighbours in x: any axes kept, any reduced, FOLD one of Add, Larger
// and Smaller. What is reduced is cut into runs by the shape alone; with more than one, y is partial[run][o], which reduce_columns reduces.
// Axes come innermost first, neighbours joined, four of each at most. WIDTH 4: the innermost reduced axis divides by four, ALIGNED
// where four are read in one access. XT, YT: storage types.
// Block 256: THREADS (32, or 256 where rows are long) for each output, thread t combining elements WIDTH t, WIDTH (t + THREADS), ...,
// each lane of WIDTH apart; then lanes, warps and blocks in order. Grid (ceil(outputs THREADS / 256), runs).
// Source: M. Harris, "Optimizing parallel reduction in CUDA", 2007.
#include "lib/block.cuh"

struct Axes {
  i32 keptLength[4], keptStride[4], yStride[4];
  i32 length[RANK], stride[RANK];
};

KERNEL(reduce_rows, 256)(Span<const XT> x, Span<YT> y, i32 outputs, i32 count, i32 run, i32 yRun, float scale, Axes axes) {
  SHARED(float, parts, 8);
  const FOLD combine;
  const i32 o = rowOf<THREADS>(blockIdx.x, threadIdx.x), thread = threadIdx.x % THREADS;
  const i32 end = blockIdx.y * run + run < count ? blockIdx.y * run + run : count;
  i64 from = 0, to = static_cast<i64>(blockIdx.y) * yRun;
  u32 rest = o;
  UNROLL for (i32 axis = 0; axis < 4; axis++) {
    const u32 outer = rest / static_cast<u32>(axes.keptLength[axis]);
    const i32 k = rest - outer * axes.keptLength[axis];
    from += static_cast<i64>(k) * axes.keptStride[axis];
    to += static_cast<i64>(k) * axes.yStride[axis];
    rest = outer;
  }
  Lanes<float, WIDTH> all = spread<WIDTH>(FIRST);
  if (o < outputs) {
    _Pragma("unroll 4") for (i32 k = blockIdx.y * run + thread * WIDTH; k < end; k += THREADS * WIDTH) {
      i64 at = from;
      u32 left = k;
      UNROLL for (i32 axis = 0; axis < RANK; axis++) {
        const u32 outer = axis + 1 < RANK ? left / static_cast<u32>(axes.length[axis]) : 0;
        at += static_cast<i64>(left - outer * axes.length[axis]) * axes.stride[axis];
        left = outer;
      }
      const Lanes<float, WIDTH> term = loadLanes<WIDTH, ALIGNED>(x, at);
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) all[lane] = combine(all[lane], term[lane]);
    }
  }
  float sum = all[0];
  UNROLL for (i32 lane = 1; lane < WIDTH; lane++) sum = combine(sum, all[lane]);
  sum = overThreads<THREADS>(sum, parts, combine);
  if (thread == 0 && o < outputs) y[to] = fromFloat<YT>(sum * scale);
}
