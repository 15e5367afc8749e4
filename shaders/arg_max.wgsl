// y[o] = index of the first largest x[o, k] over k, int32. Kept axes come innermost first, four at most.
// Workgroup 64, one thread an output; grid ceil(outputs / 64) folded into x and y.

struct Uniforms {
  keptLengths: vec4u, keptStrides: vec4u, yStrides: vec4u,
  xStart: u32, yStart: u32, outputs: u32, count: u32, stride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let thread = (group.y * groups.x + group.x) * 64u + lane;
  if (thread >= u.outputs) { return; }
  var rest = thread;
  var p = u.xStart;
  var q = u.yStart;
  for (var axis = 0u; axis < 4u; axis++) {
    let outer = rest / u.keptLengths[axis];
    let i = rest - outer * u.keptLengths[axis];
    p += i * u.keptStrides[axis];
    q += i * u.yStrides[axis];
    rest = outer;
  }
  var best = 0u;
  var value = x[p];
  for (var k = 1u; k < u.count; k++) {
    let v = x[p + k * u.stride];
    if (v > value) {
      value = v;
      best = k;
    }
  }
  y[q] = i32(best);
}
