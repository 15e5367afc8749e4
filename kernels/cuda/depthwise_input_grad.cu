// dx[n,h,w,c] = sum over the taps r,s through which a window p,q sees pixel h,w of dy[n,p,q,c] filter[r,s,c].
// Each element gathers what falls to it, tap by tap, so that none is written twice. YT, WT, XT: storage types.
// Block 256, WIDTH channels of one pixel of dx a thread; grid ceil(pixels channels / (256 WIDTH)).
#include "lib/depthwise.cuh"

KERNEL(depthwise_input_grad, 256)(Span<const YT> dy, Span<const WT> filter, Span<XT> dx, DepthwiseShape d) {
  const Item item = itemOf(d.images * d.inH * d.inW, d.channels);
  if (!item.there) return;
  const i32 line = item.row / d.inW, image = line / d.inH;
  const i32 h = line - image * d.inH + d.padTop, w = item.row - line * d.inW + d.padLeft;
  Channels sum = spread<WIDTH>(0.0f);
  for (i32 r = 0; r < d.filterH && r * d.dilationH <= h; r++) {
    const i32 p = (h - r * d.dilationH) / d.strideH;
    if (p >= d.outH || p * d.strideH + r * d.dilationH != h) continue;
    for (i32 s = 0; s < d.filterW && s * d.dilationW <= w; s++) {
      const i32 q = (w - s * d.dilationW) / d.strideW;
      if (q >= d.outW || q * d.strideW + s * d.dilationW != w) continue;
      const i64 at = ((static_cast<i64>(image) * d.outH + p) * d.outW + q) * d.yStride + item.channel;
      addProduct(sum, loadLanes<WIDTH, ALIGNED>(dy, at), loadLanes<WIDTH, ALIGNED>(filter, (r * d.filterW + s) * d.filterStride + item.channel));
    }
  }
  storeLanes<WIDTH, ALIGNED>(dx, static_cast<i64>(item.row) * d.xStride + item.channel, sum);
}
