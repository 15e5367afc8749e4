// What the kernels of minimal filtering that see images are told; src/ops/webgpu/winograd.ts. Channels and steps are in units of Real,
// which is f32 or vec4f along channels. A pass is a run of blocks: `count` of them from block `first` on, of `all` blocks, `across` x
// `down` an image, the images being counted from the first that the pass sees.
struct Uniforms {
  first: u32, count: u32, all: u32, across: u32, down: u32,
  // The image: its sizes, where it begins, from pixel to pixel; rows and columns of padding before it.
  height: u32, width: u32, channels: u32, offset: u32, stride: u32, top: u32, left: u32,
  // The transformed values, in scratch, in units of what the planes hold: from block to block, channel to channel, place to place of the square.
  blockStep: u32, channelStep: u32, plane: u32,
  biasOffset: u32, hasBias: u32, relu: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
