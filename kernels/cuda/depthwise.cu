// y[n,p,q,c] = bias[c] + sum over r,s of x[n,h,w,c] filter[r,s,c], where h = p strideH + r dilationH - padTop, w likewise, x zero outside.
// XT, WT, YT: storage types. Block 256, WIDTH channels of one pixel of y a thread; grid ceil(pixels channels / (256 WIDTH)).
#include "lib/depthwise.cuh"

KERNEL(depthwise, 256)(Span<const XT> x, Span<const WT> filter, Span<const float> bias, Span<YT> y, DepthwiseShape d, i32 hasBias) {
  const Item item = itemOf(d.images * d.outH * d.outW, d.channels);
  if (!item.there) return;
  const i32 line = item.row / d.outW, image = line / d.outH;
  const i32 top = (line - image * d.outH) * d.strideH - d.padTop, left = (item.row - line * d.outW) * d.strideW - d.padLeft;
  Channels sum = spread<WIDTH>(0.0f);
  if (hasBias != 0) sum = loadLanes<WIDTH, false>(bias, item.channel);
  for (i32 r = 0; r < d.filterH; r++) {
    const i32 h = top + r * d.dilationH;
    if (h < 0 || h >= d.inH) continue;
    for (i32 s = 0; s < d.filterW; s++) {
      const i32 w = left + s * d.dilationW;
      if (w < 0 || w >= d.inW) continue;
      const i64 at = ((static_cast<i64>(image) * d.inH + h) * d.inW + w) * d.xStride + item.channel;
      addProduct(sum, loadLanes<WIDTH, ALIGNED>(x, at), loadLanes<WIDTH, ALIGNED>(filter, (r * d.filterW + s) * d.filterStride + item.channel));
    }
  }
  storeLanes<WIDTH, ALIGNED>(y, static_cast<i64>(item.row) * d.yStride + item.channel, sum);
}
