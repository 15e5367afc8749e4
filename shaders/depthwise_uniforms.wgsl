// What the depthwise kernels are told. Channels, offsets and strides are in units of T; y stands for dy too, x for dx.
struct Uniforms {
  total: u32, images: u32, inH: u32, inW: u32, channels: u32, outH: u32, outW: u32, filterH: u32, filterW: u32,
  strideH: u32, strideW: u32, padTop: u32, padLeft: u32, dilationH: u32, dilationW: u32,
  xOffset: u32, xStride: u32, yOffset: u32, yStride: u32, filterOffset: u32, filterStride: u32, biasOffset: u32,
  runRows: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
alias T = ${T};
