// y[o] = scale * reduction over k of x[o, k], where neighbours in o are neighbours in x: any axes kept, any reduced, FOLD one of Add, Larger
// and Smaller. What is reduced is cut into runs by its length alone; with more than one, y is partial[run][o] and a second launch of
// this kernel reduces that.
// Axes come innermost first, neighbours joined, four of each at most. WIDTH 4: the innermost kept axis counts groups of four, ALIGNED
// where they are read in one access. XT, YT: storage types.
// Block 256 = COLUMNS x GROUPS: a thread combines every GROUPS-th term of its column, four loads in flight, then the block its columns, by
// halves. Neither WIDTH nor GROUPS depends on where values lie. Grid (ceil(columns / COLUMNS), runs).
// Source: M. Harris, "Optimizing parallel reduction in CUDA", 2007.
#include "lib/block.cuh"

#define GROUPS (256 / COLUMNS)

struct Axes {
  i32 keptLength[4], keptStride[4], yStride[4];
  i32 length[RANK], stride[RANK];
};

DEVICE i64 termAt(i32 k, const Axes &axes) {
  i64 at = 0;
  u32 rest = k;
  UNROLL for (i32 axis = 0; axis < RANK; axis++) {
    const u32 outer = axis + 1 < RANK ? rest / static_cast<u32>(axes.length[axis]) : 0;
    at += static_cast<i64>(rest - outer * axes.length[axis]) * axes.stride[axis];
    rest = outer;
  }
  return at;
}

KERNEL(reduce_columns, 256)(Span<const XT> x, Span<YT> y, i32 columns, i32 count, i32 run, i32 yRun, i32 yLane, float scale, Axes axes) {
  SHARED(float, panel, 256 * WIDTH);
  const FOLD combine;
  const i32 column = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS, group = threadIdx.x / COLUMNS;
  const i32 first = blockIdx.y * run + group, end = blockIdx.y * run + run < count ? blockIdx.y * run + run : count;
  i64 from = 0, to = static_cast<i64>(blockIdx.y) * yRun;
  u32 rest = column;
  UNROLL for (i32 axis = 0; axis < 4; axis++) {
    const u32 outer = rest / static_cast<u32>(axes.keptLength[axis]);
    const i32 k = rest - outer * axes.keptLength[axis];
    from += static_cast<i64>(k) * axes.keptStride[axis];
    to += static_cast<i64>(k) * axes.yStride[axis];
    rest = outer;
  }
  Lanes<float, WIDTH> all = spread<WIDTH>(FIRST);
  if (column < columns) {
    i32 k = first;
    for (; k + 3 * GROUPS < end; k += 4 * GROUPS) {
      Lanes<float, WIDTH> terms[4];
      UNROLL for (i32 i = 0; i < 4; i++) terms[i] = loadLanes<WIDTH, ALIGNED>(x, from + termAt(k + i * GROUPS, axes));
      UNROLL for (i32 i = 0; i < 4; i++) {
        UNROLL for (i32 lane = 0; lane < WIDTH; lane++) all[lane] = combine(all[lane], terms[i][lane]);
      }
    }
    for (; k < end; k += GROUPS) {
      const Lanes<float, WIDTH> term = loadLanes<WIDTH, ALIGNED>(x, from + termAt(k, axes));
      UNROLL for (i32 lane = 0; lane < WIDTH; lane++) all[lane] = combine(all[lane], term[lane]);
    }
  }
  overColumns<COLUMNS>(all, panel, combine);
  if (group != 0 || column >= columns) return;
  UNROLL for (i32 lane = 0; lane < WIDTH; lane++) y[to + static_cast<i64>(lane) * yLane] = fromFloat<YT>(all[lane] * scale);
}
