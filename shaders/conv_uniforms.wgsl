// What the kernels of a convolution's three directions are told. x is the image side, y the result side (dy in the gradients),
// w the filters; offsets are of what is bound, all counts in elements. Names of ops/webgpu/conv.ts.
struct Uniforms {
  pixels: u32, outH: u32, outW: u32, inH: u32, inW: u32, channels: u32, filters: u32,
  kernelH: u32, kernelW: u32, strideH: u32, strideW: u32, padTop: u32, padLeft: u32, dilationH: u32, dilationW: u32,
  xOffset: u32, xStride: u32, wOffset: u32, wStride: u32, biasOffset: u32, hasBias: u32, relu: u32, yOffset: u32, yStride: u32,
  // Input gradient: pixels of x of one parity class. Filter gradient: the row of y after the last, rows in a run, elements of dw in its
  // result, and the first run's first row.
  classH: u32, classW: u32, rows: u32, runRows: u32, runStride: u32, firstRow: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
