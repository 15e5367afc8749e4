// dlogits[n,j] = dlosses[n] s[n] (p[n,j] sum over c of w[c] t[n,c] - w[j] t[n,j]), targets t as in cross_entropy.wgsl.
// Workgroup 64, one row a thread; grid ceil(rows / 64) folded into x and y.

struct Uniforms {
  rows: u32, channels: u32, dlossOffset: u32, pOffset: u32, pStride: u32, labelOffset: u32, labelStride: u32, classOffset: u32,
  sampleOffset: u32, yOffset: u32, yStride: u32, useIgnore: u32, ignoreLabel: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dlosses: array<f32>;
@group(0) @binding(2) var<storage, read> probabilities: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<${LABEL}>;
@group(0) @binding(4) var<storage, read> classWeights: array<f32>;
@group(0) @binding(5) var<storage, read> sampleWeights: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= u.rows) { return; }
  let p = u.pOffset + row * u.pStride;
  let y = u.yOffset + row * u.yStride;
  let scale = dlosses[u.dlossOffset + row] * sampleWeights[u.sampleOffset + row];
  var total = 0.0;
  //#if ${SOFT}
  let t = u.labelOffset + row * u.labelStride;
  for (var c = 0u; c < u.channels; c++) { total += classWeights[u.classOffset + c] * labels[t + c]; }
  for (var c = 0u; c < u.channels; c++) {
    dlogits[y + c] = scale * (probabilities[p + c] * total - classWeights[u.classOffset + c] * labels[t + c]);
  }
  //#else
  let label = labels[u.labelOffset + row];
  if (label >= 0 && label < i32(u.channels) && !(u.useIgnore != 0u && label == u.ignoreLabel)) {
    total = classWeights[u.classOffset + u32(label)];
  }
  for (var c = 0u; c < u.channels; c++) {
    dlogits[y + c] = scale * (probabilities[p + c] * total - select(0.0, total, i32(c) == label));
  }
  //#end
}
