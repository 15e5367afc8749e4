// y[i] = x[i] for bytes that do not start or end on words: four bytes lie in each 32-bit word, lowest first. A thread replaces its
// byte by an atomic and + or, so neighbours in one word do not disturb each other. See copy.wgsl for the addressing.
// Workgroup 64, one byte a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms {
  total: u32,
  xOffset: u32, xChannels: u32, xStride: u32,
  yOffset: u32, yChannels: u32, yStride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let source = u.xOffset + (i / u.xChannels) * u.xStride + i % u.xChannels;
  let place = u.yOffset + (i / u.yChannels) * u.yStride + i % u.yChannels;
  let byte = (x[source >> 2u] >> ((source & 3u) * 8u)) & 0xffu;
  let shift = (place & 3u) * 8u;
  atomicAnd(&y[place >> 2u], ~(0xffu << shift));
  atomicOr(&y[place >> 2u], byte << shift);
}
