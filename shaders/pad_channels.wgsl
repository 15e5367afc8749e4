// y[row] = (x[row, 0], .., x[row, channels - 1], 0, ..), four elements a row: images and filters of one to three channels as vectors.
// Workgroup 64, a row a thread; grid ceil(rows / 64) folded into x and y. For software adapters; y is contiguous.

struct Uniforms { rows: u32, channels: u32, offset: u32, stride: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= u.rows) { return; }
  let at = u.offset + row * u.stride;
  // Channels that there are not are read from the first.
  let second = select(0.0, x[at + select(0u, 1u, u.channels > 1u)], u.channels > 1u);
  let third = select(0.0, x[at + select(0u, 2u, u.channels > 2u)], u.channels > 2u);
  y[row] = vec4f(x[at], second, third, 0.0);
}
