// y[k, d] = 1 where indices[k] = d, else 0.
// Workgroup 64, one element a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms { total: u32, depth: u32, xOffset: u32, xChannels: u32, xStride: u32, yOffset: u32, yStride: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let e = (group.y * groups.x + group.x) * 64u + lane;
  if (e >= u.total) { return; }
  let k = e / u.depth;
  let d = e - k * u.depth;
  let index = indices[u.xOffset + (k / u.xChannels) * u.xStride + k % u.xChannels];
  y[u.yOffset + k * u.yStride + d] = select(0.0, 1.0, index == i32(d));
}
