// What the depthwise kernels are told: x [images][inH][inW][channels], filter [filterH][filterW][channels], y [images][outH][outW][channels].
// Strides are elements from one row of channels to the next. Threads take WIDTH channels, ALIGNED where these are read in one access.
#pragma once
#include "lib/lanes.cuh"

struct DepthwiseShape {
  i32 images, inH, inW, channels, outH, outW, filterH, filterW, strideH, strideW, padTop, padLeft, dilationH, dilationW;
  i32 xStride, yStride, filterStride;
};

typedef Lanes<float, WIDTH> Channels;

/** A row of channels and where this thread's begin in it; `there` is false for threads behind the last. */
struct Item {
  i32 row, channel;
  bool there;
};

DEVICE Item itemOf(i32 rows, i32 channels) {
  const i32 groups = channels / WIDTH, i = blockIdx.x * 256 + threadIdx.x, row = i / groups;
  return Item{row, (i - row * groups) * WIDTH, row < rows};
}

DEVICE void addProduct(Channels &sum, const Channels &a, const Channels &b) {
  UNROLL for (i32 i = 0; i < WIDTH; i++) sum[i] = fmaf(a[i], b[i], sum[i]);
}
