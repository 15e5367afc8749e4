// What reductions are told: up to four kept axes with their strides in x and y, up to four reduced ones, innermost first.
struct Uniforms {
  keptLengths: vec4u, keptStrides: vec4u, yStrides: vec4u,
  lengths: vec4u, strides: vec4u,
  xStart: u32, yStart: u32, outputs: u32, count: u32, splits: u32, run: u32, splitStride: u32, scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
