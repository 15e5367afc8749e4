// What the convolution kernels are told: x [images][inH][inW][channels], filters [filters][kernelH][kernelW][channels],
// y [images][outH][outW][filters]; strides are elements from one row of channels to the next.
#pragma once
#include "lib/product.cuh"
#include "lib/results.cuh"

struct ConvShape {
  i32 images, inH, inW, channels, outH, outW, filters, kernelH, kernelW, strideH, strideW, padTop, padLeft, dilationH, dilationW;
  i32 xStride, yStride, wStride;
};

DEVICE i32 turnsOf(i32 terms) { return (terms + STEPS - 1) / STEPS; }
