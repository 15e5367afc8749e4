// p = softmax(logits), losses[n] = -s[n] sum over c of w[c] t[n,c] log p[n,c]; t is one-hot of an int32 label (nothing where it is
// ignored or out of range), or the row of float32 labels when SOFT.
// Workgroup 64, one row a thread; grid ceil(rows / 64) folded into x and y.

struct Uniforms {
  rows: u32, channels: u32, xOffset: u32, xStride: u32, labelOffset: u32, labelStride: u32, classOffset: u32, sampleOffset: u32,
  lossOffset: u32, pOffset: u32, pStride: u32, useIgnore: u32, ignoreLabel: i32, infinity: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<${LABEL}>;
@group(0) @binding(3) var<storage, read> classWeights: array<f32>;
@group(0) @binding(4) var<storage, read> sampleWeights: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> probabilities: array<f32>;
alias T = f32; alias I = i32; alias B = u32;
//#include math

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= u.rows) { return; }
  let x = u.xOffset + row * u.xStride;
  let p = u.pOffset + row * u.pStride;
  var top = logits[x];
  for (var c = 1u; c < u.channels; c++) { top = max(top, logits[x + c]); }
  var sum = 0.0;
  for (var c = 0u; c < u.channels; c++) {
    let e = exp(logits[x + c] - top);
    sum += e;
    probabilities[p + c] = e;
  }
  for (var c = 0u; c < u.channels; c++) { probabilities[p + c] /= sum; }
  let l = log(sum);
  var loss = 0.0;
  //#if ${SOFT}
  for (var c = 0u; c < u.channels; c++) {
    let t = labels[u.labelOffset + row * u.labelStride + c];
    if (t != 0.0) { loss -= classWeights[u.classOffset + c] * t * ((logits[x + c] - top) - l); }
  }
  //#else
  let label = labels[u.labelOffset + row];
  if (label >= 0 && label < i32(u.channels) && !(u.useIgnore != 0u && label == u.ignoreLabel)) {
    loss = -classWeights[u.classOffset + u32(label)] * ((logits[x + u32(label)] - top) - l);
  }
  //#end
  losses[u.lossOffset + row] = sampleWeights[u.sampleOffset + row] * loss;
}
