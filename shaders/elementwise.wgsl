// z[i] = EXPR(x[i], y[i], c[i]) with every operand addressed by its own strides, so that broadcasting, transposing, reversing and
// cutting are this kernel with a plain copy for EXPR. The one template: operands, types and expression are filled in
// (ops/webgpu/elementwise.ts, ops/unary-expressions.ts, ops/binary-expressions.ts). T is f32, i32 or u32, or its vec4 where the last axis allows it.
// Axes are joined where all operands allow it and come innermost first; usually one or two are left.
// Workgroup 64, one element or vector a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms {
  lengths: array<vec4u, 2>,
  strides: array<array<vec4u, 2>, 4>,
  starts: vec4u,
  total: u32, rank: u32, infinity: u32, spare: u32,
  parameters: vec4f,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
${DECLARATIONS}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  var at = u.starts;
  var rest = i;
  var axis = 0u;
  for (; axis + 1u < u.rank; axis++) {
    let length = u.lengths[axis >> 2u][axis & 3u];
    let outer = rest / length;
    let k = rest - outer * length;
    at += k * vec4u(u.strides[0][axis >> 2u][axis & 3u], u.strides[1][axis >> 2u][axis & 3u],
                    u.strides[2][axis >> 2u][axis & 3u], u.strides[3][axis >> 2u][axis & 3u]);
    rest = outer;
  }
  at += rest * vec4u(u.strides[0][axis >> 2u][axis & 3u], u.strides[1][axis >> 2u][axis & 3u],
                     u.strides[2][axis >> 2u][axis & 3u], u.strides[3][axis >> 2u][axis & 3u]);
${BODY}
}
