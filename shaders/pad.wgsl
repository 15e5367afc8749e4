// y[i] = x[i - before] where that lies within x, else VALUE; with `edge` the nearest element of x. T is u32, elements being moved as
// 32-bit words, or f16.
// Axes come innermost first, eight at most; any of them may be cut by a negative `before`.
// Workgroup 64, one element a thread; grid ceil(total / 64) folded into x and y.

struct Uniforms {
  lengths: array<vec4u, 2>, extents: array<vec4u, 2>, before: array<vec4u, 2>, xStrides: array<vec4u, 2>, yStrides: array<vec4u, 2>,
  total: u32, rank: u32, xStart: u32, yStart: u32, edge: u32, value: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<${T}>;
@group(0) @binding(2) var<storage, read_write> y: array<${T}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  var rest = i;
  var p = u.xStart;
  var q = u.yStart;
  var inside = true;
  for (var axis = 0u; axis < u.rank; axis++) {
    let a = axis >> 2u;
    let b = axis & 3u;
    let outer = rest / u.lengths[a][b];
    let k = rest - outer * u.lengths[a][b];
    q += k * u.yStrides[a][b];
    let last = i32(u.extents[a][b]) - 1;
    let at = i32(k) - i32(u.before[a][b]);
    let clipped = clamp(at, 0, max(last, 0));
    inside = inside && last >= 0 && (u.edge != 0u || at == clipped);
    p += u32(clipped) * u.xStrides[a][b];
    rest = outer;
  }
  y[q] = select(${VALUE}, x[select(0u, p, inside)], inside);
}
