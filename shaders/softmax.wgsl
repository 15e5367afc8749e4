// y = exp(x - max) / sum exp(x - max) over the last axis; LOG: y = (x - max) - log(sum exp(x - max)).
// Workgroup 64, one row a thread; grid ceil(rows / 64) folded into x and y.

struct Uniforms { rows: u32, channels: u32, xOffset: u32, xStride: u32, yOffset: u32, yStride: u32, infinity: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
alias T = f32; alias I = i32; alias B = u32;
//#include math

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= u.rows) { return; }
  let p = u.xOffset + row * u.xStride;
  let q = u.yOffset + row * u.yStride;
  var top = x[p];
  for (var c = 1u; c < u.channels; c++) { top = max(top, x[p + c]); }
  var sum = 0.0;
  for (var c = 0u; c < u.channels; c++) {
    let e = exp(x[p + c] - top);
    sum += e;
    //#if ${LOG}
    //#else
    y[q + c] = e;
    //#end
  }
  //#if ${LOG}
  let l = log(sum);
  for (var c = 0u; c < u.channels; c++) { y[q + c] = (x[p + c] - top) - l; }
  //#else
  for (var c = 0u; c < u.channels; c++) { y[q + c] /= sum; }
  //#end
}
