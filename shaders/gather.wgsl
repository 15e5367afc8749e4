// y[o,k,i] = x[o, indices[k], i], indices clipped to the axis. Words of 32 bits.
// GRADIENT: dx[o,a,i] = sum over k with indices[k] = a of dy[o,k,i], in the order of k.
// Workgroup 64, one element of the result a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms {
  total: u32, inner: u32, axis: u32, count: u32,
  indicesOffset: u32, indicesChannels: u32, indicesStride: u32,
  xOffset: u32, xChannels: u32, xStride: u32, yOffset: u32, yChannels: u32, yStride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<${T}>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<${T}>;

fn index(k: u32) -> u32 {
  let i = indices[u.indicesOffset + (k / u.indicesChannels) * u.indicesStride + k % u.indicesChannels];
  return u32(clamp(i, 0, i32(u.axis) - 1));
}
fn atX(e: u32) -> u32 { return u.xOffset + (e / u.xChannels) * u.xStride + e % u.xChannels; }
fn atY(e: u32) -> u32 { return u.yOffset + (e / u.yChannels) * u.yStride + e % u.yChannels; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let e = (group.y * groups.x + group.x) * 64u + lane;
  if (e >= u.total) { return; }
  let i = e % u.inner;
  //#if ${GRADIENT}
  let a = (e / u.inner) % u.axis;
  let o = e / (u.inner * u.axis);
  var sum = ${T}(0);
  for (var k = 0u; k < u.count; k++) {
    if (index(k) == a) { sum += x[atX((o * u.count + k) * u.inner + i)]; }
  }
  y[atY(e)] = sum;
  //#else
  let k = (e / u.inner) % u.count;
  let o = e / (u.inner * u.count);
  y[atY(e)] = x[atX((o * u.axis + index(k)) * u.inner + i)];
  //#end
}
