// What the kernels of minimal filtering that see filters [filters, 3, 3, channels] are told; src/ops/webgpu/winograd.ts.
// Channels (or filters, FOUR_FILTERS) and steps are in units of Real, which is f32 or vec4f along them.
struct Uniforms {
  filters: u32, channels: u32,
  // Of the filters: where they begin, from tap to tap. Of the transformed values, in units of what the planes hold: from filter to
  // filter, channel to channel, place to place.
  offset: u32, stride: u32, filterStep: u32, channelStep: u32, plane: u32,
  // Whether taps are turned by 180 degrees, as the gradient by the input needs them.
  turned: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
