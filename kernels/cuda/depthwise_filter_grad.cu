// dfilter[r,s,c] = sum over n,p,q of dy[n,p,q,c] x[n,h,w,c], where h = p strideH + r dilationH - padTop, w likewise.
// The rows (n, p) of dy are cut into runs of `run`, by the shape alone; each run writes its sums, [run][r][s][c], which sum_runs.cu adds in
// order. Within a run each row is summed, then added. XT, YT, WT: storage types of x, dy and what is written.
// Block 256, WIDTH channels of a run's sums at one tap a thread; grid ceil(runs taps channels / (256 WIDTH)).
#include "lib/depthwise.cuh"

KERNEL(depthwise_filter_grad, 256)(Span<const XT> x, Span<const YT> dy, Span<WT> sums, DepthwiseShape d, i32 run, i32 runs) {
  const i32 taps = d.filterH * d.filterW;
  const Item item = itemOf(runs * taps, d.channels);
  if (!item.there) return;
  const i32 part = item.row / taps, tap = item.row - part * taps, r = tap / d.filterW;
  const i32 down = r * d.dilationH - d.padTop, right = (tap - r * d.filterW) * d.dilationW - d.padLeft;
  const i32 lines = d.images * d.outH, last = (part + 1) * run < lines ? (part + 1) * run : lines;
  Channels total = spread<WIDTH>(0.0f);
  for (i32 line = part * run; line < last; line++) {
    const i32 image = line / d.outH, h = (line - image * d.outH) * d.strideH + down;
    if (h < 0 || h >= d.inH) continue;
    const i64 xAt = (static_cast<i64>(image) * d.inH + h) * d.inW * d.xStride + item.channel;
    const i64 yAt = static_cast<i64>(line) * d.outW * d.yStride + item.channel;
    Channels sum = spread<WIDTH>(0.0f);
    for (i32 q = 0; q < d.outW; q++) {
      const i32 w = q * d.strideW + right;
      if (w < 0 || w >= d.inW) continue;
      addProduct(sum, loadLanes<WIDTH, ALIGNED>(x, xAt + static_cast<i64>(w) * d.xStride),
                 loadLanes<WIDTH, ALIGNED>(dy, yAt + static_cast<i64>(q) * d.yStride));
    }
    UNROLL for (i32 i = 0; i < WIDTH; i++) total[i] += sum[i];
  }
  storeLanes<WIDTH, ALIGNED>(sums, static_cast<i64>(item.row) * d.filterStride + item.channel, total);
}
