// What the normalization kernels are told. Channels, offsets and strides are in units of T. Vectors of channels are contiguous.
// A launch covers `window` of the rows, where its operands begin, and the runs from `firstSplit` on.
struct Uniforms {
  rows: u32, channels: u32, run: u32, splits: u32, epsilon: f32, fixGamma: u32, relu: u32, frozen: u32,
  xOffset: u32, xStride: u32, dyOffset: u32, dyStride: u32, yOffset: u32, yStride: u32,
  meanOffset: u32, varianceOffset: u32, gammaOffset: u32, betaOffset: u32,
  window: u32, firstSplit: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
alias T = ${T};
alias Mask = ${MASK};
