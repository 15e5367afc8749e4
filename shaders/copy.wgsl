// y[i] = x[i] for i in 0 .. total, where element i of a value lies at offset + (i / channels) * stride + i % channels.
// Rows and channels of x and y may differ (a reshape) as long as their products agree. T is u32, or vec4u where both are
// vectorizable, f16 or vec4h for float16; with vectors all counts are in units of four elements.
// Workgroup 64, one element a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms {
  total: u32,
  xOffset: u32, xChannels: u32, xStride: u32,
  yOffset: u32, yChannels: u32, yStride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<${T}>;
@group(0) @binding(2) var<storage, read_write> y: array<${T}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  y[u.yOffset + (i / u.yChannels) * u.yStride + i % u.yChannels] = x[u.xOffset + (i / u.xChannels) * u.xStride + i % u.xChannels];
}
